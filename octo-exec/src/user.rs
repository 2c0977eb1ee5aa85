//! Users of this machine, as getent(1) knows them: directory services too.

use octo_core::error::{Error, Exit, Result};
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
        .env("PATH", crate::environment::PATH)
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
