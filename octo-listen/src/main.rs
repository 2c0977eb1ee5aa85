//! octo-listen: the tentacle. Listens for those whom this machine's sysadmin
//! trusts, keeps their packages, and has their jobs started.

mod admission;
mod check;
mod conversation;
mod host;
mod launcher;
mod log;
mod options;
mod records;
mod session;
mod setup;
mod signals;
mod verbs;

use octo_core::base::cli::Tool;
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-listen", help: options::help };

fn main() -> ExitCode {
    TOOL.main(setup::run)
}
