//! The files of STATE/heads: one a target, appended to by several octo-push at once, and
//! written anew, shorter, once it is long.

use super::heard::Heard;
use super::known::Known;
use super::line::HeadLine;
use octo_core::base::appended::{self, Access};
use octo_core::base::error::{Error, Result};
use octo_core::base::paths::{Places, create_directory, if_there};
use octo_core::base::publish::{self, TEMPORARY_PREFIX};
use octo_core::base::thumbprint::Thumbprint;
use octo_core::targets::Target;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// More of a file is not read: none of ours is longer.
const MOST_READ: u64 = 1 << 20;
/// A file that is longer is written anew, at the latest when it is twice as long.
const LONG: u64 = 16 * 1024;
/// So many files are brought to the disk one by one.
const FEW: usize = 8;

/// STATE/heads. Threads share one.
#[derive(Debug)]
pub(crate) struct HeadStore {
    directory: PathBuf,
    /// What must be on the disk before the call is over.
    unsynced: Mutex<Vec<PathBuf>>,
}

impl HeadStore {
    /// That of these places; nothing is opened before it is needed.
    pub(crate) fn at(places: &Places) -> HeadStore {
        HeadStore { directory: places.state.join("heads"), unsynced: Mutex::default() }
    }

    /// Where a target's are.
    pub(crate) fn path(&self, target: &str) -> PathBuf {
        self.directory.join(target)
    }

    /// Where somebody moves them who has seen to a fault: beside the directory, in which a
    /// file is a target.
    pub(crate) fn kept_elsewhere(&self, target: &str) -> PathBuf {
        self.directory.with_file_name(format!("heads-of-{target}"))
    }

    /// What is known of a target, as far as it is of whom its line trusts.
    ///
    /// # Errors
    /// Where its file can't be read.
    pub(crate) fn known(&self, target: &Target) -> Result<Known> {
        Ok(Known::of_trusted(self.lines(target.name.as_str())?, &target.trust))
    }

    /// What is known of who had this name last.
    ///
    /// # Errors
    /// Where its file can't be read.
    pub(crate) fn known_last(&self, target: &str) -> Result<Known> {
        Ok(Known::of_last(self.lines(target)?))
    }

    fn lines(&self, target: &str) -> Result<Vec<HeadLine>> {
        let path = self.path(target);
        match appended::open(&path, Access::Read)? {
            Some(file) => Ok(HeadLine::all(&read(&file, &path)?)),
            None => Ok(Vec::new()),
        }
    }

    /// The targets of which something is known, by their names.
    ///
    /// # Errors
    /// Where the directory can't be read.
    pub(crate) fn targets(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in if_there(&self.directory, self.directory.read_dir())?.into_iter().flatten() {
            let entry = entry.map_err(|e| Error::io(&self.directory, &e))?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if !name.is_empty() && !name.starts_with(TEMPORARY_PREFIX) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Keeps what was heard of a target. It survives this process; what is more than a
    /// newer head also a power cut, once [`HeadStore::sync`] has returned.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(crate) fn keep(
        &self,
        target: &str,
        tentacle: Option<Thumbprint>,
        heard: &Heard,
    ) -> Result<()> {
        let lines: Vec<HeadLine> =
            heard.lines().map(|line| HeadLine { tentacle, ..line.clone() }).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let path = self.path(target);
        create_directory(&self.directory, 0o700)?;
        self.append(&path, &lines)?;
        if heard.must_be_synced() {
            self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).push(path);
        }
        Ok(())
    }

    fn append(&self, path: &Path, lines: &[HeadLine]) -> Result<()> {
        loop {
            let file = appended::open_or_create(path, Access::Append, 0o600.into())?;
            appended::lock(&file, path, true)?;
            // Another may have written it anew meanwhile.
            if !appended::is_at(&file, path)? {
                continue;
            }
            let failed = |e: std::io::Error| Error::doing("write", path, &e);
            let size = file.metadata().map_err(failed)?.len();
            if size <= longest(path) {
                return write(&file, size, lines).map_err(failed);
            }
            let mut all = HeadLine::all(&read(&file, path)?);
            all.extend(lines.iter().cloned());
            return publish::replace(path, Known::shortened(&all).as_bytes(), 0o600);
        }
    }

    /// Brings to the disk what must be there.
    ///
    /// # Errors
    /// Where it doesn't take it.
    pub(crate) fn sync(&self) -> Result<()> {
        let paths =
            std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        if paths.len() > FEW {
            // One sync of the file system costs less than thousands of files.
            return publish::sync_system(&self.directory);
        }
        for path in &paths {
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(|e| Error::doing("write", path, &e))?;
        }
        if paths.is_empty() { Ok(()) } else { publish::sync_directory(&self.directory) }
    }
}

/// How long a file may become: of a fleet that is asked together not all files are due at
/// the same time.
fn longest(path: &Path) -> u64 {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let spread =
        name.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    LONG + spread % LONG
}

fn read(file: &File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(MOST_READ).read_to_end(&mut bytes);
    read.map_err(|e| Error::io(path, &e))?;
    Ok(bytes)
}

fn write(mut file: &File, size: u64, lines: &[HeadLine]) -> std::io::Result<()> {
    let mut last = [b'\n'];
    if size > 0 {
        file.read_exact_at(&mut last, size - 1)?;
    }
    // A line that a crash has torn ends here.
    let mut text = String::from(if last == *b"\n" { "" } else { "\n" });
    text.extend(lines.iter().map(HeadLine::encode));
    if let Err(error) = file.write_all(text.as_bytes()) {
        // A part of them may be there.
        let _ = file.set_len(size);
        return Err(error);
    }
    Ok(())
}
