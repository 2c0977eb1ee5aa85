//! Many targets at once: workers that each serve one target at a time, and the
//! main thread, which alone prints, keeps the records and decides.

pub(crate) mod batches;
pub(crate) mod main_loop;
pub(crate) mod rollout;
pub(crate) mod signals;
