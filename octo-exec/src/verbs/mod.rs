//! The verbs: a row each, and a file each or a few that belong together. Dispatch,
//! help, completion and the refusal of other words and options follow from the rows.

mod add;
mod approve;
mod approved;
mod end;
mod forward;
mod functions;
mod jobs;
mod list;
mod named;
mod prune;
mod run;
mod show;

use crate::changes::announce;
use crate::changes::compare::compare;
use crate::enter::enter;
use crate::job::drain::drain;
use crate::releases::look::look;
use crate::setup::{self, SETUP};
use crate::substitute::{SUBSTITUTE, substitute};
use crate::unpack::options::{ENTRIES_AT_MOST, QUIET, RULES, SINCE, UNPACK};
use crate::unpack::{manifest, unpack, verify};
use crate::{serve, take};
use octo_core::base::cli::Tool;
use octo_core::base::cli::places;
use octo_core::base::cli::verbs::{Front, PlainVerb, verb};
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use octo_core::tentacle::spec::options::{ENDS, JOB};
use octo_core::tentacle::{job, layout};

/// In the order of `--help`.
pub(crate) static VERBS: &[PlainVerb] = &[
    verb(
        "run",
        "SCRIPT|- [ARG]...",
        "run a script as a job, here; give back its output and exit code",
    )
    .options_first()
    .takes(&[&JOB, &ENDS])
    .runs(run::run),
    verb("start", "", "bring every job forward that waits for it").runs(jobs::start),
    verb("job", "DIR", "bring one published job forward; what starts jobs calls this")
        .runs(forward::job),
    verb("enter", "", "become a job's user and run its script; octo-exec itself calls this")
        .runs(enter),
    verb("drain", "", "read on what a job's daemons print; octo-exec itself calls this")
        .runs(drain),
    verb("look", "", "see what a job released, as its user; octo-exec itself calls this")
        .runs(look),
    verb("compare", "", "compare a package with what is released; octo-exec itself calls this")
        .runs(compare),
    verb("announce", "JOB", "say what a held job would change; octo-exec itself calls this")
        .runs(announce),
    verb("serve", "", "take over what a listener of another user spools; needs no network")
        .runs(serve::serve),
    verb("take", "JOB [REASON]", "make a job of what a listener spooled, or note that none is")
        .takes(&[&take::TAKE])
        .runs(take::take),
    verb("setup", "", "make STATE as it has to be, also one of an older version")
        .takes(&[&SETUP])
        .runs(setup::run),
    verb("list", "", "the jobs of this machine, one a line").takes(&[&list::LIST]).runs(list::list),
    verb("show", "JOB", "what a job is, who asked, what is to be approved").runs(show::show),
    verb("approve", "JOB [DIGEST]", "let a held job run").runs(approve::approve),
    verb("deny", "JOB [REASON]", "end a held job; its pusher sees the reason").runs(approve::deny),
    verb("cancel", "JOB", "end a job").runs(jobs::cancel),
    verb("prune", "", "remove old jobs and packages").takes(&[&prune::PRUNE]).runs(prune::prune),
    verb("add", "FILE", "put a package into the store, print its sha256")
        .takes(&[&add::ADD])
        .runs(add::add),
    verb("end", "FILE...", "what files of --end say, for scripts: a line each").runs(end::end),
    verb("unpack", "ARCHIVE [DIRECTORY]", "make a release of a tar archive, whole or not at all")
        .takes(&[&UNPACK, &RULES])
        .runs(unpack),
    verb("verify", "MANIFEST DIRECTORY", "what is changed, added or removed in a release since")
        .takes(&[&ENTRIES_AT_MOST, &QUIET])
        .runs(verify),
    verb("manifest", "DIRECTORY FILE", "write down what a release holds, for verify")
        .takes(&[&ENTRIES_AT_MOST, &SINCE])
        .runs(manifest),
    verb("substitute", "FILE...", "replace #{NAME} in text files by the values of variables")
        .takes(&[&RULES, &SUBSTITUTE])
        .runs(substitute),
    verb("functions", "", "print what hooks in bash get of Octopus's functions")
        .runs(functions::functions),
];

/// The verbs that change nothing of STATE, or make it what it has to be: they are anybody's.
const ANYBODYS: &[&str] = &[
    "enter",
    "drain",
    "look",
    "compare",
    "setup",
    "list",
    "show",
    "end",
    "unpack",
    "verify",
    "manifest",
    "substitute",
    "functions",
];

/// Of these, those that look for nothing there: they work without a HOME, as hooks have it.
const PLACELESS: &[&str] = &["end", "unpack", "verify", "manifest", "substitute", "functions"];

/// Finds the verb of a command line and does it.
pub(crate) fn call(tool: &Tool, words: &[String]) -> Result<u8> {
    let Some(front) = Front::read(tool, &[], words)? else { return Ok(0) };
    let verb = front.verb(VERBS)?;
    let Some(said) = front.said(verb)? else { return Ok(0) };
    let is_placeless = PLACELESS.contains(&verb.word);
    let places = if is_placeless { Places::default() } else { places(&said)? };
    if !ANYBODYS.contains(&verb.word) {
        layout::check_executor(&places)?;
        job::restore(&places)?;
    }
    (verb.run)(&said, &places)
}
