//! The verbs: a row each, and a file each or a few that belong together. Dispatch,
//! help, completion and the refusal of other words and options follow from the rows.

mod add;
mod approve;
mod approved;
mod end;
mod forward;
mod jobs;
mod list;
mod named;
mod prune;
mod run;
mod show;

use octo_core::base::cli::options::{Order, Said};
use octo_core::base::cli::verbs::{Front, VerbRow};
use octo_core::base::cli::{Tool, places};
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use octo_core::tentacle::spec::options::{ENDS, JOB};

type Row = VerbRow<fn(&Said, &Places) -> Result<u8>>;

/// In the order of `--help`.
pub(crate) static VERBS: [Row; 11] = [
    VerbRow {
        word: "run",
        arguments: "SCRIPT|- [ARG]...",
        help: "run a script as a job, here; give back its output and exit code",
        options: &[&JOB, &ENDS],
        order: Order::BeforeArguments,
        run: run::run,
    },
    VerbRow {
        word: "start",
        arguments: "",
        help: "bring every job forward that waits for it",
        options: &[],
        order: Order::Anywhere,
        run: jobs::start,
    },
    VerbRow {
        word: "job",
        arguments: "DIR",
        help: "bring one published job forward; what starts jobs calls this",
        options: &[],
        order: Order::Anywhere,
        run: forward::job,
    },
    VerbRow {
        word: "list",
        arguments: "",
        help: "the jobs of this machine, one a line",
        options: &[&list::LIST],
        order: Order::Anywhere,
        run: list::list,
    },
    VerbRow {
        word: "show",
        arguments: "JOB",
        help: "what a job is, who asked, what is to be approved",
        options: &[],
        order: Order::Anywhere,
        run: show::show,
    },
    VerbRow {
        word: "approve",
        arguments: "JOB [DIGEST]",
        help: "let a held job run",
        options: &[],
        order: Order::Anywhere,
        run: approve::approve,
    },
    VerbRow {
        word: "deny",
        arguments: "JOB [REASON]",
        help: "end a held job; its pusher sees the reason",
        options: &[],
        order: Order::Anywhere,
        run: approve::deny,
    },
    VerbRow {
        word: "cancel",
        arguments: "JOB",
        help: "end a job",
        options: &[],
        order: Order::Anywhere,
        run: jobs::cancel,
    },
    VerbRow {
        word: "prune",
        arguments: "",
        help: "remove old jobs and packages",
        options: &[&prune::PRUNE],
        order: Order::Anywhere,
        run: prune::prune,
    },
    VerbRow {
        word: "add",
        arguments: "FILE",
        help: "put a package into the store, print its sha256",
        options: &[],
        order: Order::Anywhere,
        run: add::add,
    },
    VerbRow {
        word: "end",
        arguments: "FILE...",
        help: "what files of --end say, for scripts: a line each",
        options: &[],
        order: Order::Anywhere,
        run: end::end,
    },
];

/// Finds the verb of a command line and does it.
///
/// # Errors
/// The verb's.
pub(crate) fn call(tool: &Tool, words: &[String]) -> Result<u8> {
    let Some(front) = Front::read(tool, &[], words)? else { return Ok(0) };
    let verb = front.verb(&VERBS)?;
    let Some(said) = front.said(verb)? else { return Ok(0) };
    (verb.run)(&said, &places(&said)?)
}
