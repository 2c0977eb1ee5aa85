//! A job that may run: what it needs, the script, and how it ended.

pub(crate) mod drain;
pub(crate) mod entering;
pub(crate) mod forward;
mod left;
mod mask;
mod orders;
mod output;
pub(crate) mod prepare;
pub(crate) mod runner;
pub(crate) mod settle;
pub(crate) mod signals;
mod supervise;
mod turn;
pub(crate) mod watch;
