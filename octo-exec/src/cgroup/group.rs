//! One cgroup: who is in it, and its end.

use super::limits::{self, put};
use super::scope;
use crate::processes::tree;
use octo_core::JobId;
use octo_core::base::error::describe;
use octo_core::base::record::Record;
use octo_core::tentacle::job::JobDirectory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// statfs(2) says this of a cgroup (linux/magic.h).
const CGROUP2: u64 = 0x6367_7270;
/// How long the kernel may take to stop all of a cgroup; a process that waits for a disk
/// may need more, and is not waited for.
const FREEZE: Duration = Duration::from_millis(500);
/// An empty cgroup of this age is being neither made nor left.
const SETTLED: Duration = Duration::from_secs(60);
/// What stands before the job's id.
const PREFIX: &str = "octo-";
/// Cgroups beneath one: a job of root's can make them.
const MOST_BENEATH: usize = 10_000;

/// A job's cgroup.
#[derive(Debug)]
pub(crate) struct Group {
    directory: PathBuf,
    /// Its name, where it is a scope of systemd's, which removes it, too.
    scope: Option<String>,
}

impl Group {
    /// Makes one, which nobody is in.
    pub(super) fn make(parent: &Path, name: &str) -> Result<Group, String> {
        let group = Group { directory: parent.join(name), scope: None };
        let make = || DirBuilder::new().mode(0o755).create(&group.directory);
        let made = make().or_else(|error| match error.kind() {
            // Of a process that had our number, and died before the job began.
            ErrorKind::AlreadyExists => fs::remove_dir(&group.directory).and_then(|()| make()),
            _ => Err(error),
        });
        let said = |error| format!("{}: {}", group.directory.display(), describe(&error));
        made.map_err(said).map(|()| group)
    }

    pub(super) fn of_scope(directory: PathBuf, scope: String) -> Group {
        Group { directory, scope: Some(scope) }
    }

    /// The one that this record of a start names, if it is one of this job.
    pub(crate) fn of(started: &Record, job: &JobId) -> Option<Group> {
        let [path] = started.all("cgroup").next()? else { return None };
        let directory = PathBuf::from(OsStr::from_bytes(path));
        let own = name(job, started.first("session")?);
        let scope = scope::name(&own);
        let is = |name: &String| directory.file_name() == Some(OsStr::new(name));
        let is_cgroup = || {
            let found = rustix::fs::statfs(&directory);
            found.is_ok_and(|found| found.f_type as u64 == CGROUP2)
        };
        let is_scope = is(&scope);
        ((is_scope || is(&own)) && is_cgroup())
            .then(|| Group { scope: is_scope.then_some(scope), directory })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes a process in.
    pub(super) fn add(&self, pid: u32) -> Result<(), String> {
        put(&self.directory.join("cgroup.procs"), &pid.to_string())
    }

    /// Who is in it and beneath it.
    pub(crate) fn members(&self) -> Vec<i32> {
        let mut members = Vec::new();
        for directory in self.beneath() {
            let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            members.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        // Zero is one that can't be seen from here.
        members.retain(|pid| *pid > 0);
        members
    }

    /// It and all that it contains, those above first.
    fn beneath(&self) -> Vec<PathBuf> {
        let mut all = vec![self.directory.clone()];
        let mut next = 0;
        while let Some(directory) = all.get(next).filter(|_| all.len() < MOST_BENEATH) {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|t| t.is_dir());
            let found: Vec<PathBuf> =
                entries.filter(is_directory).map(|entry| entry.path()).collect();
            all.extend(found);
            next += 1;
        }
        all
    }

    /// Does nobody live in it?
    pub(crate) fn is_empty(&self) -> bool {
        self.events().is_none_or(|events| events.lines().any(|line| line == "populated 0"))
    }

    fn events(&self) -> Option<String> {
        fs::read_to_string(self.directory.join("cgroup.events")).ok()
    }

    /// Does something while nobody of it runs, and so nobody is born.
    pub(crate) fn while_frozen<T>(&self, work: impl FnOnce() -> T) -> T {
        let freeze = |word| put(&self.directory.join("cgroup.freeze"), word);
        if freeze("1").is_ok() {
            self.wait_until_frozen();
        }
        let done = work();
        let _ = freeze("0");
        done
    }

    /// Waits until all of it stands still, or as long as that may take.
    fn wait_until_frozen(&self) {
        let until = Instant::now() + FREEZE;
        let Ok(mut events) = File::open(self.directory.join("cgroup.events")) else { return };
        loop {
            let mut text = String::new();
            let _ = events.rewind().and_then(|()| events.read_to_string(&mut text));
            let left = until.saturating_duration_since(Instant::now());
            if text.lines().any(|line| line == "frozen 1") || left.is_zero() {
                return;
            }
            // The kernel wakes who has read it.
            let mut fds = [PollFd::new(&events, PollFlags::PRI)];
            let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
        }
    }

    /// Ends all that is in it, as one.
    pub(crate) fn kill(&self) {
        if put(&self.directory.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // Before Linux 5.14: who is frozen dies of KILL, and makes no other before.
        self.while_frozen(|| tree::signal(&tree::of(&self.members()), Signal::KILL));
    }

    /// Has the kernel ended what was in it, or a part, because its memory was used up?
    pub(crate) fn was_out_of_memory(&self) -> bool {
        if let Some(scope) = self.scope.as_ref().filter(|_| self.is_empty()) {
            return scope::was_out_of_memory(scope);
        }
        let events = fs::read_to_string(self.directory.join("memory.events")).unwrap_or_default();
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.is_some_and(|count| count != "0")
    }

    /// Its limits hold no more.
    pub(crate) fn lift(&self) {
        match &self.scope {
            Some(scope) => scope::lift(scope),
            None => limits::lift(&self.directory),
        }
    }

    /// Removes it, if nobody is in it.
    pub(crate) fn remove(&self) {
        if let Some(scope) = &self.scope {
            return scope::forget(scope);
        }
        // Most contain no other.
        if fs::remove_dir(&self.directory).is_ok() {
            return;
        }
        for directory in self.beneath().iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Removes the cgroups of jobs that were over when a daemon of theirs still lived.
pub(super) fn sweep(parent: &Path, beside: &JobDirectory) {
    let jobs = beside.path().parent().unwrap_or(beside.path());
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(job) = name.to_str().and_then(job_of) else { continue };
        // Whoever is being made is in it soon; whoever ends its job reads there how it went.
        let is_new = || age(&entry).is_none_or(|age| age < SETTLED);
        let directory = jobs.join(job.as_str());
        if is_new() || (directory.exists() && !directory.join("end").exists()) {
            continue;
        }
        let group = Group { directory: entry.path(), scope: None };
        if group.is_empty() {
            group.remove();
        }
    }
}

fn age(entry: &fs::DirEntry) -> Option<Duration> {
    entry.metadata().ok()?.modified().ok()?.elapsed().ok()
}

/// The name of a job's cgroup. Several tentacles of one machine may have jobs of one id, so
/// that it has the pid of the job's octo-exec, too.
pub(super) fn name(job: &JobId, session: impl Display) -> String {
    format!("{PREFIX}{job}-{session}")
}

fn job_of(name: &str) -> Option<JobId> {
    let (job, _) = name.strip_prefix(PREFIX)?.rsplit_once('-')?;
    JobId::parse(job)
}
