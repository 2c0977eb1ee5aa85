//! A trust file that is asked often and changes seldom: it is parsed once a change.
//!
//! Whether others could have written it is asked each time, as is what it is now: no
//! answer is ever that of an older file.

use crate::base::error::Result;
use crate::base::identity::FileStamp;
use crate::base::problem::Problem;
use crate::base::thumbprint::Thumbprint;
use crate::trust::{Trust, open, read_all};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// It is read again after so long, whatever its times say: they may not follow what is
/// written through a mapping, or by another machine.
const BELIEVED: Duration = Duration::from_secs(10);

/// A trust file, parsed while it stays as it is.
#[derive(Debug)]
pub struct CachedTrust {
    path: PathBuf,
    /// Whose lines are asked for; `None` is anybody's.
    thumbprint: Option<Thumbprint>,
    known: Mutex<Option<Known>>,
}

/// What was read last. What is wrong with a file is kept, too: it takes as long to find.
#[derive(Debug)]
struct Known {
    stamp: FileStamp,
    /// Was it, when it was read? Else it is read again the next time.
    was_at_rest: bool,
    read: SystemTime,
    bytes: Vec<u8>,
    parsed: Result<Arc<Trust>>,
}

impl CachedTrust {
    /// The file of this path, which is not read yet.
    pub fn of(path: &Path) -> CachedTrust {
        CachedTrust { path: path.to_path_buf(), thumbprint: None, known: Mutex::default() }
    }

    /// The same, of which a thumbprint's lines are asked for, and no others.
    pub fn of_pusher(path: &Path, thumbprint: Thumbprint) -> CachedTrust {
        CachedTrust { thumbprint: Some(thumbprint), ..CachedTrust::of(path) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`Trust::load`], which it never disagrees with, but for the lines of others.
    ///
    /// # Errors
    /// Exit 78 if it is missing or unsound: then nobody may be let in.
    pub fn load(&self) -> Result<Arc<Trust>> {
        self.load_at(SystemTime::now())
    }

    fn load_at(&self, now: SystemTime) -> Result<Arc<Trust>> {
        let mut file = open(&self.path)?;
        let stamp = stamp(&file);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(known), Some(stamp)) = (&*known, stamp)
            && known.holds(stamp, now)
        {
            return known.parsed.clone();
        }
        let bytes = read_all(&mut file, &self.path)?;
        let parsed = match known.take() {
            Some(known) if known.bytes == bytes => known.parsed,
            _ => Trust::parse_of(&self.path, &bytes, self.thumbprint)
                .map(Arc::new)
                .map_err(|problems| Problem::error(&problems)),
        };
        *known = stamp.map(|stamp| Known {
            stamp,
            was_at_rest: stamp.is_at_rest(now),
            read: now,
            bytes,
            parsed: parsed.clone(),
        });
        parsed
    }
}

impl Known {
    fn holds(&self, stamp: FileStamp, now: SystemTime) -> bool {
        let is_believed = now.duration_since(self.read).is_ok_and(|age| age < BELIEVED);
        self.was_at_rest && is_believed && self.stamp == stamp
    }
}

/// `None` where the file system tells nothing: then nothing is kept.
fn stamp(file: &File) -> Option<FileStamp> {
    file.metadata().ok().map(|metadata| FileStamp::of(&metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn line(seed: &[u8]) -> String {
        format!("{} ci\n", Thumbprint::of_certificate(seed))
    }

    /// A trust file with this in it, and what asks for it.
    fn cached(top: &Path, text: &str) -> CachedTrust {
        let path = top.join("trusted");
        std::fs::write(&path, text).expect("write");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("chmod");
        CachedTrust::of(&path)
    }

    fn later(seconds: u64) -> SystemTime {
        SystemTime::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn an_unchanged_file_is_parsed_once() {
        let top = tempfile::tempdir().expect("tempdir");
        let cached = cached(top.path(), &line(b"a"));
        let first = cached.load().expect("sound");
        // Read again while it is young, and once it is settled; parsed once.
        for seconds in [0, 5, 6, 20, 60] {
            let again = cached.load_at(later(seconds)).expect("sound");
            assert!(Arc::ptr_eq(&first, &again), "{seconds} s later");
        }
        let known = cached.known.lock().expect("lock");
        assert!(known.as_ref().is_some_and(|known| known.was_at_rest));
    }

    #[test]
    fn what_is_wrong_is_found_once_as_well() {
        let top = tempfile::tempdir().expect("tempdir");
        let cached = cached(top.path(), "nonsense\n");
        let said = |error: crate::Error| error.message;
        let first = cached.load().expect_err("unsound");
        assert_eq!(said(cached.load_at(later(5)).expect_err("unsound")), first.message);
        std::fs::write(cached.path(), line(b"a")).expect("write");
        assert_eq!(cached.load().expect("sound").lines.len(), 1);
    }

    /// Within one tick of the clock a file changes twice, and looks the same: neither
    /// size nor inode nor any time has changed.
    #[test]
    fn a_change_that_no_time_tells_is_seen() {
        let top = tempfile::tempdir().expect("tempdir");
        let cached = cached(top.path(), &line(b"a"));
        let before = cached.load().expect("sound");
        std::fs::write(cached.path(), line(b"b")).expect("write");
        let now = stamp(&File::open(cached.path()).expect("open")).expect("a stamp");
        if let Some(known) = &mut *cached.known.lock().expect("lock") {
            known.stamp = now;
        }
        let after = cached.load().expect("sound");
        assert_ne!(before.lines, after.lines);
        // Where times tell nothing at all, it takes some seconds.
        std::fs::write(cached.path(), line(b"c")).expect("write");
        if let Some(known) = &mut *cached.known.lock().expect("lock") {
            known.stamp = stamp(&File::open(cached.path()).expect("open")).expect("a stamp");
            known.was_at_rest = true;
        }
        let believed = cached.load_at(later(20)).expect("sound");
        assert_ne!(believed.lines, after.lines);
    }

    #[test]
    fn a_file_that_others_may_write_is_refused_however_well_it_is_known() {
        let top = tempfile::tempdir().expect("tempdir");
        let cached = cached(top.path(), &line(b"a"));
        assert!(cached.load_at(later(5)).is_ok() && cached.load_at(later(6)).is_ok());
        // Of the directory, the file's own stamp says nothing.
        let mode = |mode| std::fs::set_permissions(top.path(), PermissionsExt::from_mode(mode));
        mode(0o777).expect("chmod");
        assert!(cached.load_at(later(6)).is_err());
        mode(0o700).expect("chmod");
        assert!(cached.load_at(later(6)).is_ok());
        std::fs::remove_file(cached.path()).expect("removed");
        assert!(cached.load_at(later(6)).is_err());
    }
}
