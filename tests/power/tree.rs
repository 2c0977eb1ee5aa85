//! What a power cut left: files by their paths, to be built somewhere else.

use octo_core::Digest;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

/// A tree, by the paths in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Entry>);

/// What it is, with its mode and owners.
pub(crate) type Entry = (Kind, u32, (u32, u32));

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    File(Vec<u8>),
    Directory,
    Link(String),
}

/// Says whether there was something to replace.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) -> bool {
    assert_eq!(from.len(), to.len());
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|w| w == from) {
        bytes[at + found..at + found + to.len()].copy_from_slice(to);
        at += found + to.len();
    }
    at > 0
}

fn replace_in_parts(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let mut at = 0;
    while let Some(end) = bytes[at..].iter().position(|b| *b == b'\n').map(|end| at + end) {
        let head = String::from_utf8_lossy(&bytes[at..end]).into_owned();
        let words: Vec<&str> = head.split(' ').collect();
        let [_, _, length, digest] = words[..] else { return };
        let Ok(length) = length.parse::<usize>() else { return };
        let Some(part) = bytes.get_mut(end + 1..end + 1 + length) else { return };
        let is_whole = Digest::of(part).to_string() == digest;
        if replace(part, from, to) && is_whole {
            let digest = Digest::of(part).to_string();
            bytes[end - digest.len()..end].copy_from_slice(digest.as_bytes());
        }
        at = end + length + 2;
        if at > bytes.len() {
            return;
        }
    }
}

impl Tree {
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }

    /// Replaces these words in what all files hold: of the same length. In a job's record each
    /// part has the digest that it now needs, if it had one before.
    pub(crate) fn replace(&mut self, from: &[u8], to: &[u8]) {
        for (path, (kind, _, _)) in &mut self.0 {
            let Kind::File(bytes) = kind else { continue };
            match path.ends_with("/record") {
                true => replace_in_parts(bytes, from, to),
                false => drop(replace(bytes, from, to)),
            }
        }
    }

    /// Takes the files below this path out of it.
    pub(crate) fn without(mut self, path: &str) -> Tree {
        self.0.retain(|name, _| !name.starts_with(&format!("{path}/")));
        self
    }

    /// What a file holds.
    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        match self.0.get(path) {
            Some((Kind::File(bytes), _, _)) => Some(bytes),
            _ => None,
        }
    }

    /// Builds it in this directory.
    pub(crate) fn build(&self, top: &Path) {
        let is_root = rustix::process::geteuid().is_root();
        for (path, (kind, _, owner)) in &self.0 {
            let path = top.join(path);
            match kind {
                Kind::File(bytes) => std::fs::write(&path, bytes).expect("write"),
                Kind::Directory => std::fs::create_dir_all(&path).expect("mkdir"),
                Kind::Link(target) => symlink(target, &path).expect("symlink"),
            }
            if is_root && !matches!(kind, Kind::Link(_)) {
                chown(&path, Some(owner.0), Some(owner.1)).expect("chown");
            }
        }
        // Those of directories last, the deepest first: some may forbid to write.
        for (path, (kind, mode, _)) in self.0.iter().rev() {
            if !matches!(kind, Kind::Link(_)) {
                let permissions = std::fs::Permissions::from_mode(*mode);
                std::fs::set_permissions(top.join(path), permissions).expect("chmod");
            }
        }
    }
}
