//! What an attack is after: files of root's, whose bytes must appear nowhere and which
//! must stay as they are.

use crate::separated::Separated;
use crate::support::{NOBODY, Sandbox, set_mode};
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

/// In both files that only root reads.
pub(crate) const SECRET: &str = "the-secret-of-root";
/// In a file of the listener's own.
const KNOWN: &str = "the-word-of-the-listener";

/// They, and how they were.
pub(crate) struct Victims {
    top: PathBuf,
    before: Vec<(PathBuf, String)>,
}

impl Victims {
    pub(crate) fn new(sandbox: &Sandbox) -> Victims {
        for (name, text, mode) in [
            ("victims/secret", format!("{SECRET}\n"), 0o600),
            ("victims/directory/inner", format!("{SECRET} inner\n"), 0o600),
            // A name that the listener has, too.
            ("victims/directory/below/y", format!("{SECRET} below\n"), 0o600),
            ("victims/readable", "for all\n".into(), 0o644),
        ] {
            set_mode(&sandbox.write(name, text), mode);
        }
        let top = sandbox.path("victims");
        set_mode(&top, 0o755);
        set_mode(&top.join("directory"), 0o700);
        let before = seen(&top);
        Victims { top, before }
    }

    /// A file that only root reads.
    pub(crate) fn secret(&self) -> PathBuf {
        self.top.join("secret")
    }

    /// A directory that only root reads, with one file in it.
    pub(crate) fn directory(&self) -> PathBuf {
        self.top.join("directory")
    }

    /// A file of root's that all read.
    pub(crate) fn readable(&self) -> PathBuf {
        self.top.join("readable")
    }

    /// Bytes, owner, mode, inode and time are what they were, and nothing is beside them.
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(seen(&self.top), self.before);
    }
}

/// Nothing below STATE that the listener's user can read has the secret. The same search
/// finds what that user has laid itself.
pub(crate) fn assert_hidden_from_the_listener(here: &Separated) {
    let laid = laid(here);
    let found = here
        .become_user(NOBODY)
        .args(["timeout", "60", "grep", "--files-with-matches", "-e", SECRET, "-e", KNOWN])
        .args(files(&here.places.state))
        .arg(&laid)
        .output()
        .expect("setpriv");
    std::fs::remove_file(&laid).expect("remove");
    let (names, said) =
        (String::from_utf8_lossy(&found.stdout), String::from_utf8_lossy(&found.stderr));
    let names: BTreeSet<&str> = names.lines().collect();
    assert_eq!(names, BTreeSet::from([laid.to_str().expect("UTF-8")]), "{said}");
    // 2 is that some could not be read: by their rights, and for no other reason.
    let code = found.status.code();
    assert!(code == Some(0) || code == Some(2) && !said.is_empty(), "{code:?}: {said}");
    assert!(said.lines().all(|line| line.ends_with(": Permission denied")), "{said}");
}

/// A file of the listener's user, in `listen` where that is its own.
fn laid(here: &Separated) -> PathBuf {
    let mut place = here.places.listen();
    if place.metadata().expect("stat").uid() != NOBODY {
        place = here.sandbox.path("own");
        std::fs::create_dir_all(&place).expect("mkdir");
        chown(&place, Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    let path = place.join("known");
    here.listener_does(&format!("echo {KNOWN} >{}", path.display()));
    path
}

/// Each file below, by its name: some directories are open to whoever knows one.
fn files(top: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![top.to_path_buf()]);
    while let Some(path) = left.pop() {
        let at = path.symlink_metadata().expect("stat");
        if at.is_dir() {
            left.extend(std::fs::read_dir(&path).expect("read").flatten().map(|e| e.path()));
        } else if at.is_file() {
            found.push(path);
        }
    }
    found
}

/// Each path below, with all that a write, a chmod or a chown would change. A hard link
/// of an attack's own changes the count of names alone.
fn seen(top: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![top.to_path_buf()];
    while let Some(path) = left.pop() {
        let at = path.symlink_metadata().expect("stat");
        let bytes = if at.is_file() { std::fs::read(&path).expect("read") } else { Vec::new() };
        if at.is_dir() {
            left.extend(std::fs::read_dir(&path).expect("read").flatten().map(|e| e.path()));
        }
        let (owner, mode, inode) = ((at.uid(), at.gid()), at.mode(), (at.dev(), at.ino()));
        let time = (at.mtime(), at.mtime_nsec());
        found.push((path, format!("{owner:?} {mode:o} {inode:?} {time:?} {bytes:?}")));
    }
    found.sort();
    found
}
