//! Many targets at once: workers that each serve one target at a time, and the
//! main thread, which alone prints, keeps the records and decides.

pub(crate) mod conclusion;
mod dry_run;
pub(crate) mod fan_out;
pub(crate) mod jobs;
pub(crate) mod listing;
pub(crate) mod main_loop;
pub(crate) mod packages;
mod rolling;
pub(crate) mod select;
mod signals;
pub(crate) mod workers;
