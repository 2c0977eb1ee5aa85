//! Where cgroups of version 2 are (cgroups(7)), and how they are entered without a wait.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, PathBuf};
use std::thread::{self, Thread};

/// More than a few paths need.
const STACK: usize = 64 * 1024;

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
    let mountinfo = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let read = |mount: Mount| fs::read_to_string(mount.point.join("cgroup.controllers"));
    let lists = mounts(&mountinfo).into_iter().filter_map(|mount| read(mount).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_string).collect::<Vec<_>>()).collect()
}

/// Where a process is: the tree, and the path beneath what of it is mounted, by its
/// /proc/PID/mountinfo and /proc/PID/cgroup.
///
/// # Errors
/// Why it is nowhere, in words.
pub fn place(mountinfo: &[u8], cgroup: &[u8]) -> Result<(Mount, PathBuf), &'static str> {
    let own = cgroup.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"));
    let own = PathBuf::from(OsString::from_vec(own.ok_or("no cgroup of version 2")?.to_vec()));
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if !own.components().all(is_plain) {
        return Err("its cgroup is outside of what can be seen here");
    }
    let found = mounts(mountinfo).into_iter().find_map(|mount| {
        let beneath = own.strip_prefix(&mount.root).ok()?.to_owned();
        Some((mount, beneath))
    });
    found.ok_or("no tree of cgroups of version 2 is mounted")
}

/// Has the kernel ready to take processes into cgroups. The first after a quiet while waits
/// until each processor has passed a certain point, for 5 to 30 ms; those right behind it
/// wait for nothing. So a thread goes first, while a job is still on its way.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Option<Thread>);

impl Readiness {
    /// Starts the thread, which sleeps. There is none where this process may not enter a
    /// cgroup: its jobs have none, either.
    ///
    /// # Errors
    /// Where a thread can't be had.
    pub fn watch() -> io::Result<Readiness> {
        let mountinfo = fs::read("/proc/self/mountinfo").unwrap_or_default();
        if enter_own(&mountinfo, b"").is_err() {
            return Ok(Readiness(None));
        }
        let thread = thread::Builder::new().name("cgroups".into()).stack_size(STACK);
        let started = thread.spawn(move || {
            loop {
                thread::park();
                let _ = enter_own(&mountinfo, b"0");
            }
        })?;
        Ok(Readiness(Some(started.thread().clone())))
    }

    /// A job comes: the thread waits in its place. How often this is said meanwhile is all one.
    pub fn make(&self) {
        self.0.iter().for_each(Thread::unpark);
    }
}

/// Enters the cgroup that this process is in, which moves nothing. Looked for each time: who
/// was moved to another would go back.
fn enter_own(mountinfo: &[u8], who: &[u8]) -> io::Result<()> {
    let placed = place(mountinfo, &fs::read("/proc/self/cgroup")?);
    let (mount, beneath) = placed.map_err(io::Error::other)?;
    let procs = mount.point.join(beneath).join("cgroup.procs");
    fs::OpenOptions::new().write(true).open(procs)?.write_all(who)
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
