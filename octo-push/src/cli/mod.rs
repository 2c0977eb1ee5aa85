//! The command line: its words, its options, the targets that it means.

pub(crate) mod argv;
pub(crate) mod continuation;
pub(crate) mod help;
pub(crate) mod options;
pub(crate) mod run;
