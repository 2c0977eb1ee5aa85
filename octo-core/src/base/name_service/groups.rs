//! The groups of a user, as initgroups(3) knows them: from /etc/group, and from id(1)
//! where this machine has them elsewhere too.

use super::users::PATH;
use crate::base::error::{Error, Exit, Result, describe};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

/// The groups of the user of this name, whose own is `gid`: that one first, the others
/// once each.
///
/// # Errors
/// Where they can't be found out: a job with fewer groups would fail half-way.
pub fn groups_of(name: &str, gid: u32) -> Result<Vec<u32>> {
    let others = match read_if_there(Path::new("/etc/nsswitch.conf"))? {
        Some(switch) if asks_elsewhere(&switch) => by_id(name)?,
        _ => in_group(&read_if_there(Path::new("/etc/group"))?.unwrap_or_default(), name),
    };
    let mut groups = vec![gid];
    for group in others {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// The number of the group of this name, or of this number; `None` where nobody knows it.
pub fn group_named(group: &str) -> Option<u32> {
    if let Some(number) = number(group) {
        return Some(number);
    }
    let local = std::fs::read("/etc/group").unwrap_or_default();
    of_group(&local, group).or_else(|| of_group(&getent(group), group))
}

/// Nothing where getent(1) isn't installed, or knows no such group.
fn getent(group: &str) -> Vec<u8> {
    if group.starts_with('-') {
        return Vec::new();
    }
    let mut command = Command::new("getent");
    command.args(["group", group]).env_clear().env("PATH", PATH);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.map(|output| output.stdout).unwrap_or_default()
}

/// The number of the first group of this name in what group(5) describes.
fn of_group(bytes: &[u8], name: &str) -> Option<u32> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().find_map(|line| match line.split(':').collect::<Vec<_>>()[..] {
        [group, _, gid, _] if group == name && !name.is_empty() => number(gid),
        _ => None,
    })
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|error| Error::io(path, &error)),
    }
}

/// Does nsswitch.conf(5) name another source of groups than files of this machine?
/// systemd's has none of a user who is in /etc/passwd.
fn asks_elsewhere(switch: &[u8]) -> bool {
    let text = String::from_utf8_lossy(switch);
    let sources = text.lines().filter_map(|line| {
        let (database, sources) = line.split('#').next()?.split_once(':')?;
        matches!(database.trim(), "group" | "initgroups").then_some(sources)
    });
    let mut words = sources.flat_map(str::split_ascii_whitespace);
    // An action such as [NOTFOUND=return] is none of both either: id(1) knows what it means.
    words.any(|word| !matches!(word, "files" | "systemd"))
}

/// The groups that have this member in what group(5) describes.
fn in_group(bytes: &[u8], name: &str) -> Vec<u32> {
    let group = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [group, _, gid, members] = fields[..] else { return None };
        // A comment, or a line for NIS, as in `+:::`.
        let is_none = group.trim_start().starts_with(['#', '+', '-']);
        let has = members.split(',').any(|member| member.trim() == name);
        number(gid).filter(|_| has && !is_none)
    };
    String::from_utf8_lossy(bytes).lines().filter_map(group).collect()
}

/// The highest number is none: to setgroups(2) and its like it means "none given".
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

fn by_id(name: &str) -> Result<Vec<u32>> {
    let failed =
        |exit, reason: String| Error::new(exit, format!("the groups of user {name}"), reason);
    let output = Command::new("id")
        .args(["-G", "--", name])
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(Exit::Configuration, format!("id: {}", describe(&error))))?;
    let groups = in_words(&output.stdout).filter(|_| output.status.success());
    groups.ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("id: doesn't name them");
        failed(Exit::Temporary, said.to_string())
    })
}

/// What `id -G` prints; `None` where it isn't numbers, or not one.
fn in_words(output: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(output).ok()?;
    let groups: Option<Vec<u32>> = text.split_ascii_whitespace().map(number).collect();
    groups.filter(|groups| !groups.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_their_whole_name() {
        let group = b"root:x:0:\n\
            adm:x:4:syslog,app\n\
            web:!:33:app\n\
            apps:x:34:apple, app ,other\n\
            # app:x:35:app\n\
            +:::app\n\
            +nis::36:app\n\
            cut:x:37\n\
            odd:x:x:app\n\
            none:x:4294967295:app\n\
            none:x:4294967296:app\n\
            latin:x:38:\xe9,app\n\
            adm:x:4:app\n";
        assert_eq!(in_group(group, "app"), [4, 33, 34, 38, 4]);
        assert_eq!(in_group(group, "apple"), [34]);
        assert_eq!(in_group(b"", "app"), [0; 0]);
    }

    #[test]
    fn a_group_has_a_name_or_a_number() {
        let group = b"web:!:33:app\nwebs:x:34:\nweb:x:35:\ncut:x:36\nodd:x:x:\n";
        assert_eq!(of_group(group, "web"), Some(33));
        assert_eq!((of_group(group, "cut"), of_group(group, "odd")), (None, None));
        assert_eq!((of_group(group, ""), of_group(b":x:1:", "")), (None, None));
        assert_eq!((group_named("0"), group_named("root")), (Some(0), Some(0)));
        for none in ["no-such-group", "4294967295", "--help", ""] {
            assert_eq!(group_named(none), None, "{none}");
        }
    }

    #[test]
    fn only_files_of_this_machine_are_read_without_asking() {
        for here in [
            "",
            "group: files\n",
            "passwd: sss files\ngroup:\tfiles systemd # sss\n#initgroups: sss\n",
            " group : files\ninitgroups: files\nnetgroup: nis\n",
        ] {
            assert!(!asks_elsewhere(here.as_bytes()), "{here}");
        }
        for elsewhere in [
            "group: files sss\n",
            "group: compat\n",
            "group: files\ninitgroups: files ldap",
            "initgroups: sss\ngroup: files\n",
            "group: files [SUCCESS=merge] systemd\n",
            "group: files\ngroup: winbind\n",
        ] {
            assert!(asks_elsewhere(elsewhere.as_bytes()), "{elsewhere}");
        }
    }

    #[test]
    fn what_id_prints_is_numbers_or_nothing() {
        assert_eq!(in_words(b"1000 4 27\n"), Some(vec![1000, 4, 27]));
        for wrong in [&b""[..], b"\n", b"1000 adm", b"-1", b"4294967295", b"1\xff"] {
            assert_eq!(in_words(wrong), None, "{wrong:?}");
        }
        assert!(by_id("no-such-user").is_err() && by_id("--help").is_err());
        assert!(by_id("root").expect("root has a group").contains(&0));
    }

    #[test]
    fn a_user_of_no_list_has_its_own_group() {
        let groups = groups_of("no-such-user", 4711);
        // Where groups are elsewhere too, nobody knows this user.
        assert!(groups.is_err() || groups.is_ok_and(|groups| groups == [4711]));
    }
}
