//! What is said, as bytes: no stream is known here.

pub mod fields;
pub mod message;
pub mod reply;
pub mod request;
pub mod words;
