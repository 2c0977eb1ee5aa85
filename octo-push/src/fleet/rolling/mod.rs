//! The way through a fleet in batches.

pub(crate) mod batches;
mod gate;
pub(crate) mod history;
pub(crate) mod hook;
pub(crate) mod rollout;
pub(crate) mod stopped;
#[cfg(test)]
mod tests;
