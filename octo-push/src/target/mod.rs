//! One target: connecting to it, asking it, what came of it.

pub(crate) mod client;
pub(crate) mod dial;
pub(crate) mod first_contact;
pub(crate) mod one_job;
pub(crate) mod outcome;
pub(crate) mod reach;
pub(crate) mod request;
pub(crate) mod source;
pub(crate) mod upload;
