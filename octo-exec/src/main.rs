//! octo-exec: runs one script as one job, on this machine. octo-exec(1).
//!
//! `run` publishes a job and starts `octo-exec job DIR`; what a listener spooled, `take`
//! publishes. Either way who brings it forward decides for itself, by the trust file as it is.

mod admission;
mod archive;
mod cgroup;
mod changes;
mod enter;
mod job;
mod processes;
mod releases;
mod seal;
mod serve;
mod setup;
mod start;
mod stop;
mod substitute;
mod take;
mod unpack;
mod verbs;

use octo_core::base::cli::Tool;
use octo_core::base::cli::help::Help;
use octo_core::base::cli::verbs::{groups, listed};
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-exec", help };

fn main() -> ExitCode {
    TOOL.main(verbs::call)
}

fn help() -> String {
    let help = Help {
        usage: &["octo-exec [OPTION]... VERB [ARGUMENT]..."],
        about: "Runs one script as one job, on this machine, and keeps its record.",
        verbs: listed(verbs::VERBS),
        options: groups(verbs::VERBS),
        notes: "Options of run come before its script.",
        examples: &[
            "octo-exec run -c 'uptime'",
            "octo-exec run -T 10m -L backup /usr/local/sbin/backup.sh",
            "octo-exec list --held",
            "octo-exec prune --older 14d",
            "octo-exec unpack --manifest shop.manifest shop-1.4.tar releases/1.4",
            "octo-exec verify shop.manifest releases/1.4",
            "Db_Host=db1 octo-exec substitute config/app.ini",
        ],
    };
    help.text()
}
