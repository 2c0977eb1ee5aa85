//! `run`: a script as a job of each target, followed to its end.

use crate::cli::call::Call;
use crate::cli::continuation::Words;
use crate::cli::run::Run;
use crate::fleet::{jobs, select};
use crate::records::end_files;
use octo_core::base::error::Result;

pub(super) fn run(call: &Call) -> Result<u8> {
    let run = Run::read(call)?;
    let Some((screen, context)) = select::begin(call)? else {
        return end_files::of_nobody(&call.common, &run.ends).map(|()| 0);
    };
    let words = Words {
        words: call.words,
        verb: call.verb,
        own: run.options.arguments.len(),
        named: run.options.job.is_some(),
    };
    jobs::run(screen, context, run, words)
}
