//! What a person or a program is shown: the two streams, the ways to show jobs,
//! summaries, progress, and objects of JSON.

pub(crate) mod escape;
pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod summary;
pub(crate) mod tentacle;
pub(crate) mod views;
