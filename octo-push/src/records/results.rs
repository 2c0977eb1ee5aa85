//! STATE/journal, as this run writes and reads it: one line an action and
//! target, with the audit head that the tentacle gave.

use crate::cli::options::Common;
use crate::output::json::JsonObject;
use crate::records::journal::{Entry, Filter, Journal, Run};
use crate::target::outcome::Outcome;
use crate::target::package::upload::Package;
use octo_core::base::cli::{print, utc};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::names::JobId;
use octo_core::base::paths::Places;
use octo_core::tentacle::audit::Head;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The verbs whose result is the target's result.
const RESULTS: [&str; 3] = ["put", "run", "follow"];

/// The journal, and what all lines of this run have in common.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    journal: Journal,
    verb: &'static str,
    run: JobId,
    who: String,
    packages: Vec<Arc<Package>>,
}

impl JournalWriter {
    /// For one invocation; `run` is its job's id where it has a job.
    ///
    /// # Errors
    /// Where the kernel gives no random bytes.
    pub(crate) fn open(
        places: &Places,
        verb: &'static str,
        run: Option<&JobId>,
        who: &str,
        packages: Vec<Arc<Package>>,
    ) -> Result<JournalWriter> {
        let run = match run {
            Some(run) => run.clone(),
            None => new_id()?,
        };
        let journal = Journal::at(places);
        Ok(JournalWriter { journal, verb, run, who: who.to_string(), packages })
    }

    /// Writes down how it went with a target.
    ///
    /// # Errors
    /// Exit 74.
    pub(crate) fn note(&self, target: &str, outcome: &Outcome) -> Result<()> {
        let (kind, code) = outcome.kind_and_code();
        let mut entry = Entry {
            time: jiff::Timestamp::now(),
            verb: self.verb.to_string(),
            run: self.run.clone(),
            who: self.who.clone(),
            target: target.to_string(),
            tentacle: outcome.tentacle,
            job: outcome.job.clone(),
            package: None,
            kind: kind.to_string(),
            code,
            status: outcome.status,
            audit: outcome.audit.as_deref().and_then(Head::parse),
        };
        if self.packages.is_empty() {
            return self.journal.append(&entry);
        }
        for package in &self.packages {
            entry.package = package.digest().ok();
            self.journal.append(&entry)?;
        }
        Ok(())
    }

    /// Brings it to the disk.
    ///
    /// # Errors
    /// Exit 74.
    pub(crate) fn sync(&self) -> Result<()> {
        self.journal.sync()
    }
}

/// An id of its own for an invocation or a job.
///
/// # Errors
/// Exit 74, where the kernel gives no random bytes.
pub(crate) fn new_id() -> Result<JobId> {
    JobId::generate().map_err(|error| Error::new(Exit::Io, "random bytes", describe(&error)))
}

/// How it went with a target so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetResult {
    /// The last result.
    pub(crate) result: Verdict,
    /// The job's id there: that of a retry is another than the rollout's.
    pub(crate) job: Option<JobId>,
    /// How often it failed.
    pub(crate) failures: u64,
}

/// The three things a target's result can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It succeeded.
    Ok,
    /// It failed.
    Failed,
    /// Accepted, but its end is not known: the same id asks again.
    Unknown,
}

/// The results of one run, or of the last one, by target.
///
/// # Errors
/// Exit 74, where the journal can't be read.
pub(crate) fn results(places: &Places, run: Run) -> Result<HashMap<String, TargetResult>> {
    let verbs = RESULTS.map(String::from).into();
    let filter = Filter { verbs, run: Some(run), ..Filter::default() };
    let mut results: HashMap<String, TargetResult> = HashMap::new();
    Journal::at(places).read(&filter, &mut |entry| {
        let result = match (entry.status, entry.kind.as_str()) {
            (_, "skipped") => return true,
            (0, _) => Verdict::Ok,
            (_, "unknown") => Verdict::Unknown,
            _ => Verdict::Failed,
        };
        let before = results.get(&entry.target).map_or(0, |told| told.failures);
        let failures = before + u64::from(result == Verdict::Failed);
        results.insert(entry.target, TargetResult { result, job: entry.job, failures });
        true
    })?;
    Ok(results)
}

/// The last run of which there is a result: what `failed:LAST` means.
///
/// # Errors
/// Exit 74, where the journal can't be read.
pub(crate) fn last(places: &Places) -> Result<Option<JobId>> {
    let verbs = RESULTS.map(String::from).into();
    let filter = Filter { verbs, run: Some(Run::Last), newest: Some(1), ..Filter::default() };
    let mut last = None;
    Journal::at(places).read(&filter, &mut |entry| {
        last = Some(entry.run);
        true
    })?;
    Ok(last)
}

