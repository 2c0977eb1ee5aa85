//! A command line as its verb gets it.

use crate::cli::options::Common;
use octo_core::base::cli::options::Said;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;

/// What was said, understood as far as all verbs have it in common.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The verb's own options and arguments.
    pub(crate) said: Said<'a>,
    /// The common options.
    pub(crate) common: Common,
    /// All words of the command line.
    pub(crate) words: &'a [String],
    /// Where among them the verb stands.
    pub(crate) verb: usize,
}

impl<'a> Call<'a> {
    /// Reads the common options; no file is touched.
    pub(crate) fn read(said: Said<'a>, words: &'a [String], verb: usize) -> Result<Call<'a>> {
        Ok(Call { common: Common::read(&said)?, said, words, verb })
    }

    /// The job that is the only argument.
    pub(crate) fn job(&self) -> Result<JobId> {
        self.said.job_id(&self.said.counted(1..=1)?[0])
    }
}
