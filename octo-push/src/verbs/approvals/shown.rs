//! STATE/shown/JOB: what `show` has shown of a held job, so that `approve` approves exactly
//! that, on each of its targets, whatever a tentacle says later.
//!
//! ```text
//! shown TARGET TENTACLE DIGEST
//! ```

use octo_core::Digest;
use octo_core::base::error::{Error, Result};
use octo_core::base::names::JobId;
use octo_core::base::paths::{Places, create_directory, if_there, read_bounded};
use octo_core::base::publish;
use octo_core::base::record::Record;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::approval::EXPIRES_AFTER;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

/// More than a line for each of the most targets that one approval can be for.
const LARGEST: u64 = 16 << 20;

/// By the target's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown(BTreeMap<String, (Thumbprint, Digest)>);

fn directory(places: &Places) -> PathBuf {
    places.state.join("shown")
}

impl Shown {
    /// What was shown of this job so far.
    ///
    /// # Errors
    /// Where it can't be read. A line that is none of ours was not shown.
    pub(super) fn of(places: &Places, job: &JobId) -> Result<Shown> {
        let path = directory(places).join(job.as_str());
        let Some(mut file) = if_there(&path, File::open(&path))? else {
            return Ok(Shown::default());
        };
        let bytes = read_bounded(&mut file, &path, LARGEST)?;
        let record = Record::parse(&bytes).unwrap_or_default();
        let mut shown = Shown::default();
        for fields in record.all("shown") {
            let texts: Vec<&str> =
                fields.iter().filter_map(|field| std::str::from_utf8(field).ok()).collect();
            if let [target, tentacle, digest] = texts[..]
                && let (Ok(tentacle), Some(digest)) =
                    (Thumbprint::parse(tentacle), Digest::parse(digest))
            {
                shown.add(target, tentacle, digest);
            }
        }
        Ok(shown)
    }

    /// That this was shown of a target.
    pub(super) fn add(&mut self, target: &str, tentacle: Thumbprint, digest: Digest) {
        self.0.insert(target.to_string(), (tentacle, digest));
    }

    /// What was shown of a target.
    pub(super) fn get(&self, target: &str) -> Option<(Thumbprint, Digest)> {
        self.0.get(target).copied()
    }

    /// Writes it down, for nobody else to read or to change; what has expired goes.
    ///
    /// # Errors
    /// Exit 73 or 74.
    pub(super) fn write(&self, places: &Places, job: &JobId) -> Result<()> {
        let directory = directory(places);
        create_directory(&directory, 0o700)?;
        forget_old(&directory).map_err(|error| Error::io(&directory, &error))?;
        let mut record = Record::new();
        for (target, (tentacle, digest)) in &self.0 {
            let fields = [target.clone(), tentacle.to_string(), digest.to_string()];
            record.push("shown", &fields.each_ref().map(|field| field.as_bytes()));
        }
        let bytes = record.encode();
        publish::replace(&directory.join(job.as_str()), bytes.as_bytes(), 0o600)
    }
}

/// A job that was held for so long has expired, and waits for nobody.
fn forget_old(directory: &std::path::Path) -> std::io::Result<()> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        let age = entry.metadata().and_then(|found| found.modified());
        let is_old = age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > EXPIRES_AFTER * 2));
        if is_old && entry.file_name().to_str().and_then(JobId::parse).is_some() {
            // Somebody else may have been faster.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}
