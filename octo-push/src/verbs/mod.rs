//! The verbs: a row and a file each. Dispatch, help, completion and the refusal
//! of other words and options follow from the rows.

mod approvals;
mod audit;
mod cancel;
mod follow;
mod freeze;
mod get;
mod jobs;
mod local;
mod plumb;
mod put;
mod releases;
mod run;
mod scripts;
mod status;

use crate::cli::argv;
use crate::cli::call::Call;
use crate::cli::options::{FOLLOWED, HOW, PATCH, SHARED, WHICH};
use crate::cli::rolling::ROLLING;
use crate::cli::run::ASKED;
use octo_core::base::cli::Tool;
use octo_core::base::cli::options::OptionGroup;
use octo_core::base::cli::verbs::{Front, VerbRow, verb};
use octo_core::base::error::{Error, Result};
use octo_core::tentacle::spec::options::{BY_NAME, EACH, ENDS, JOB};
use octo_core::trust::Verb;

/// One that asks each target something; a verb that goes over the wire has the
/// word of its request.
const ASK: &[&OptionGroup] = &[&WHICH, &HOW];

/// Returns the exit code.
type RunVerb = fn(&Call) -> Result<u8>;

/// In the order of `--help`.
pub(crate) static VERBS: &[VerbRow<RunVerb>] = &[
    verb(Verb::Put.word(), "FILE...", "put files into the tentacles' package stores")
        .takes(&[&WHICH, &HOW, &PATCH])
        .runs(put::run),
    verb(Verb::Run.word(), "SCRIPT|- [ARG]...", "run a script, give back its output and exit code")
        .options_first()
        .takes(&[&WHICH, &HOW, &JOB, &BY_NAME, &EACH, &PATCH, &ASKED, &FOLLOWED, &ENDS, &ROLLING])
        .runs(run::run),
    verb(Verb::Follow.word(), "JOB", "show a job from its beginning to its end")
        .takes(&[&WHICH, &HOW, &FOLLOWED, &ENDS])
        .runs(follow::run),
    verb(Verb::Cancel.word(), "JOB", "ask for a job's end").takes(ASK).runs(cancel::run),
    verb(Verb::Jobs.word(), "", "list the jobs of this pusher").takes(ASK).runs(jobs::run),
    verb(Verb::Get.word(), "JOB [ARTIFACT]...", "list a job's artifacts, or fetch some")
        .takes(&[&WHICH, &HOW, &get::GET])
        .runs(get::run),
    verb(Verb::Status.word(), "", "how the tentacles are").takes(ASK).runs(status::run),
    verb(Verb::Releases.word(), "[APP]...", "what is released on the tentacles")
        .takes(&[&WHICH, &HOW, &releases::RELEASES])
        .runs(releases::run),
    verb(Verb::Scripts.word(), "", "list the scripts that run --name can run")
        .takes(ASK)
        .runs(scripts::run),
    verb(Verb::Audit.word(), "", "are the tentacles' audit logs as they were?")
        .takes(&[&WHICH, &HOW, &audit::AUDIT])
        .runs(audit::run),
    verb(Verb::Freeze.word(), "APP --until WHEN REASON...", "let nobody deploy APP until then")
        .takes(&[&WHICH, &HOW, &freeze::FREEZE, &ENDS])
        .runs(freeze::freeze),
    verb("thaw", "APP", "let APP be deployed again")
        .takes(&[&WHICH, &HOW, &ENDS])
        .runs(freeze::thaw),
    verb(Verb::Held.word(), "", "list what waits for approval, whoever asked for it")
        .takes(ASK)
        .runs(approvals::held::run),
    verb(Verb::Show.word(), "JOB", "show a job that waits for approval, and verify who asked")
        .takes(ASK)
        .runs(approvals::show::run),
    verb(Verb::Approve.word(), "JOB [DIGEST]", "let a held job run, that somebody else asked for")
        .takes(&[&WHICH, &HOW, &ENDS])
        .runs(approvals::verdict::approve),
    verb("deny", "JOB [REASON]...", "end a held job; its pusher sees the reason")
        .takes(&[&WHICH, &HOW, &ENDS])
        .runs(approvals::verdict::deny),
    verb("targets", "", "show CONFIG/targets as it is understood")
        .takes(ASK)
        .runs(local::targets::run),
    verb("journal", "[TARGET]...", "show what was done from here")
        .takes(&[&HOW, &local::journal::JOURNAL])
        .runs(local::journal::run),
];

/// Finds the verb of a command line and does it.
///
/// # Errors
/// What is wrong before anything is sent; later troubles are in the exit status.
pub(crate) fn call(tool: &Tool, words: &[String]) -> Result<u8> {
    if let Some(answered) = plumb::asked(tool, words) {
        return answered;
    }
    let Some(front) = Front::read(tool, SHARED, words)? else { return Ok(0) };
    let position = front.position();
    let verb = front.verb(VERBS).map_err(|error| or_a_command(error, words, position))?;
    let Some(said) = front.said(verb)? else { return Ok(0) };
    (verb.run)(&Call::read(said, words, position)?)
}

