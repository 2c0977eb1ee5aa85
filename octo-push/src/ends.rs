//! `--end` and `--outputs`: what came of a job, in files for scripts to read.

use crate::outcome::{Kind, Outcome};
use crate::verbs::Ends;
use octo_core::error::{Error, Result};
use octo_core::publish;
use octo_core::targets::Target;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file name with `%n` as this target's name.
pub(crate) fn named(pattern: &str, target: &Target) -> PathBuf {
    PathBuf::from(pattern.replace("%n", target.name.as_str()))
}

/// Before it begins: several targets need several files, and a file of an older
/// run must not be taken for this one's.
///
/// # Errors
/// Exit 64 without `%n`; 74 where an old file can't be removed.
pub(crate) fn prepare(ends: &Ends, targets: &[Target]) -> Result<()> {
    for (option, file) in [("--outputs", &ends.outputs), ("-o", &ends.output)] {
        if let Some(file) = file
            && targets.len() > 1
            && !file.contains("%n")
        {
            return Err(Error::usage(format!("{option} {file}: several targets need %n in it"))
                .hint(format!("{option} 'out.%n' gives each target its own file")));
        }
    }
    for pattern in [&ends.end, &ends.outputs].into_iter().flatten() {
        for target in targets {
            let path = named(pattern, target);
            if path.is_file() {
                std::fs::remove_file(&path)
                    .map_err(|error| Error::doing("remove", &path, &error))?;
            }
        }
    }
    Ok(())
}

/// After all is over: writes what was asked for.
///
/// # Errors
/// Exit 73 or 74; the jobs have ended all the same.
pub(crate) fn write(
    ends: &Ends,
    targets: &[Target],
    outcomes: &BTreeMap<usize, Outcome>,
) -> Result<()> {
    let mut records: BTreeMap<PathBuf, String> = BTreeMap::new();
    for (index, outcome) in outcomes {
        let target = &targets[*index];
        if let Some(pattern) = &ends.end {
            let record = outcome.record(target.name.as_str()).encode();
            records.entry(named(pattern, target)).or_default().push_str(&record);
        }
        if let Some(pattern) = &ends.outputs
            && matches!(outcome.kind, Kind::End(_))
        {
            put(&named(pattern, target), &outcome.outputs)?;
        }
    }
    for (path, text) in records {
        put(&path, text.as_bytes())?;
    }
    Ok(())
}

/// A file appears whole; what is no file (a pipe, /dev/stderr) is written to.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() && !path.is_file() {
        return OpenOptions::new()
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|error| Error::io(path, &error));
    }
    publish::replace(path, bytes, 0o600)
}
