//! `follow`: a job from its beginning to its end.

use crate::cli::call::Call;
use crate::cli::run::Ends;
use crate::fleet::{jobs, select};
use crate::records::end_files;
use octo_core::base::error::Result;

pub(super) fn run(call: &Call) -> Result<u8> {
    let job = call.job()?;
    let ends = Ends::read(&call.said)?;
    let Some((screen, context, record)) = select::begin_of_job(call, &job)? else {
        return end_files::of_nobody(&call.common, &ends).map(|()| 0);
    };
    jobs::follow(screen, context, &job, record, &ends)
}
