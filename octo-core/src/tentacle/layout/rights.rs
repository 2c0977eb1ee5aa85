//! What owners and modes the table stands for, once it is known who the two users are;
//! and what the files of a job and of the store are.

use super::{Owner, Row, Side, executor, listener};
use crate::base::digest::Digest;
use crate::base::names::JobId;
use crate::base::paths::Places;
use crate::base::publish::TEMPORARY_PREFIX;
use rustix::fs::{FileType, Stat};

/// The two users; the same where one does all.
#[derive(Debug, Clone, Copy)]
pub struct Parties {
    /// Who runs octo-exec.
    pub executor: Owner,
    /// Who runs octo-listen.
    pub listener: Owner,
}

/// Whose a file has to be, and of which mode.
#[derive(Debug, Clone, Copy)]
pub(super) struct Right {
    pub(super) uid: u32,
    /// `None` where any group will do.
    pub(super) gid: Option<u32>,
    /// Any of these.
    pub(super) modes: [u32; 4],
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The listener reads it.
    Record,
    /// The job's user reads it; so its group is of that user.
    Script,
    Secrets,
    /// The listener reads it while it is to be approved.
    Stdin,
    Lock,
    /// A package, whole.
    Object,
    /// What is frozen: every job reads it.
    Freeze,
    /// A link to one, while its job runs.
    Package,
    /// What the listener gets files from.
    Artifacts,
    /// The job's user's own.
    Theirs,
    /// A file in the making.
    Staged,
    Unknown,
}

const RECORDS: &[&str] = &[
    "record",
    "origin",
    "request",
    "request.sig",
    "request.crt",
    "spec",
    "cancel",
    "cancel.request",
    "cancel.request.sig",
    "cancel.request.crt",
    "approved",
    "changes",
    "notified",
    "grant",
    "held",
    "waiting",
    "started",
    "log",
    "index",
    "outputs",
    "end",
    "end.seal",
    "end.seal.sig",
];

impl Kind {
    pub(super) fn in_job(name: &str) -> Kind {
        match name {
            "script" => Kind::Script,
            "secrets" => Kind::Secrets,
            "stdin" => Kind::Stdin,
            "lock" => Kind::Lock,
            "package" => Kind::Package,
            "artifacts" => Kind::Artifacts,
            "work" | "values" | "made" => Kind::Theirs,
            _ if RECORDS.contains(&name) => Kind::Record,
            _ if name.starts_with(TEMPORARY_PREFIX) => Kind::Staged,
            _ => Kind::Unknown,
        }
    }

    pub(super) fn in_store(name: &str) -> Kind {
        match name {
            ".lock" => Kind::Lock,
            _ if name.starts_with(TEMPORARY_PREFIX) => Kind::Staged,
            _ if Digest::parse(name).is_some() => Kind::Object,
            _ if name.strip_suffix(".by").and_then(Digest::parse).is_some() => Kind::Record,
            _ => Kind::Unknown,
        }
    }

    pub(super) fn in_records(name: &str) -> Kind {
        match name.starts_with(TEMPORARY_PREFIX) {
            true => Kind::Staged,
            false => Kind::Record,
        }
    }

    /// In `kept` or `underway`: the listener reads no file that is only a job's name.
    pub(super) fn in_accounts(name: &str) -> Kind {
        match JobId::parse(name) {
            Some(_) => Kind::Unknown,
            None => Kind::in_records(name),
        }
    }

    pub(super) fn in_freezes(name: &str) -> Kind {
        match name.starts_with(TEMPORARY_PREFIX) {
            true => Kind::Staged,
            false => Kind::Freeze,
        }
    }

    /// Directly in STATE, besides the rows of the table.
    pub(super) fn in_state(name: &str) -> Kind {
        match name.strip_prefix("audit.") {
            None if name == "seal.crt" => Kind::Record,
            Some("log" | "head") => Kind::Record,
            Some(rotated) if rotated.starts_with("log.") => Kind::Record,
            _ => Kind::Unknown,
        }
    }
}

impl Parties {
    /// As STATE says.
    pub fn of(places: &Places) -> Parties {
        Parties { executor: executor(places), listener: listener(places) }
    }

    /// Are they two?
    pub fn are_separated(&self) -> bool {
        self.executor.uid != self.listener.uid
    }

    pub(super) fn side(&self, side: Side) -> Owner {
        match side {
            Side::Executor => self.executor,
            Side::Listener => self.listener,
        }
    }

    pub(super) fn row(&self, row: &Row) -> Right {
        let (uid, gid) = (self.side(row.owner).uid, Some(self.side(row.group).gid));
        Right { uid, gid, modes: [row.mode; 4] }
    }

    /// Of a directory of octo-exec's that the listener may look into as far as this mode.
    pub(super) fn directory(&self, mode: u32) -> Right {
        Right { uid: self.executor.uid, gid: Some(self.listener.gid), modes: [mode; 4] }
    }

    /// `None` where the table says nothing.
    pub(super) fn right(&self, kind: Kind) -> Option<Right> {
        let listener = Some(self.listener.gid);
        let (gid, modes) = match kind {
            Kind::Record => (listener, [0o640; 4]),
            // One that is no text is run by the kernel.
            Kind::Script => (None, [0o440, 0o400, 0o550, 0o500]),
            Kind::Secrets | Kind::Lock => (None, [0o600; 4]),
            Kind::Stdin => (None, [0o600, 0o440, 0o600, 0o600]),
            Kind::Object => (None, [0o444; 4]),
            Kind::Freeze => (listener, [0o644; 4]),
            Kind::Artifacts => (listener, [0o750; 4]),
            Kind::Package | Kind::Theirs | Kind::Staged | Kind::Unknown => return None,
        };
        Some(Right { uid: self.executor.uid, gid, modes })
    }
}

impl Right {
    /// What is wrong; `None` where all is right.
    pub(super) fn fault(&self, stat: &Stat) -> Option<String> {
        let mode = mode_of(stat);
        let mut faults = Vec::new();
        if stat.st_uid != self.uid {
            faults.push(format!("is owned by uid {}, not by uid {}", stat.st_uid, self.uid));
        }
        if let Some(gid) = self.gid.filter(|gid| *gid != stat.st_gid) {
            faults.push(format!("is owned by gid {}, not by gid {gid}", stat.st_gid));
        }
        if !self.modes.contains(&mode) {
            faults.push(format!("has mode {mode:04o}, not {:04o}", self.modes[0]));
        }
        (!faults.is_empty()).then(|| faults.join(", "))
    }

    /// The mode that one of this mode gets.
    pub(super) fn mode_for(&self, mode: u32) -> u32 {
        if self.modes.contains(&mode) { mode } else { self.modes[0] }
    }
}

pub(super) fn mode_of(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

pub(super) fn type_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}
