//! What a job leaves behind, values, artifacts and packages, and how much that may be.

pub(crate) mod allowance;
pub(crate) mod artifacts;
pub(crate) mod packages;
pub(crate) mod values;
