//! Many targets at once: workers that each serve one target at a time, and the
//! main thread, which alone prints, keeps the records and decides.

pub(crate) mod batches;
pub(crate) mod conclusion;
mod dry_run;
mod gate;
mod history;
pub(crate) mod jobs;
pub(crate) mod main_loop;
pub(crate) mod packages;
mod rollout;
mod signals;
mod stopped;
pub(crate) mod workers;
