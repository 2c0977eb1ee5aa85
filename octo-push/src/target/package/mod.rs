//! The files that are put: how they are read, hashed and sent.

pub(crate) mod bases;
pub(crate) mod counters;
pub(crate) mod digests;
mod held;
mod link;
pub(crate) mod progress;
mod segments;
mod sending;
mod signatures;
pub(crate) mod source;
pub(crate) mod upload;
