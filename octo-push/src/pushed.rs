//! STATE/pushed: the jobs that this octopus asked for, written down before the
//! first byte goes out, so that an octo-push that was killed can be followed,
//! repeated or continued by the job's id alone.
//!
//! `JOB` is a record: what, when, and a line a target. `JOB.results` gets a line
//! for each target that ended. Neither decides anything at a tentacle.

use crate::outcome::{Kind, Outcome};
use octo_core::cli::utc_now;
use octo_core::error::{Error, Exit, Result};
use octo_core::names::JobId;
use octo_core::paths::{Places, create_directory, read_bounded};
use octo_core::publish;
use octo_core::record::Record;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How long a job is remembered.
const KEPT: Duration = Duration::from_secs(90 * 86400);
/// 10,000 targets with long names take about 1 MiB.
const LARGEST: u64 = 64 << 20;

/// What is on record of one job.
#[derive(Debug)]
pub(crate) struct Pushed {
    /// The job.
    pub(crate) job: JobId,
    /// Its targets' names, in the order of the selection.
    pub(crate) targets: Vec<String>,
    /// The last result of each target.
    pub(crate) results: HashMap<String, Told>,
    path: PathBuf,
}

/// How it went with a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Well?
    pub(crate) result: Verdict,
    /// The job id that it had there.
    pub(crate) job: JobId,
    /// How often it was tried and failed.
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

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Failed => "failed",
            Verdict::Unknown => "unknown",
        }
    }
}

impl Pushed {
    /// Writes a job down before it is sent; one that is there already is added to.
    ///
    /// # Errors
    /// Exit 73 or 74: a job that can't be written down is not sent.
    pub(crate) fn begin(
        places: &Places,
        job: &JobId,
        what: &str,
        targets: &[String],
    ) -> Result<Pushed> {
        let directory = places.state.join("pushed");
        create_directory(&directory, 0o700)?;
        let mut pushed = Pushed::load(places, job)?.unwrap_or_else(|| Pushed {
            job: job.clone(),
            targets: Vec::new(),
            results: HashMap::new(),
            path: directory.join(job.as_str()),
        });
        for target in targets {
            if !pushed.targets.contains(target) {
                pushed.targets.push(target.clone());
            }
        }
        let mut record = Record::new();
        record.text("job", job);
        record.text("time", utc_now());
        record.text("what", what);
        for target in &pushed.targets {
            record.text("target", target);
        }
        publish::replace(&pushed.path, record.encode().as_bytes(), 0o600)?;
        // One in sixteen: jobs are forgotten sooner or later, none waits for it.
        if job.as_str().ends_with(['a', 'b']) {
            forget(&directory);
        }
        Ok(pushed)
    }

