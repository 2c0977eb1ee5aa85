//! Verbs about this octopus itself, which ask no target.

pub(super) mod journal;
pub(super) mod targets;
