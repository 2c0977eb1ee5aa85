//! What the journal knows of one run: the last result at each target, and where its
//! jobs may be.

use crate::records::journal::entry::{BEGUN, Entry, SKIPPED};
use crate::records::journal::file::Journal;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use octo_core::base::paths::Places;
use std::collections::{HashMap, HashSet};

/// The verbs whose result is the target's result.
const RESULTS: [&str; 3] = ["put", "run", "follow"];

/// Those that make a job, which can be followed by its id alone.
const JOBS: [&str; 3] = ["run", "freeze", "thaw"];

/// What a target's last result was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetResult {
    Succeeded,
    Failed,
    /// Accepted, but its end is not known: the same id is asked for again.
    Unknown,
}

/// What is on record of a run or a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunRecord {
    targets: HashMap<String, TargetRecord>,
}

/// What is on record of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TargetRecord {
    /// The last result; none of what was only begun.
    pub(crate) result: Option<TargetResult>,
    pub(crate) failures: u64,
    /// That result is that nobody answered there, so that nothing ran.
    is_unreachable: bool,
    /// The job that it was asked for last: that of a retry is another than the
    /// rollout's.
    pub(crate) job: Option<JobId>,
    jobs: HashMap<JobId, JobRecord>,
}

/// What became of one job at one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct JobRecord {
    /// How often it was begun and no end followed: an octo-push was killed, or is
    /// at work.
    open: i64,
    /// It was asked for, whatever the answer.
    was_asked: bool,
    /// It may have been accepted.
    may_have_run: bool,
}

impl RunRecord {
    /// Reads what is on record of this run, or of the run of this job.
    ///
    /// # Errors
    /// Exit 74, where the journal can't be read.
    pub(crate) fn read(places: &Places, id: &JobId) -> Result<RunRecord> {
        let mut record = RunRecord::default();
        Journal::at(places).of(id, &mut |entry| record.add(id, entry))?;
        Ok(record)
    }

    /// What is on record of this target.
    pub(crate) fn target(&self, name: &str) -> Option<&TargetRecord> {
        self.targets.get(name)
    }

    /// The job that this target was asked for last in the run `main`: of a retry it is
    /// another.
    pub(crate) fn job_of<'a>(&'a self, target: &str, main: &'a JobId) -> &'a JobId {
        self.target(target).and_then(|target| target.job.as_ref()).unwrap_or(main)
    }

    /// Is there a result of any target?
    pub(crate) fn has_results(&self) -> bool {
        self.targets.values().any(|target| target.result.is_some())
    }

    /// The targets whose last result is this.
    pub(crate) fn with_result(&self, result: TargetResult) -> HashSet<String> {
        self.names(&|target| target.result == Some(result))
    }

    /// The targets that could not be reached the last time: of those that failed, they.
    pub(crate) fn unreachable(&self) -> HashSet<String> {
        self.names(&|target| target.is_unreachable)
    }

    /// The targets that may have been asked for a job, whatever they answered.
    pub(crate) fn asked(&self) -> HashSet<String> {
        self.names(&|target| target.jobs.values().any(|job| job.open > 0 || job.was_asked))
    }

    fn names(&self, are_meant: &dyn Fn(&TargetRecord) -> bool) -> HashSet<String> {
        let meant = self.targets.iter().filter(|(_, target)| are_meant(target));
        meant.map(|(name, _)| name.clone()).collect()
    }

    /// Adds a line; the newest come first.
    fn add(&mut self, id: &JobId, entry: Entry) {
        let counts = entry.run == *id && is_result(&entry);
        let (succeeded, is_unreachable) = (entry.succeeded(), entry.is_unreachable());
        let target = self.targets.entry(entry.target).or_default();
        let kind = entry.kind.as_str();
        if JOBS.contains(&entry.verb.as_str())
            && let Some(job) = &entry.job
        {
            let record = target.jobs.entry(job.clone()).or_default();
            record.add(kind);
            let was_asked = if kind == BEGUN { record.open > 0 } else { kind != SKIPPED };
            if was_asked && target.job.is_none() {
                target.job = entry.job.clone();
            }
        }
        if !counts {
            return;
        }
        let result = match kind {
            _ if succeeded => TargetResult::Succeeded,
            "unknown" => TargetResult::Unknown,
            _ => TargetResult::Failed,
        };
        if target.result.is_none() {
            target.result = Some(result);
            target.is_unreachable = is_unreachable;
        }
        target.failures += u64::from(result == TargetResult::Failed);
    }
}

impl TargetRecord {
    /// May this job have been accepted? If the target doesn't answer now, that
    /// nothing ran can't be said.
    pub(crate) fn may_have_run(&self, job: &JobId) -> bool {
        self.jobs.get(job).is_some_and(|job| job.open > 0 || job.may_have_run)
    }
}

impl JobRecord {
    fn add(&mut self, kind: &str) {
        if kind == BEGUN {
            self.open += 1;
            return;
        }
        self.open -= 1;
        self.was_asked |= kind != SKIPPED;
        self.may_have_run |= !matches!(kind, "failed" | "no" | "stranger" | SKIPPED);
    }
}

/// The last run of which there is a result: what `failed:LAST` means.
///
/// # Errors
/// Exit 74, where the journal can't be read.
pub(crate) fn last_run(places: &Places) -> Result<Option<JobId>> {
    Journal::at(places).last_run(&RESULTS, &is_result)
}

