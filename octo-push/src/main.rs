//! octo-push: one verb to one or many tentacles.

mod cli;
mod fleet;
mod output;
mod records;
mod target;
mod verbs;

use octo_core::base::cli::Tool;
use octo_core::base::cli::help::Help;
use octo_core::base::cli::verbs::{groups, listed};
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-push", help };

fn main() -> ExitCode {
    TOOL.main(verbs::call)
}

fn help() -> String {
    let mut all = listed(verbs::VERBS);
    // Its words are verbs of their own, looked for before any option is read.
    all.push(("plumb WORD [ARGUMENT]...".into(), "for scripts: answer a question"));
    let help = Help {
        usage: &["octo-push [OPTION]... VERB [ARGUMENT]..."],
        about: "Does one thing with one or many tentacles.",
        verbs: all,
        options: groups(verbs::VERBS),
        notes: "\
SELECT: also web[01-20,33], 'web*', @FILE, and failed:LAST, unreachable:JOB of a run; see
octo-targets(5). In FILE of run and follow, %n is the target's name. Options of run come
before its script.",
        examples: &[
            "octo-push -a status",
            "octo-push -t web run -c uptime",
            "octo-push -t web1 put shop-1.4.tar.gz",
            "octo-push -t web freeze shop --until 3d 'ask Ada'",
            "octo-push -t web,prod --batch 1,20% run -p shop-1.4.tar.gz deploy.sh 1.4",
            "octo-push -t web1 -P 'ssh %h octo-listen --stdio' status",
        ],
    };
    help.text()
}