/// `octo-push -t web uname`: what was meant is plain, but running it would
/// make every typing error of a verb a command for a fleet.
fn or_a_command(error: Error, words: &[String], position: usize) -> Error {
    let (front, command) = words.split_at(position);
    if command.is_empty() {
        return error;
    }
    let command = command.join(" ");
    let front = ["octo-push"].into_iter().chain(front.iter().map(String::as_str));
    let meant = argv::join(front.chain(["run", "-c", &command]));
    error.hint(format!("to run a command: {meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::base::error::Exit;

    const TOOL: Tool = Tool { name: "octo-push", help: String::new };

    #[test]
    fn every_verb_of_the_wire_is_one_of_ours() {
        let here: Vec<&str> = VERBS.iter().map(|row| row.word).collect();
        let of_the_wire = Verb::all().filter(|verb| !matches!(verb, Verb::Connect | Verb::Fetch));
        let mut expected: Vec<&str> = of_the_wire.map(Verb::word).collect();
        expected.extend(["thaw", "deny", "targets", "journal"]);
        let sorted = |mut words: Vec<&'static str>| {
            words.sort_unstable();
            words
        };
        assert_eq!(sorted(here), sorted(expected));
    }

    /// As those of the test below, of freezes.
    const OF_FREEZES: [(&str, &str); 15] = [
        ("freeze shop", "freeze: an argument is missing"),
        ("freeze shop why", "needs --until WHEN: no freeze is for ever"),
        ("freeze shop --until soon why", "--until soon: not a time such as 2h, 3d"),
        ("freeze shop --until 2020-01-01 why", "is past"),
        ("freeze shop --until 0s why", "is past"),
        ("freeze shop --until 0 why", "--until 0: not a time such as 2h, 3d"),
        ("freeze shop --until 367d why", "is more than a year away"),
        ("freeze ../x --until 2h why", "'../x': not the name of an application"),
        ("freeze shop --until 2h ' '", "the reason is empty"),
        ("freeze shop --until 2h --outputs f why", "--outputs: nothing runs"),
        ("freeze shop --until 2h --batch 1 why", "freeze: --batch: no such option"),
        ("thaw", "thaw: an argument is missing"),
        ("thaw shop why", "why: one argument too many"),
        ("thaw shop --until 2h", "thaw: --until: no such option"),
        ("run --despite ' ' -c x", "--despite: the reason is empty"),
    ];

    /// All of these end before a file of CONFIG is looked for.
    #[test]
    fn misuse_is_told_before_anything_is_touched() {
        let lines = [
            ("-t web uname -r", "run -c 'uname -r'"),
            ("-t web", "which verb"),
            ("-a -t web status", "--all and --target"),
            ("status -q -v", "--quiet and --verbose"),
            ("--json run -g -c x", "--json and --gather"),
            ("--json -n run -c x", "--json and --dry-run"),
            ("--json run -o f -c x", "--json and --output"),
            ("-w 5x status", "--wait 5x"),
            ("--bwlimit 1K status", "--bwlimit 1K: not a rate such as 10M"),
            ("-f 0 status", "--fanout 0: not a number from 1 to 4096"),
            ("-w 1 status -w 2", "--wait: given twice"),
            ("--batch 1,x run -c x", "--batch 1,x"),
            ("--batch 0 run -c x", "--batch 0"),
            ("--batch 1 status", "status: --batch: no such option"),
            ("status --batch 1", "status: --batch: no such option"),
            ("-P 'a \"b' status", "--transport: the quote \" is not closed"),
            ("--gate '' run -c x", "--gate: no command"),
            ("--shard 0/3 status", "--shard"),
            ("-g status", "status: --gather: no such option"),
            ("journal --since 5", "--since 5: not a time such as 2d"),
            ("journal --story --since tomorrow", "--since tomorrow: not a time"),
            ("run --label a -c y", "--label a: not NAME=VALUE"),
            ("run --label a=b --label a=c -c y", "--label a: given twice"),
            ("run --ask --label a=b -c y", "--ask and --label"),
            ("--unreachable a,,b run -c y", "--unreachable: names joined by commas"),
            ("--before '' run -c y", "--before: no command"),
            ("run -D --after x -c y", "-D leaves"),
            ("run -S - --each - -c y", "standard input can be read once"),
            ("journal -t web", "journal: -t: no such option"),
            ("-x web journal", "journal: --exclude: no such option"),
            ("status --bathc 1 --targte x", "status: --bathc: no such option"),
            ("run", "run: needs a script"),
            ("run -D --end f -c y", "-D leaves"),
            ("run -D -g -c y", "-D leaves"),
            ("run -D -o f -c y", "-D leaves"),
            ("--batch 1 run -D -c y", "-D leaves"),
            ("follow", "follow: an argument is missing: follow JOB"),
            ("follow a b", "b: one argument too many"),
            ("follow ../../etc", "not a job id"),
            ("cancel", "an argument is missing"),
            ("get", "an argument is missing"),
            ("put -n", "an argument is missing"),
            ("status x", "status: x: one argument too many"),
            ("audit --max 1M", "--max: needs --fetch"),
            ("audit --fetch --max x", "--max x: not a size such as 100M"),
            ("audit x", "x: one argument too many"),
            ("targets x", "x: one argument too many"),
        ];
        for (line, said) in lines.iter().chain(&OF_FREEZES).copied() {
            let mut words = vec!["--config=/nonexistent".to_string(), "--state=/s".into()];
            words.extend(octo_core::base::argv::split(line).expect(line));
            let error = call(&TOOL, &words).expect_err(line);
            let hints = error.hints.join("\n");
            assert!(error.message.contains(said) || hints.contains(said), "{line}: {error}");
            assert_eq!(error.exit, Exit::Usage, "{line}");
        }
    }
}
