//! Jobs that wait for approval: listed, shown, approved and denied by somebody else than
//! who asked for them.

pub(super) mod held;
mod held_job;
pub(super) mod show;
mod shown;
mod text;
pub(super) mod verdict;
