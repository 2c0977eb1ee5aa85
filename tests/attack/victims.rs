//! What an attack is after: files of root's, whose bytes must appear nowhere and which
//! must stay as they are.

use crate::support::{NOBODY, Sandbox, set_mode};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In both files that only root reads.
pub(crate) const SECRET: &str = "the-secret-of-root";

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

    /// Nothing that the listener's user can read below this directory has the secret.
    pub(crate) fn assert_hidden_from_the_listener(&self, state: &Path) {
        let id = format!("--reuid={NOBODY}");
        let found = Command::new("setpriv")
            .args([&id[..], "--regid=65534", "--clear-groups", "timeout", "60"])
            .args(["grep", "--recursive", "--devices=skip", "--files-with-matches", SECRET])
            .arg(state)
            .output()
            .expect("grep");
        // 1 is that nothing was found, 2 that some could not be read.
        let said = String::from_utf8_lossy(&found.stdout);
        assert!(said.is_empty() && found.status.code() != Some(124), "{said}");
    }
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
