//! `octo-exec list`: a line a job.

use super::approved::Approved;
use super::show::difference;
use crate::changes;
use octo_core::base::argv::quote;
use octo_core::base::cli::options::{OptionGroup, Said, flag};
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::package_name;
use octo_core::base::paths::Places;
use octo_core::tentacle::approval::{Approvals, needed};
use octo_core::tentacle::changes::Changes;
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::tentacle::spec::{Script, Spec};
use std::fmt::Write;

/// So many lines of a difference leave room for the next job; `show` has all of them.
const SHOWN: usize = 20;

/// Its options that take no value, and may stand before the verb.
const FLAGS: [&str; 5] = ["--complete", "--skip-deployed", "--stays-good", "-q", "-v"];

/// Verbs of octo-release(1) that are about one application.
const APPLICATION_VERBS: [&str; 6] = ["deploy", "rollback", "prune", "adopt", "recover", "remove"];

pub(super) static LIST: OptionGroup = OptionGroup {
    title: "list",
    rows: &[flag("", "held", "those that wait for approval, and what it would be for")],
};

/// `list [--held]`
pub(super) fn list(said: &Said, places: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    let held = said.flag("held");
    let approved = if held { Approved::read(places)? } else { Approved::default() };
    let mut text = String::new();
    for job in JobDirectory::all(places)? {
        match line(&job) {
            Ok((state, line)) => {
                if !held || state == State::Held {
                    let _ = writeln!(text, "{line}");
                }
                if held && state == State::Held {
                    text.push_str(&to_approve(&approved, &job)?);
                }
            }
            Err(error) => said.tool().report(&error),
        }
    }
    print(&text)?;
    Ok(0)
}

fn line(job: &JobDirectory) -> Result<(State, String)> {
    let state = job.state()?;
    let origin = job.origin()?;
    let (spec, _) = job.spec()?;
    let who = origin.pusher.map_or_else(|| "local".to_string(), |p| p.name.to_string());
    let code = match &state {
        State::Over(end) => end.kind.code().to_string(),
        _ => "-".into(),
    };
    let line = format!(
        "{} {:<9} {:>3} {} {} {} {}",
        job.id(),
        state.word(),
        code,
        origin.received,
        who,
        printable(origin.by.as_bytes()),
        spec.summary()
    );
    Ok((state, line))
}

/// What an approval of this job is about: what it would run on what, digests, since when it
/// waits, and how its script differs from the one approved before.
fn to_approve(approved: &Approved, job: &JobDirectory) -> Result<String> {
    let mut text = String::new();
    let (spec, _) = job.spec()?;
    if let Some(application) = application(&spec) {
        let _ = writeln!(text, "    application {application}");
    }
    if !spec.arguments.is_empty() {
        let words: Vec<_> = spec.arguments.iter().map(|word| shown(word)).collect();
        let _ = writeln!(text, "    arguments {}", words.join(" "));
    }
    let held = job.record("held")?.unwrap_or_default();
    let several = Some(needed(&held)).filter(|needs| *needs > 1);
    for (key, values) in held.lines().filter(|(key, _)| *key != "needs") {
        let mut value = values.iter().map(|v| printable(v)).collect::<Vec<_>>().join(" ");
        if let ("package", Some((_, name))) = (key, &spec.package) {
            let _ = write!(value, " {}", printable(name.as_bytes()));
        }
        let _ = writeln!(text, "    {key} {value}");
    }
    for line in changes::recorded(job)?.iter().flat_map(Changes::short) {
        let _ = writeln!(text, "    {line}");
    }
    if let Some(needs) = several {
        let given = job.record("approved")?.and_then(|record| Approvals::of(&record));
        let given = given.map(|approvals| approvals.given).unwrap_or_default();
        let names =
            given.iter().map(|given| format!(" {}", printable(given.by.shown().as_bytes())));
        let _ =
            writeln!(text, "    approved {} of {needs}{}", given.len(), names.collect::<String>());
    }
    let difference = difference(approved, job)?;
    let lines: Vec<&str> = difference.lines().filter(|line| !line.is_empty()).collect();
    for line in lines.iter().take(SHOWN) {
        let _ = writeln!(text, "    {line}");
    }
    if lines.len() > SHOWN {
        let left = lines.len() - SHOWN;
        let _ = writeln!(text, "    {left} more lines: octo-exec show {}", job.id());
    }
    Ok(text)
}

/// What octo-release is to do with which application, and whose octo-release that is; nothing
/// where an option may hide the verb: who approves must not read another one.
fn application(spec: &Spec) -> Option<String> {
    let whose = match &spec.script {
        Script::Named(name) if name == "octo-release" => "by the one installed here",
        Script::Sent { name, .. } if name == "octo-release" => "by the script that was sent",
        _ => return None,
    };
    let words = spec.arguments.iter().map(|word| std::str::from_utf8(word).ok());
    let words: Vec<&str> = words.collect::<Option<_>>()?;
    let verb = words.iter().position(|word| !FLAGS.contains(word))?;
    if !APPLICATION_VERBS.contains(&words[verb]) {
        return None;
    }
    let said = words.get(verb + 1).filter(|word| package_name::is_plain_name(word));
    let name = match &spec.package {
        Some((_, file)) if words[verb] == "deploy" => {
            let (application, version) = package_name::parts(file).ok()?;
            format!("{application} {version}")
        }
        _ => (*said?).to_string(),
    };
    Some(format!("{} {name}, {whose}", words[verb]))
}

/// An argument as a shell takes it, where it is text.
fn shown(word: &[u8]) -> String {
    std::str::from_utf8(word).map_or_else(|_| quote(&printable(word)), quote)
}
