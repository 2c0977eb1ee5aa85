//! Where cgroups of version 2 are (cgroups(7)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A tree of them that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What of it is mounted: `/` is all.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
}

/// The trees that a /proc/self/mountinfo names (proc(5)).
pub fn mounts(mountinfo: &[u8]) -> Vec<Mount> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

/// The controllers of this machine that those trees have: none where version 1 has them.
pub fn controllers() -> Vec<String> {
    let mountinfo = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let read = |mount: Mount| std::fs::read_to_string(mount.point.join("cgroup.controllers"));
    let lists = mounts(&mountinfo).into_iter().filter_map(|mount| read(mount).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_string).collect::<Vec<_>>()).collect()
}

/// The mount of this line, if it is one.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (root, point) = (fields.nth(3)?, fields.next()?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    let path = |field: &[u8]| PathBuf::from(OsString::from_vec(unescaped(field)));
    (kind == b"cgroup2").then(|| Mount { root: path(root), point: path(point) })
}

/// Blanks and the like stand there as `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => (plain.push(byte), rest = &tail[3..]).1,
            None => (plain.push(*first), rest = tail).1,
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_may_be_mounted_in_part_and_anywhere() {
        let text = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            41 31 0:38 /docker/1 /cg\\040two\\134 rw shared:7 master:1 - cgroup2 cgroup rw\n\
            - cgroup2\n1 2 3\n\n";
        let found = mounts(text);
        assert_eq!(found, [Mount { root: "/docker/1".into(), point: "/cg two\\".into() }]);
    }
}
