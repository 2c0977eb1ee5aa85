//! octo-exec: runs one script as one job, on this machine. octo-exec(1).
//!
//! `run` publishes a job and starts `octo-exec job DIR`, exactly as octo-listen
//! does; `job` decides for itself, whatever its publisher decided before.

mod admission;
mod help;
mod job;
mod start;
mod verbs;

use octo_core::base::cli::Tool;
use std::process::ExitCode;

fn main() -> ExitCode {
    Tool { name: "octo-exec", help: || help::TEXT.to_string() }.main(verbs::run)
}
