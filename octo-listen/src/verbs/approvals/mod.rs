//! Jobs that wait for approval: listed, and shown to who approves them.

pub(super) mod held;
pub(super) mod show;
