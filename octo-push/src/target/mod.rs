//! One target: connecting to it, asking it, what came of it.

pub(crate) mod connection;
pub(crate) mod job;
pub(crate) mod outcome;
pub(crate) mod package;
pub(crate) mod request;
pub(crate) mod retry;
pub(crate) mod stop;
