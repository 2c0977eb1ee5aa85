//! `journal`: what was done from here, oldest first; of these targets only,
//! where some are named. They may have left the targets file.

use crate::cli::call::Call;
use crate::output::json::JsonObject;
use crate::records::journal::entry::Entry;
use crate::records::journal::file::Journal;
use crate::records::journal::labels::APPLICATION;
use crate::verbs::local::story::Story;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use octo_core::base::cli::options::{OptionGroup, Said, flag, value};
use octo_core::base::cli::{print, utc};
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use octo_core::base::units::duration;
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
    targets: HashSet<String>,
    application: Option<String>,
    since: Option<Timestamp>,
    /// The runs of the application, and their jobs: what was asked later about them, as by
    /// `cancel`, has no label.
    jobs: HashSet<JobId>,
}

impl Asked {
    fn read(said: &Said) -> Result<Asked> {
        let now = Timestamp::now();
        Ok(Asked {
            targets: said.arguments().iter().cloned().collect(),
            application: said.one("app")?,
            since: said.parsed("since", SINCE, |text| since(text, now))?,
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

    fn is_of_targets(&self, target: &String) -> bool {
        self.targets.is_empty() || self.targets.contains(target)
    }
}

/// What [`since`] reads, for messages.
const SINCE: &str = "a time such as 2d, yesterday, 2026-01-31 or 2026-01-31T23:59:59Z";

/// Days begin at midnight UTC, as the times that are shown.
fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
    let today = now.to_zoned(TimeZone::UTC).date();
    match text {
        "today" => midnight(today),
        "yesterday" => midnight(today.yesterday().ok()?),
        _ => {
            let day = || text.parse::<Date>().ok().filter(|_| text.len() == 10).and_then(midnight);
            // A number alone may be meant as a day.
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let ago = || now.checked_sub(duration(text).filter(|_| !is_number)?).ok();
            ago().or_else(day).or_else(|| text.parse().ok())
        }
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
        .object("labels", labels)
        .line()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_many_ways() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        for (text, expected) in [
            ("2d", "2026-02-27T12:00:00Z"),
            ("90s", "2026-03-01T11:58:30Z"),
            ("today", "2026-03-01T00:00:00Z"),
            ("yesterday", "2026-02-28T00:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T23:59:59Z", "2026-01-31T23:59:59Z"),
            ("2026-01-31T23:59:59+01:00", "2026-01-31T22:59:59Z"),
        ] {
            assert_eq!(since(text, now).map(utc).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "2 d", "tomorrow", "2026-02-30", "2026-1-1", "1d1h", "20260131", "-1d"] {
            assert_eq!(since(text, now), None, "{text}");
        }
    }
}