/// The targets of which it is on record that nothing of a run ever ran there.
///
/// # Errors
/// Exit 74, where the journal can't be read.
pub(crate) fn nothing_ran(places: &Places, run: JobId) -> Result<HashSet<String>> {
    let filter =
        Filter { verbs: ["run".into()].into(), run: Some(Run::Id(run)), ..Filter::default() };
    let mut nothing: HashMap<String, bool> = HashMap::new();
    Journal::at(places).read(&filter, &mut |entry| {
        let ran = !matches!(entry.kind.as_str(), "failed" | "no" | "stranger" | "skipped");
        *nothing.entry(entry.target).or_insert(true) &= !ran;
        true
    })?;
    Ok(nothing.into_iter().filter(|(_, nothing)| *nothing).map(|(target, _)| target).collect())
}

/// `journal`: what was done from here, oldest first; of these targets only,
/// where some are named. They may have left the targets file.
///
/// # Errors
/// Exit 74.
pub(crate) fn show(common: &Common, targets: &[String]) -> Result<u8> {
    let filter = Filter { targets: targets.iter().cloned().collect(), ..Filter::default() };
    let mut printed = Ok(());
    let torn = Journal::at(&common.places).read(&filter, &mut |entry| {
        let line = if common.json { object(&entry) } else { line(&entry) };
        printed = print(&line);
        printed.is_ok()
    })?;
    printed?;
    if torn > 0 && common.verbose {
        print(&format!("# {torn} lines were torn by a crash\n"))?;
    }
    Ok(0)
}

fn line(entry: &Entry) -> String {
    let mut line = format!(
        "{} {} {} {} {}",
        utc(entry.time),
        printable(entry.verb.as_bytes()),
        printable(entry.target.as_bytes()),
        printable(entry.kind.as_bytes()),
        entry.code
    );
    for (key, value) in [
        ("job", entry.job.as_ref().map(JobId::to_string)),
        ("package", entry.package.map(|digest| digest.to_string())),
        ("by", Some(printable(entry.who.as_bytes()))),
        ("audit", entry.audit.map(|head| head.to_string())),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" {key}={value}"));
        }
    }
    line.push('\n');
    line
}

fn object(entry: &Entry) -> String {
    JsonObject::of("action")
        .text("time", &utc(entry.time))
        .text("verb", &entry.verb)
        .text("target", &entry.target)
        .text("kind", &entry.kind)
        .number("code", entry.code)
        .number("status", entry.status.into())
        .text("run", entry.run.as_str())
        .text("by", &entry.who)
        .text_or_null("job", entry.job.as_ref().map(JobId::as_str))
        .text_or_null("package", entry.package.map(|digest| digest.to_string()).as_deref())
        .text_or_null(
            "tentacle",
            entry.tentacle.map(|thumbprint| thumbprint.to_string()).as_deref(),
        )
        .text_or_null("audit", entry.audit.map(|head| head.to_string()).as_deref())
        .line()
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::tentacle::job::EndKind;

    #[test]
    fn a_run_is_remembered_with_its_results() {
        let directory = tempfile::tempdir().expect("tempdir");
        let places = Places { config: "/c".into(), state: directory.path().join("s") };
        assert!(results(&places, Run::Last).expect("none").is_empty());
        let job = JobId::parse("20260101T000000-abcdefghijklm").expect("an id");
        let journal =
            JournalWriter::open(&places, "run", Some(&job), "ann@laptop", vec![]).expect("opens");
        let note = |target: &str, outcome: Outcome| journal.note(target, &outcome).expect("noted");
        note("web1", Outcome::ended(EndKind::Exit(3), None));
        note("web1", Outcome::ended(EndKind::Exit(4), None));
        note("web2", Outcome::ended(EndKind::Exit(1), None));
        note("web2", Outcome { job: Some(job.clone()), ..Outcome::done() });
        note("web2", Outcome::skipped("stopped"));
        note("web3", Outcome::left(&job, true));
        let other =
            JournalWriter::open(&places, "cancel", None, "ann@laptop", vec![]).expect("opens");
        other.note("web1", &Outcome::done()).expect("noted");
        for run in [Run::Last, Run::Id(job.clone())] {
            let results = results(&places, run).expect("read");
            assert_eq!(
                results["web1"],
                TargetResult { result: Verdict::Failed, job: None, failures: 2 }
            );
            assert_eq!(results["web2"].result, Verdict::Ok);
            assert_eq!(results["web3"].result, Verdict::Unknown);
            assert_eq!(results["web3"].job.as_ref(), Some(&job));
        }
        note("web4", Outcome::skipped("stopped"));
        assert_eq!(nothing_ran(&places, job).expect("read"), HashSet::from(["web4".to_string()]));
    }
}
