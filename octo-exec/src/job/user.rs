//! Users of this machine, as getent(1) knows them: directory services too.

use octo_core::base::error::{Error, Exit, Result};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A user that jobs run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
    pub(crate) shell: String,
}

impl User {
    /// The user of this name.
    pub(crate) fn named(name: &str) -> Result<User> {
        entry(name).filter(|user| user.name == name).ok_or_else(|| {
            Error::new(
                Exit::Configuration,
                format!("user {name}"),
                "there is no such user on this machine",
            )
        })
    }

    /// The user of this process.
    pub(crate) fn own() -> User {
        let uid = rustix::process::geteuid().as_raw();
        entry(&uid.to_string()).filter(|user| user.uid == uid).unwrap_or_else(|| User {
            name: uid.to_string(),
            uid,
            gid: rustix::process::getegid().as_raw(),
            home: "/".into(),
            shell: "/bin/sh".into(),
        })
    }

    /// The first directory on the way to this one that is shut to the user, as far as
    /// modes tell: with bits for a group, or an ACL's mask in their place, it may be open.
    pub(crate) fn shut_out_by(&self, path: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        let shut = |metadata: Metadata| {
            let needed = if metadata.uid() == self.uid { 0o100 } else { 0o011 };
            metadata.mode() & needed == 0
        };
        let found = way.into_iter().find(|directory| directory.metadata().is_ok_and(shut));
        found.filter(|_| self.uid != 0).map(Path::to_path_buf)
    }
}

fn entry(key: &str) -> Option<User> {
    // A key of digits is a uid to getent; a name never begins with a dash here,
    // since the trust file's and the kernel's are all that come.
    if key.starts_with('-') {
        return None;
    }
    let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mine = |line: &&str| {
        let mut fields = line.split(':');
        fields.next() == Some(key) || fields.nth(1) == Some(key)
    };
    if let Some(user) = local.lines().find(mine).and_then(parse) {
        return Some(user);
    }
    let output = Command::new("getent")
        .args(["passwd", key])
        .env_clear()
        .env("PATH", crate::job::environment::PATH)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse(String::from_utf8_lossy(&output.stdout).lines().next()?)
}

fn parse(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
    Some(User {
        name: name.to_string(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_string(),
        shell: if shell.is_empty() { "/bin/sh" } else { shell }.to_string(),
    })
}
