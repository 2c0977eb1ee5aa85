//! Verbs about this octopus itself, which ask no target.

pub(super) mod journal;
mod story;
pub(super) mod targets;