fn is_result(entry: &Entry) -> bool {
    RESULTS.contains(&entry.verb.as_str()) && !matches!(entry.kind.as_str(), BEGUN | "skipped")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::writer::JournalWriter;
    use crate::target::outcome::{Outcome, OutcomeKind};
    use octo_core::tentacle::job::EndKind;

    struct Records {
        places: Places,
        id: JobId,
        retry: JobId,
        _directory: tempfile::TempDir,
    }

    fn scene() -> Records {
        let directory = tempfile::tempdir().expect("tempdir");
        let places = Places { config: "/c".into(), state: directory.path().join("s") };
        let id = |text| JobId::parse(text).expect("an id");
        let (id, retry) =
            (id("20260101T000000-aaaaaaaaaaaaa"), id("20260101T000000-bbbbbbbbbbbbb"));
        Records { places, id, retry, _directory: directory }
    }

    impl Records {
        fn writer(&self, verb: &'static str) -> JournalWriter {
            JournalWriter::new(&self.places, verb, &self.id, "ann@laptop", vec![])
        }

        fn record(&self) -> RunRecord {
            RunRecord::read(&self.places, &self.id).expect("read")
        }
    }

    fn exit(code: u8, job: &JobId) -> Outcome {
        Outcome { job: Some(job.clone()), ..Outcome::ended(EndKind::Exit(code), None) }
    }

    #[test]
    fn the_last_result_counts_and_failures_add_up() {
        let scene = scene();
        assert_eq!(last_run(&scene.places).expect("none"), None);
        assert_eq!(scene.record(), RunRecord::default());
        let (id, run) = (&scene.id, scene.writer("run"));
        run.begin([("web1", id), ("web2", id), ("web3", id)]).expect("begun");
        assert_eq!(last_run(&scene.places).expect("none"), None);
        let end = |target, outcome: Outcome| {
            run.end(target, outcome.job.as_ref(), &outcome).expect("written")
        };
        end("web1", exit(3, id));
        end("web1", exit(4, id));
        end("web2", exit(1, id));
        end("web2", exit(0, id));
        end("web2", Outcome::skipped("stopped"));
        end("web3", Outcome::left(id, true));
        let away = || Outcome::unreachable(None);
        end("web4", away());
        // It was back, and failed; the other one went away later.
        end("web5", away());
        end("web5", exit(5, id));
        end("web6", exit(6, id));
        end("web6", away());
        end("web7", Outcome::unreachable(Some(id)));
        let other = JobId::parse("20260102T000000-aaaaaaaaaaaaa").expect("an id");
        let cancel = JournalWriter::new(&scene.places, "cancel", &other, "ann@laptop", vec![]);
        cancel.end("web1", Some(id), &Outcome::done()).expect("written");
        assert_eq!(last_run(&scene.places).expect("read").as_ref(), Some(id));
        let record = scene.record();
        let result = |name| record.target(name).map(|target| (target.result, target.failures));
        assert_eq!(result("web1"), Some((Some(TargetResult::Failed), 2)));
        assert_eq!(result("web2"), Some((Some(TargetResult::Succeeded), 1)));
        assert_eq!(result("web3"), Some((Some(TargetResult::Unknown), 0)));
        let sorted = |names: HashSet<String>| {
            let mut names: Vec<String> = names.into_iter().collect();
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(sorted(record.with_result(TargetResult::Failed)), "web1 web4 web5 web6");
        assert_eq!(sorted(record.unreachable()), "web4 web6");
    }

    #[test]
    fn what_was_begun_and_has_no_end_may_run() {
        let scene = scene();
        let (id, retry, run) = (&scene.id, &scene.retry, scene.writer("run"));
        let names = ["killed", "ended", "nobody", "skipped", "twice", "retried"];
        run.begin(names.map(|name| (name, id))).expect("begun");
        let end = |name, outcome| run.end(name, Some(id), &outcome).expect("written");
        end("ended", exit(1, id));
        for name in ["nobody", "twice", "retried"] {
            end(name, Outcome { kind: OutcomeKind::Failed, ..Outcome::skipped("unreachable") });
        }
        end("skipped", Outcome::skipped("stopped"));
        run.begin([("twice", id), ("retried", retry)]).expect("begun");
        let record = scene.record();
        let may = |id: &JobId| -> Vec<&str> {
            let target = |name: &&str| record.target(name).is_some_and(|t| t.may_have_run(id));
            names.into_iter().filter(target).collect()
        };
        assert_eq!(may(id), ["killed", "ended", "twice"]);
        assert_eq!(may(retry), ["retried"]);
        let asked = ["killed", "ended", "nobody", "twice", "retried"].map(String::from);
        assert_eq!(record.asked(), HashSet::from(asked));
        let last = |name| record.target(name).and_then(|target| target.job.as_ref());
        assert_eq!(
            (last("killed"), last("retried"), last("skipped")),
            (Some(id), Some(retry), None)
        );
        // The id of a retry finds its targets too.
        let of_retry = RunRecord::read(&scene.places, retry).expect("read");
        assert_eq!(of_retry.asked(), HashSet::from(["retried".to_string()]));
        assert!(!of_retry.has_results());
    }
}
