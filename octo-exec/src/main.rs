//! octo-exec: runs one script as one job, on this machine. octo-exec(1).
//!
//! `run` publishes a job and starts `octo-exec job DIR`, exactly as octo-listen
//! does; `job` decides for itself, whatever its publisher decided before.

mod admit;
mod adopt;
mod approval;
mod environment;
mod help;
mod interpreter;
mod locks;
mod mask;
mod prepare;
mod settle;
mod signals;
mod start;
mod supervise;
mod tree;
mod user;
mod values;
mod verbs;

use octo_core::base::cli::Tool;
use std::process::ExitCode;

fn main() -> ExitCode {
    Tool { name: "octo-exec", help: help::TEXT }.main(verbs::run)
}
