//! `journal`: what was done from here, oldest first; of these targets only,
//! where some are named. They may have left the targets file.

use crate::cli::call::Call;
use crate::output::json::JsonObject;
use crate::records::journal::entry::Entry;
use crate::records::journal::file::Journal;
use crate::records::journal::labels::APPLICATION;
use crate::records::journal::merged::merged;
use crate::verbs::local::story::Story;
use jiff::{Timestamp, Zoned};
use octo_core::base::cli::options::{OptionGroup, Said, flag, value, values};
use octo_core::base::cli::{print, utc};
use octo_core::base::encoding::{encode, printable};
use octo_core::base::error::Result;
use octo_core::base::moment;
use octo_core::base::names::JobId;
use octo_core::targets::{NameSet, words};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What of it is shown.
pub(crate) static JOURNAL: OptionGroup = OptionGroup {
    title: "journal",
    rows: &[
        value("", "app", "APP", "of what is labelled with this application"),
        value("", "since", "TIME", "not older than 2d, yesterday, 2026-01-31 or a time"),
        flag("", "story", "a line a rollout of an application"),
        values("", "from", "DIR...", "of these states of other pushers, merged"),
    ],
};

pub(crate) fn run(call: &Call) -> Result<u8> {
    let (directories, names) = places_and_names(&call.said);
    let mut asked = Asked::read(&call.said, &names)?;
    let mut printed = Ok(());
    let mut story = call.said.flag("story").then(Story::default);
    let show = if call.common.json { object } else { line };
    let mut each = |from: Option<&Path>, entry: Entry| {
        if asked.is_of_application(&entry) {
            match &mut story {
                Some(story) => story.add(&entry),
                None if asked.is_since(entry.time) && asked.is_of_targets(&entry.target) => {
                    printed = print(&show(&entry, from));
                }
                None => {}
            }
        }
        printed.is_ok()
    };
    let torn = if directories.is_empty() {
        vec![Journal::at(&call.common.places).all(&mut |entry| each(None, entry))?]
    } else {
        merged(&directories, &mut |from, entry| each(Some(from), entry))?
    };
    printed?;
    for rollout in story.iter().flat_map(Story::rollouts) {
        if asked.is_since(rollout.last) && rollout.concerns(|target| asked.is_of_targets(target)) {
            print(&if call.common.json { rollout.object() } else { rollout.line() })?;
        }
    }
    for (index, torn) in torn.into_iter().enumerate().filter(|(_, torn)| *torn > 0) {
        if call.common.verbose {
            let place = directories.get(index).map(|one| format!("{}: ", one.display()));
            let place = place.unwrap_or_default();
            call.said.tool().say(format!("{place}journal: {torn} lines were torn by a crash"));
        }
    }
    Ok(0)
}

/// What is merged, and the names of targets: behind `--from DIR` what no target can be named, or
/// what is such a directory, is another one.
fn places_and_names(said: &Said) -> (Vec<PathBuf>, Vec<String>) {
    let mut directories: Vec<PathBuf> = said.many("from").into_iter().map(PathBuf::from).collect();
    let mut names = Vec::new();
    for argument in said.arguments() {
        let is_place = argument.contains('/') || Path::new(argument).join("journal").exists();
        if !directories.is_empty() && is_place {
            directories.push(argument.into());
        } else {
            names.push(argument.clone());
        }
    }
    (directories, names)
}

/// Which lines are asked for.
struct Asked {
    /// All, unless some are named.
    targets: Option<NameSet>,
    application: Option<String>,
    since: Option<Timestamp>,
    /// The runs of the application, and their jobs: what was asked later about them, as by
    /// `cancel`, has no label.
    jobs: HashSet<JobId>,
}

impl Asked {
    fn read(said: &Said, lists: &[String]) -> Result<Asked> {
        let now = Zoned::now();
        let mut names = Vec::new();
        for list in lists {
            names.extend(words(list)?);
        }
        Ok(Asked {
            targets: (!lists.is_empty())
                .then(|| NameSet::of(names.iter().map(String::as_str)))
                .transpose()?,
            application: said.one("app")?,
            since: said.parsed("since", moment::PAST_FORM, |text| moment::gone(text, &now))?,
            jobs: HashSet::new(),
        })
    }

    fn is_of_application(&mut self, entry: &Entry) -> bool {
        let Some(application) = &self.application else { return true };
        let is_labelled = entry.labels.get(APPLICATION) == Some(application);
        if is_labelled {
            self.jobs.extend([&entry.run].into_iter().chain(&entry.job).cloned());
        }
        let mut jobs = [&entry.run].into_iter().chain(&entry.job);
        is_labelled || jobs.any(|job| self.jobs.contains(job))
    }

    fn is_since(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since)
    }

    fn is_of_targets(&self, target: &str) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.holds(target))
    }
}

fn line(entry: &Entry, from: Option<&Path>) -> String {
    let mut line = format!(
        "{} {} {} {} {}",
        utc(entry.time),
        printable(entry.verb.as_bytes()),
        printable(entry.target.as_bytes()),
        printable(entry.kind.as_bytes()),
        entry.code.map_or_else(|| "-".to_string(), |code| code.to_string())
    );
    for (key, value) in [
        ("job", entry.job.as_ref().map(JobId::to_string)),
        ("package", entry.package.map(|digest| digest.to_string())),
        ("by", Some(printable(entry.who.as_bytes()))),
        ("audit", entry.audit.map(|head| head.to_string())),
        ("audit-exec", entry.audit_exec.map(|head| head.to_string())),
        ("audit-fault", entry.audit_fault.as_ref().map(|fault| encode(fault.as_bytes()))),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" {key}={value}"));
        }
    }
    for (name, value) in entry.labels.iter() {
        line.push_str(&format!(" {name}={}", printable(value.as_bytes())));
    }
    if let Some(from) = from {
        line.push_str(&format!(" from={}", encode(from.as_os_str().as_encoded_bytes())));
    }
    line.push('\n');
    line
}

fn object(entry: &Entry, from: Option<&Path>) -> String {
    let labels =
        entry.labels.iter().fold(JsonObject::new(), |all, (name, value)| all.text(name, value));
    JsonObject::of("action")
        .text("time", &utc(entry.time))
        .text("verb", &entry.verb)
        .text("target", &entry.target)
        .text("kind", &entry.kind)
        .number_or_null("code", entry.code)
        .number_or_null("status", entry.status.map(u64::from))
        .text("run", entry.run.as_str())
        .text("by", &entry.who)
        .text_or_null("job", entry.job.as_ref().map(JobId::as_str))
        .text_or_null("package", entry.package.map(|digest| digest.to_string()).as_deref())
        .text_or_null("thumbprint", entry.tentacle.map(|seen| seen.to_string()).as_deref())
        .text_or_null("audit", entry.audit.map(|head| head.to_string()).as_deref())
        .text_or_null("audit_exec", entry.audit_exec.map(|head| head.to_string()).as_deref())
        .text_or_null("audit_fault", entry.audit_fault.as_deref())
        .object("labels", labels)
        .text_or_null(
            "from",
            from.map(|from| printable(from.as_os_str().as_encoded_bytes())).as_deref(),
        )
        .line()
}
