//! What is written down on this side: the journal, and files for scripts.

pub(crate) mod end_files;
pub(crate) mod heads;
pub(crate) mod journal;
pub(crate) mod results;
pub(crate) mod writer;
