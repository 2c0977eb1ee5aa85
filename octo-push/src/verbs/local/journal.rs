//! `journal`: what was done from here, oldest first; of these targets only,
//! where some are named. They may have left the targets file.

use crate::cli::call::Call;
use crate::output::json::JsonObject;
use crate::records::journal::entry::Entry;
use crate::records::journal::file::Journal;
use crate::records::journal::labels::APPLICATION;
use crate::verbs::local::story::Story;
use jiff::{Timestamp, Zoned};
use octo_core::base::cli::options::{OptionGroup, Said, flag, value};
use octo_core::base::cli::{print, utc};
use octo_core::base::encoding::{encode, printable};
use octo_core::base::error::Result;
use octo_core::base::moment;
use octo_core::base::names::JobId;
use octo_core::targets::{NameSet, words};
use std::collections::HashSet;

/// What of it is shown.
pub(crate) static JOURNAL: OptionGroup = OptionGroup {
    title: "journal",
    rows: &[
        value("", "app", "APP", "of what is labelled with this application"),
        value("", "since", "TIME", "not older than 2d, yesterday, 2026-01-31 or a time"),
        flag("", "story", "a line a rollout of an application"),
    ],
};

pub(crate) fn run(call: &Call) -> Result<u8> {
    let mut asked = Asked::read(&call.said)?;
    let mut printed = Ok(());
    let mut story = call.said.flag("story").then(Story::default);
    let show = if call.common.json { object } else { line };
    let torn = Journal::at(&call.common.places).all(&mut |entry| {
        if asked.is_of_application(&entry) {
            match &mut story {
                Some(story) => story.add(&entry),
                None if asked.is_since(entry.time) && asked.is_of_targets(&entry.target) => {
                    printed = print(&show(&entry));
                }
                None => {}
            }
        }
        printed.is_ok()
    })?;
    printed?;
    for rollout in story.iter().flat_map(Story::rollouts) {
        if asked.is_since(rollout.last) && rollout.concerns(|target| asked.is_of_targets(target)) {
            print(&if call.common.json { rollout.object() } else { rollout.line() })?;
        }
    }
    if torn > 0 && call.common.verbose {
        call.said.tool().say(format!("journal: {torn} lines were torn by a crash"));
    }
    Ok(0)
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
    fn read(said: &Said) -> Result<Asked> {
        let now = Zoned::now();
        let mut names = Vec::new();
        for list in said.arguments() {
            names.extend(words(list)?);
        }
        Ok(Asked {
            targets: (!said.arguments().is_empty())
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

fn line(entry: &Entry) -> String {
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
    line.push('\n');
    line
}

fn object(entry: &Entry) -> String {
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
        .line()
}
