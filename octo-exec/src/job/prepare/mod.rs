//! What a job needs before its script starts: directories, package, script,
//! secrets, variables, and whose it will be.

pub(crate) mod directories;
pub(crate) mod environment;
pub(crate) mod interpreter;
pub(crate) mod package;
pub(crate) mod script;
pub(crate) mod secrets;
pub(crate) mod signature;
pub(crate) mod stdin;
pub(crate) mod user;