    /// What is on record of a job, if anything is.
    ///
    /// # Errors
    /// Exit 65 or 74 where it can't be read.
    pub(crate) fn load(places: &Places, job: &JobId) -> Result<Option<Pushed>> {
        let path = places.state.join("pushed").join(job.as_str());
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&path, &error)),
        };
        let bytes = read_bounded(&mut file, &path, LARGEST)?;
        let record = Record::parse(&bytes).map_err(|line| {
            Error::new(Exit::Data, path.display(), format!("line {line} is damaged"))
        })?;
        let targets = record
            .all("target")
            .filter_map(|values| String::from_utf8(values.first()?.clone()).ok())
            .collect();
        let mut pushed = Pushed { job: job.clone(), targets, results: HashMap::new(), path };
        pushed.load_results()?;
        Ok(Some(pushed))
    }

    /// The job that was pushed last.
    ///
    /// # Errors
    /// Exit 65 or 74 where it can't be read.
    pub(crate) fn last(places: &Places) -> Result<Option<Pushed>> {
        let directory = places.state.join("pushed");
        let Ok(entries) = std::fs::read_dir(&directory) else { return Ok(None) };
        let newest = entries
            .flatten()
            .filter_map(|entry| {
                let job = JobId::parse(entry.file_name().to_str()?)?;
                Some((entry.metadata().ok()?.modified().ok()?, job))
            })
            .max_by(|a, b| (a.0, a.1.as_str()).cmp(&(b.0, b.1.as_str())));
        match newest {
            Some((_, job)) => Pushed::load(places, &job),
            None => Ok(None),
        }
    }

    /// The names of the targets that failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &String> {
        let failed = |told: &Told| told.result == Verdict::Failed;
        self.results.iter().filter(move |(_, told)| failed(told)).map(|(name, _)| name)
    }

    /// Writes a target's result down. A line that a power cut takes is asked for
    /// again by the same id, so that it needs no fsync.
    ///
    /// # Errors
    /// Exit 74.
    pub(crate) fn tell(&mut self, target: &str, outcome: &Outcome) -> Result<()> {
        let result = match outcome.kind {
            Kind::Skipped => return Ok(()),
            _ if outcome.succeeded() => Verdict::Ok,
            Kind::Unknown => Verdict::Unknown,
            _ => Verdict::Failed,
        };
        let job = outcome.job.clone().unwrap_or_else(|| self.job.clone());
        let before = self.results.get(target).map_or(0, |told| told.failures);
        let failures = before + u64::from(result == Verdict::Failed);
        let mut record = Record::new();
        record.push(
            "result",
            &[
                target.as_bytes(),
                result.word().as_bytes(),
                job.as_str().as_bytes(),
                outcome.status.to_string().as_bytes(),
            ],
        );
        let path = self.results_path();
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(record.encode().as_bytes()))
            .map_err(|error| Error::io(&path, &error))?;
        self.results.insert(target.to_string(), Told { result, job, failures });
        Ok(())
    }

    fn results_path(&self) -> PathBuf {
        self.path.with_file_name(format!("{}.results", self.job))
    }

    fn load_results(&mut self) -> Result<()> {
        let path = self.results_path();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io(&path, &error)),
        };
        let bytes = read_bounded(&mut file, &path, LARGEST)?;
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            // A line that a crash cut short says nothing.
            let Ok(record) = Record::parse(line) else { continue };
            for values in record.all("result") {
                self.take_result(values);
            }
        }
        Ok(())
    }

    fn take_result(&mut self, values: &[Vec<u8>]) -> Option<()> {
        let text = |index: usize| std::str::from_utf8(values.get(index)?).ok();
        let target = text(0)?;
        let word = text(1)?;
        let result = [Verdict::Ok, Verdict::Failed, Verdict::Unknown]
            .into_iter()
            .find(|r| r.word() == word)?;
        let job = JobId::parse(text(2)?)?;
        let before = self.results.get(target).map_or(0, |told| told.failures);
        let failures = before + u64::from(result == Verdict::Failed);
        self.results.insert(target.to_string(), Told { result, job, failures });
        Some(())
    }
}

fn forget(directory: &std::path::Path) {
    let Some(limit) = SystemTime::now().checked_sub(KEPT) else { return };
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let old = entry.metadata().and_then(|m| m.modified()).is_ok_and(|time| time < limit);
        let ours = entry.file_name().to_str().is_some_and(|name| {
            JobId::parse(name.strip_suffix(".results").unwrap_or(name)).is_some()
        });
        if old && ours {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::job::EndKind;

    #[test]
    fn a_job_is_remembered_with_its_results() {
        let directory = tempfile::tempdir().expect("tempdir");
        let places =
            Places { config: directory.path().join("c"), state: directory.path().join("s") };
        assert!(Pushed::last(&places).expect("none").is_none());
        let job = JobId::parse("20260101T000000-abcdefghijklm").expect("an id");
        let names = ["web1".to_string(), "web2".into(), "web3".into()];
        let mut pushed = Pushed::begin(&places, &job, "x.sh", &names[..2]).expect("begin");
        pushed.tell("web1", &Outcome::ended(EndKind::Exit(3), None)).expect("tell");
        pushed.tell("web1", &Outcome::ended(EndKind::Exit(4), None)).expect("tell");
        pushed.tell("web2", &Outcome::done()).expect("tell");
        pushed.tell("web2", &Outcome::skipped("stopped")).expect("tell");
        let again = Pushed::begin(&places, &job, "x.sh", &names[1..]).expect("begin again");
        assert_eq!(again.targets, names);
        let last = Pushed::last(&places).expect("last").expect("one");
        assert_eq!(last.job, job);
        assert_eq!(last.failed().collect::<Vec<_>>(), ["web1"]);
        assert_eq!(last.results["web1"].failures, 2);
        assert_eq!(last.results["web2"].result, Verdict::Ok);
        // A torn line is passed over.
        let path = places.state.join(format!("pushed/{job}.results"));
        let mut bytes = std::fs::read(&path).expect("read");
        bytes.extend_from_slice(b"result web3 fai");
        std::fs::write(&path, bytes).expect("write");
        let pushed = Pushed::load(&places, &job).expect("load").expect("one");
        assert_eq!(pushed.results.len(), 2);
    }
}
