//! A verb with what stands around it.

use octo_core::base::cli::options::Said;
use octo_core::base::cli::{Tool, places};
use octo_core::base::error::Result;
use octo_core::base::paths::Places;

/// A command line, understood.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// For messages.
    pub(crate) tool: &'a Tool,
    /// The verb's options and arguments.
    pub(crate) said: Said<'a>,
    /// CONFIG and STATE.
    pub(crate) places: Places,
}

impl<'a> Call<'a> {
    /// With the places that the options name.
    ///
    /// # Errors
    /// As [`places`].
    pub(crate) fn read(said: Said<'a>) -> Result<Call<'a>> {
        Ok(Call { tool: said.tool(), places: places(&said)?, said })
    }
}
