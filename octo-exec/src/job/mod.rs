//! A job that may run: what it needs, the script, and how it ended.

mod directories;
mod ending;
mod environment;
mod interpreter;
mod locks;
mod mask;
mod package;
mod privileges;
pub(crate) mod runner;
mod script;
pub(crate) mod secrets;
pub(crate) mod settle;
pub(crate) mod signals;
mod supervise;
mod tree;
mod turn;
mod user;
mod values;
mod watch;
