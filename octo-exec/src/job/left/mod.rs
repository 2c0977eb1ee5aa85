//! What a job leaves behind, values and artifacts, and how much that may be.

pub(crate) mod allowance;
pub(crate) mod artifacts;
pub(crate) mod values;
