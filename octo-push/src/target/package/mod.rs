//! The files that are put: how they are read, hashed and sent.

pub(crate) mod counters;
pub(crate) mod digests;
pub(crate) mod source;
pub(crate) mod upload;
