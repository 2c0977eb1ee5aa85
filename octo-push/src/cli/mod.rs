//! The command line: its words and options. No file is touched here.

pub(crate) mod argv;
pub(crate) mod call;
pub(crate) mod continuation;
pub(crate) mod options;
mod pieces;
pub(crate) mod rates;
pub(crate) mod rolling;
pub(crate) mod run;
