//! octo-listen: the tentacle. Listens for those whom this machine's sysadmin
//! trusts, keeps their packages, and has their jobs started.

mod admission;
mod chatter;
mod conversation;
mod gathered;
mod host;
mod log;
mod records;
mod session;
mod signals;
mod starter;
mod startup;
mod submission;
mod verbs;

use octo_core::base::cli::Tool;
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-listen", help: startup::options::help };

fn main() -> ExitCode {
    TOOL.main(startup::setup::run)
}
