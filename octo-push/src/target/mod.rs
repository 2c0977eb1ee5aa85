//! One target: connecting to it, asking it, what came of it.

pub(crate) mod attempts;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod event;
pub(crate) mod job;
mod job_stream;
pub(crate) mod outcome;
pub(crate) mod package;
pub(crate) mod question;
pub(crate) mod request;
pub(crate) mod retry;
pub(crate) mod statement;
pub(crate) mod stop;
