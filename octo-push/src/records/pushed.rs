//! STATE/pushed: the jobs that this octopus asked for, written down before the
//! first byte goes out, so that an octo-push that was killed can be followed,
//! repeated or continued by the job's id alone.
//!
//! One record a job: what, when, and a line a target. It decides nothing at a
//! tentacle; how it went is in the journal.

use octo_core::base::cli::utc_now;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::JobId;
use octo_core::base::paths::{Places, create_directory, read_bounded};
use octo_core::base::publish;
use octo_core::base::record::Record;
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long a job is remembered.
const KEPT: Duration = Duration::from_secs(90 * 86400);
/// 10,000 targets with long names take about 1 MiB.
const LARGEST: u64 = 64 << 20;

/// Writes a job down before it is sent; the targets of one that is there
/// already are added to.
///
/// # Errors
/// Exit 73 or 74: a job that can't be written down is not sent.
pub(crate) fn begin(places: &Places, job: &JobId, what: &str, targets: &[String]) -> Result<()> {
    let directory = places.state.join("pushed");
    create_directory(&directory, 0o700)?;
    let mut all = load(places, job)?.unwrap_or_default();
    let known: HashSet<String> = all.iter().cloned().collect();
    all.extend(targets.iter().filter(|target| !known.contains(*target)).cloned());
    let mut record = Record::new();
    record.text("job", job);
    record.text("time", utc_now());
    record.text("what", what);
    for target in &all {
        record.text("target", target);
    }
    publish::replace(&directory.join(job.as_str()), record.encode().as_bytes(), 0o600)?;
    // One in sixteen: jobs are forgotten sooner or later, none waits for it.
    if job.as_str().ends_with(['a', 'b']) {
        forget(&directory);
    }
    Ok(())
}

/// The targets of a job, if it is on record.
///
/// # Errors
/// Exit 65 or 74 where it can't be read.
pub(crate) fn load(places: &Places, job: &JobId) -> Result<Option<Vec<String>>> {
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
    let text = |values: &[Vec<u8>]| String::from_utf8(values.first()?.clone()).ok();
    Ok(Some(record.all("target").filter_map(text).collect()))
}

fn forget(directory: &Path) {
    let Some(limit) = SystemTime::now().checked_sub(KEPT) else { return };
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let old = entry.metadata().and_then(|m| m.modified()).is_ok_and(|time| time < limit);
        let ours = entry.file_name().to_str().is_some_and(|name| JobId::parse(name).is_some());
        if old && ours {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_remembered_with_its_targets() {
        let directory = tempfile::tempdir().expect("tempdir");
        let places = Places { config: "/c".into(), state: directory.path().join("s") };
        let job = JobId::parse("20260101T000000-abcdefghijklm").expect("an id");
        assert_eq!(load(&places, &job).expect("none"), None);
        let names = ["web1".to_string(), "web2".into(), "web3".into()];
        begin(&places, &job, "x.sh", &names[..2]).expect("begin");
        begin(&places, &job, "x.sh", &names[1..]).expect("begin again");
        assert_eq!(load(&places, &job).expect("read"), Some(names.to_vec()));
        std::fs::write(places.state.join(format!("pushed/{job}")), "X\n").expect("write");
        assert_eq!(load(&places, &job).expect_err("damaged").exit, Exit::Data);
    }
}
