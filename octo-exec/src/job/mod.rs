//! A job that may run: what it needs, the script, and how it ended.

pub(crate) mod environment;
pub(crate) mod interpreter;
pub(crate) mod locks;
pub(crate) mod mask;
pub(crate) mod prepare;
pub(crate) mod settle;
pub(crate) mod signals;
pub(crate) mod supervise;
pub(crate) mod tree;
pub(crate) mod user;
pub(crate) mod values;
