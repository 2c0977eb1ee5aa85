//! The process that leads a job's session, as a record names it: a pid means nothing
//! without the boot and the moment at which it began.

use crate::base::record::Record;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open, test_kill_process};
use std::os::fd::OwnedFd;
use std::sync::LazyLock;

/// A process of this machine, now or on an earlier boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The boot on which it ran.
    pub boot: String,
    /// Its pid, which is its session's, too.
    pub pid: i32,
    /// When it began, in ticks after the boot.
    pub ticks: u64,
}

impl Leader {
    /// This process.
    pub fn this_process() -> Leader {
        let pid = getpid().as_raw_pid();
        Leader { boot: boot().into(), pid, ticks: started(pid).unwrap_or(0) }
    }

    /// The same record with what names it.
    #[must_use]
    pub fn add_to(&self, record: Record) -> Record {
        record.with("boot", &self.boot).with("session", self.pid).with("ticks", self.ticks)
    }

    /// The process that a record names.
    pub fn of(record: &Record) -> Option<Leader> {
        Some(Leader {
            boot: record.first("boot")?.to_string(),
            pid: record.number("session").and_then(|pid| i32::try_from(pid).ok())?,
            ticks: record.number("ticks")?,
        })
    }

    /// Did it run on this boot?
    pub fn is_of_this_boot(&self) -> bool {
        self.boot == boot()
    }

    /// Readable when it ends; `None` where it has ended. One who can't see the
    /// processes of others, in a sandbox, takes a reused pid for it.
    pub fn watch(&self) -> Option<OwnedFd> {
        self.look().ok().flatten()
    }

    /// Does it run? Where it can't be looked at, for want of descriptors, one of its pid
    /// that runs is taken for it.
    pub fn is_alive(&self) -> bool {
        match (self.look(), self.pid()) {
            (Ok(found), _) => found.is_some(),
            (Err(_), None) => false,
            (Err(_), Some(pid)) => test_kill_process(pid) != Err(Errno::SRCH),
        }
    }

    /// `None` where it has ended.
    fn look(&self) -> rustix::io::Result<Option<OwnedFd>> {
        let Some(pid) = self.pid() else { return Ok(None) };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(None),
            other => other?,
        };
        let reused = started(self.pid).is_some_and(|ticks| ticks != self.ticks);
        Ok((!reused && !has_ended(&process)).then_some(process))
    }

    /// `None` for one of an earlier boot.
    fn pid(&self) -> Option<Pid> {
        // rustix takes no negative number for a pid: a record on the disk may have one.
        Pid::from_raw(Some(self.pid).filter(|pid| *pid > 0 && self.is_of_this_boot())?)
    }
}

/// A zombie has ended, whether or not its parent has heard of it.
fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        match poll(&mut fds, Some(&none)) {
            Err(Errno::INTR) => {}
            polled => return polled.is_ok_and(|count| count > 0),
        }
    }
}

/// The boot that this is: pids and sessions mean nothing on another one.
pub fn boot() -> &'static str {
    static BOOT: LazyLock<String> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.unwrap_or_default().trim().to_string()
    });
    &BOOT
}

/// When the process of this pid began, in ticks after the boot (proc(5), field 22).
fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name is in parentheses and may hold anything, parentheses too.
    let rest = stat.get(stat.rfind(')')? + 2..)?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_lives_until_it_ends_and_never_again() {
        let own = Leader::this_process();
        assert!(own.is_alive());
        assert_eq!(Leader::of(&own.add_to(Record::new())), Some(own.clone()));
        assert!(!Leader { ticks: own.ticks + 1, ..own.clone() }.is_alive());
        assert!(!Leader { boot: "another".into(), ..own.clone() }.is_alive());
        assert!(!Leader { pid: -1, ..own }.is_alive());

        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat");
        let pid = Pid::from_child(&child).as_raw_pid();
        let leader = Leader { boot: boot().into(), pid, ticks: started(pid).expect("a process") };
        let watch = leader.watch().expect("it lives");
        drop(child.stdin.take());
        let mut fds = [PollFd::new(&watch, PollFlags::IN)];
        poll(&mut fds, None).expect("poll");
        // Nobody has waited for it yet.
        assert!(!leader.is_alive());
        child.wait().expect("wait");
        assert!(!leader.is_alive());
    }
}
