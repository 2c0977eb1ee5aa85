//! Users of this machine: those of /etc/passwd, and those that getent(1) knows
//! besides, of directory services.

use std::collections::HashSet;
use std::process::{Command, Stdio};

/// Where the base utilities are; the caller's PATH is not where we look.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// So many are asked for at once.
const ASKED: usize = 1000;

/// A user, as passwd(5) has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
    /// The home directory.
    pub home: String,
    /// The shell; /bin/sh where none is named.
    pub shell: String,
}

/// How a user is looked for.
#[derive(Debug, Clone, Copy)]
enum By<'a> {
    Name(&'a str),
    Uid(u32),
}

/// The user of this name; `None` where nobody knows it.
pub fn named(name: &str) -> Option<User> {
    local(By::Name(name)).or_else(|| elsewhere(By::Name(name)))
}

/// The user of this number; `None` where nobody knows it.
pub fn of_uid(uid: u32) -> Option<User> {
    local_of_uid(uid).or_else(|| elsewhere(By::Uid(uid)))
}

/// The name of this user, or the number where nobody knows it.
pub fn name_of(uid: u32) -> String {
    of_uid(uid).map_or_else(|| uid.to_string(), |user| user.name)
}

/// As [`of_uid`], from /etc/passwd alone: what is shown in a record is not worth
/// a query over the network.
pub(crate) fn local_of_uid(uid: u32) -> Option<User> {
    local(By::Uid(uid))
}

/// Those of these names that nobody knows; one look for all of them.
pub fn unknown<'a>(names: impl IntoIterator<Item = &'a str>) -> HashSet<&'a str> {
    let mut unknown: HashSet<&str> = names.into_iter().collect();
    remove_found(&mut unknown, &passwd());
    let asked: Vec<String> =
        unknown.iter().filter(|name| is_askable(name)).map(ToString::to_string).collect();
    for some in asked.chunks(ASKED) {
        remove_found(&mut unknown, &getent(some));
    }
    unknown
}

fn remove_found(names: &mut HashSet<&str>, bytes: &[u8]) {
    for user in String::from_utf8_lossy(bytes).lines().filter_map(user) {
        names.remove(user.name.as_str());
    }
}

fn local(by: By<'_>) -> Option<User> {
    in_passwd(&passwd(), by)
}

fn elsewhere(by: By<'_>) -> Option<User> {
    let asked = match by {
        By::Uid(uid) => uid.to_string(),
        By::Name(name) if !is_askable(name) => return None,
        By::Name(name) => name.to_string(),
    };
    in_passwd(&getent(&[asked]), by)
}

/// To getent, digits are a number and a dash begins an option.
fn is_askable(name: &str) -> bool {
    !name.starts_with('-') && name.parse::<u32>().is_err()
}

/// Nothing where the file can't be read.
fn passwd() -> Vec<u8> {
    std::fs::read("/etc/passwd").unwrap_or_default()
}

/// The users that getent(1) finds; nothing where it isn't installed.
fn getent(keys: &[String]) -> Vec<u8> {
    let output = Command::new("getent")
        .arg("passwd")
        .args(keys)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output.map(|output| output.stdout).unwrap_or_default()
}

/// The first line of this user in what passwd(5) describes.
fn in_passwd(bytes: &[u8], by: By<'_>) -> Option<User> {
    let is_meant = |user: &User| match by {
        By::Name(name) => user.name == name,
        By::Uid(uid) => user.uid == uid,
    };
    String::from_utf8_lossy(bytes).lines().filter_map(user).find(is_meant)
}

fn user(line: &str) -> Option<User> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_or_by_number_and_never_by_the_other() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\n\
            # no user\n\
            +::::::\n\
            1000:x:7:7::/srv/odd:\n\
            app:x:1000:100:An\xff app:/srv/app:/bin/false\n\
            app:x:1001:100::/other:/bin/sh\n\
            cut:x:12\n";
        let found = |by| in_passwd(passwd, by).map(|user| (user.name, user.uid, user.shell));
        let is = |name: &str, uid, shell: &str| Some((name.to_string(), uid, shell.to_string()));
        assert_eq!(found(By::Name("root")), is("root", 0, "/bin/bash"));
        assert_eq!(found(By::Name("app")), is("app", 1000, "/bin/false"));
        assert_eq!(found(By::Uid(1000)), is("app", 1000, "/bin/false"));
        assert_eq!(found(By::Name("1000")), is("1000", 7, "/bin/sh"));
        assert_eq!(found(By::Name("cut")), None);
        assert_eq!(found(By::Name("+")), None);
        assert_eq!(found(By::Uid(12)), None);
        assert_eq!(named("--help"), None);
        assert_eq!(unknown(["root", "--help", "no-such-user"]).len(), 2);
        assert_eq!(local_of_uid(0).map(|user| user.name), Some("root".into()));
    }
}
