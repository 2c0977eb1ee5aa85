//! STATE/jobs of an older version: who asked becomes `origin`, and what was published
//! without a statement never runs.

use super::work::{Directory, Work};
use crate::base::error::{Error, Exit, Result};
use crate::base::names::JobId;
use crate::base::paths::Places;
use crate::base::paths::read_bounded;
use crate::base::publish::sweep;
use crate::base::record::Record;
use crate::base::remove;
use crate::base::thumbprint::Thumbprint;
use crate::base::{cli::utc_now, names::PusherName};
use crate::tentacle::audit::Audit;
use crate::tentacle::job::{End, Origin, Pusher};
use crate::tentacle::layout::Side;
use crate::tentacle::layout::rights::{Kind, Right, type_of};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::fs::TryLockError;

/// Why they end that could run by nobody's signature.
const UNSIGNED: &str = "it was published before requests were signed: send it again";

/// What no listener of an older version had to write.
const FORGED: &[&str] = &[
    "origin",
    "request.sig",
    "request.crt",
    "cancel.request",
    "cancel.request.sig",
    "cancel.request.crt",
    "approved",
];

/// A record of an older version is no larger.
const LARGEST: u64 = 1 << 20;

impl Work<'_> {
    /// Those that an octo-exec of the older version holds are to end first: it would go on
    /// in a directory that is another's.
    pub(super) fn no_old_job_is_held(&self, places: &Places) -> Result<()> {
        let Ok(jobs) = crate::base::beneath::directory(&places.jobs()) else { return Ok(()) };
        let failed = |e: Errno| Error::io(&places.jobs(), &e.into());
        for name in crate::tentacle::layout::names_in(&jobs).map_err(failed)? {
            if JobId::parse(&name).is_none() {
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(fd) = openat(&jobs, name.as_str(), flags, Mode::empty()) else { continue };
            let path = places.jobs().join(&name);
            let job = Directory { fd, path, is_trusted: false, done: Vec::new() };
            let stat = rustix::fs::fstat(&job.fd).map_err(|e| job.failed("", e))?;
            let is_ours = stat.st_uid == self.parties.executor.uid;
            let is_new = is_ours && job.look("origin")?.is_some();
            let goes_on = is_ours && job.look("started")?.is_some();
            if is_new || goes_on || job.look("end")?.is_some() {
                continue;
            }
            let Ok(lock) = job.open("lock") else { continue };
            if matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
                let reason = "an octo-exec of an older version has it under way";
                return Err(Error::new(Exit::Temporary, job.path.display(), reason)
                    .hint("octo-listen is to be stopped, and this job to be over, before this"));
            }
        }
        Ok(())
    }

    pub(super) fn job(&mut self, places: &Places, jobs: &Directory, id: &JobId) -> Result<()> {
        let mut job = self.take(&jobs.fd, id.as_str(), jobs.path.join(id.as_str()))?;
        if !job.is_trusted {
            self.remove_forged(&mut job)?;
        }
        let is_old = job.look("request")?.is_some() && job.look("request.sig")?.is_none();
        if is_old || !job.is_trusted {
            self.bring_over(places, &mut job, id, is_old)?;
        }
        let is_over = job.look("end")?.is_some();
        for name in job.names()? {
            match Kind::in_job(&name) {
                Kind::Artifacts => {}
                Kind::Theirs => {
                    let is_link = |stat| type_of(&stat) == FileType::Symlink;
                    if job.look(&name)?.is_some_and(is_link) {
                        job.remove(&name, "it is a link")?;
                    }
                }
                Kind::Package | Kind::Staged if !is_over => {}
                Kind::Package | Kind::Secrets | Kind::Stdin if is_over => {
                    job.remove(&name, "the job is over")?;
                }
                Kind::Staged => job.remove(&name, "nobody finished it")?,
                Kind::Unknown if job.is_trusted => {}
                Kind::Unknown => job.remove(&name, "no job has that")?,
                Kind::Lock => self.lock(&mut job, &name)?,
                kind => {
                    if let Some(right) = self.parties.right(kind) {
                        self.file(&mut job, &name, &right, &mut |_| true)?;
                    }
                }
            }
        }
        if is_over {
            self.artifacts(&mut job)?;
        }
        let right = self.parties.directory(0o751);
        self.finish(job, &right)
    }

    fn remove_forged(&self, job: &mut Directory) -> Result<()> {
        for name in FORGED {
            let own = self.parties.executor.uid;
            if job.look(name)?.is_some_and(|stat| stat.st_uid != own) {
                job.remove(name, "octo-exec did not write it")?;
            }
        }
        Ok(())
    }

    /// A lock stays the file that it is: somebody may hold it.
    pub(super) fn lock(&self, directory: &mut Directory, name: &str) -> Result<()> {
        let Some(stat) = directory.look(name)? else { return Ok(()) };
        let Some(right) = self.parties.right(Kind::Lock) else { return Ok(()) };
        let is_sound = type_of(&stat) == FileType::RegularFile && stat.st_nlink == 1;
        if right.fault(&stat).is_none() && is_sound {
            return Ok(());
        }
        let users = [self.parties.executor.uid, self.parties.listener.uid];
        if !is_sound || !users.contains(&stat.st_uid) {
            return directory.remove(name, "it is no lock of ours");
        }
        let file = directory.open(name)?;
        let gid = self.parties.executor.gid;
        super::work::give(&file, right.uid, gid, 0o600).map_err(|e| directory.failed(name, e))?;
        directory.note(format!("{name} {}:{gid} 0600", right.uid));
        Ok(())
    }

    /// First the end of one that must not run, then who asked, then the old record goes:
    /// a kill in between leaves nothing that could be started.
    fn bring_over(
        &mut self,
        places: &Places,
        job: &mut Directory,
        id: &JobId,
        is_old: bool,
    ) -> Result<()> {
        let old = if is_old { old_request(job)? } else { None };
        let is_pushed = old.as_ref().is_none_or(|origin| origin.pusher.is_some());
        let never_ran = job.look("started")?.is_none() && job.look("end")?.is_none();
        if never_ran && (is_pushed || !job.is_trusted) {
            let mut end = End::denied(Exit::Refused, UNSIGNED);
            let code = end.kind.code().to_string();
            let fields =
                [("job", id.as_str()), ("kind", "denied"), ("code", &code), ("reason", UNSIGNED)];
            // It must not run, recorded or not.
            if let Err(error) = Audit::of(Side::Executor, places).append("job-end", &fields) {
                end.add_reason(format!("its end is not in the audit log: {}", error.message));
            }
            self.record(job, "end", &end.record())?;
            job.note("end denied");
        }
        if job.look("origin")?.is_none() {
            let origin = old.unwrap_or_else(|| Origin {
                pusher: None,
                by: "unknown".into(),
                received: received(id),
            });
            self.record(job, "origin", &origin.record())?;
            job.note("origin made");
        }
        if is_old {
            job.remove("request", "origin says it")?;
        }
        Ok(())
    }

    fn record(&self, job: &Directory, name: &str, record: &Record) -> Result<()> {
        let right = self.parties.directory(0o640);
        let text = record.encode();
        job.write(name, &right, 0o640, self.parties.listener.gid, &mut |file| {
            std::io::Write::write_all(file, text.as_bytes())
        })
    }

    /// What the job's user made, and could still change, is copied as octo-exec itself
    /// does it at the end of a job.
    fn artifacts(&mut self, job: &mut Directory) -> Result<()> {
        let Some(right) = self.parties.right(Kind::Artifacts) else { return Ok(()) };
        if let Some(stat) = job.look("artifacts")? {
            if type_of(&stat) == FileType::Directory && right.fault(&stat).is_none() {
                return Ok(());
            }
            if type_of(&stat) != FileType::Directory {
                return job.remove("artifacts", "it is not a directory");
            }
            if job.is_trusted && stat.st_uid == right.uid {
                return self.own_artifacts(job, &right);
            }
            // The job's user's, then.
            if job.look("made")?.is_some() {
                job.remove("made", "artifacts is older")?;
            }
            renameat(&job.fd, "artifacts", &job.fd, "made").map_err(|e| job.failed("made", e))?;
        }
        if job.look("made")?.is_none_or(|stat| type_of(&stat) != FileType::Directory) {
            return Ok(());
        }
        self.copy_made(job, &right)
    }

    fn own_artifacts(&mut self, job: &Directory, right: &Right) -> Result<()> {
        let mut kept = self.take(&job.fd, "artifacts", job.path.join("artifacts"))?;
        let Some(record) = self.parties.right(Kind::Record) else { return Ok(()) };
        for name in kept.names()? {
            let is_file = |stat| type_of(&stat) == FileType::RegularFile;
            if kept.look(&name)?.is_some_and(is_file) {
                self.file(&mut kept, &name, &record, &mut |_| true)?;
            }
        }
        self.finish(kept, right)
    }

    fn copy_made(&self, job: &mut Directory, right: &Right) -> Result<()> {
        const STAGED: &str = ".octo-tmp-artifacts";
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&job.fd, "made", flags, Mode::empty());
        let fd = opened.map_err(|e| job.failed("made", e))?;
        let owner = rustix::fs::fstat(&fd).map_err(|e| job.failed("made", e))?.st_uid;
        let path = job.path.join("made");
        let made = Directory { fd, path, is_trusted: false, done: Vec::new() };
        job.remove(STAGED, "nobody finished it")?;
        let path = job.path.join(STAGED);
        std::fs::create_dir(&path).map_err(|e| Error::doing("create", &path, &e))?;
        let opened = openat(&job.fd, STAGED, flags, Mode::empty());
        let fd = opened.map_err(|e| job.failed(STAGED, e))?;
        let staged = Directory { fd, path, is_trusted: true, done: Vec::new() };
        let mut left = 0;
        for name in made.names()? {
            left += usize::from(!self.keep(&made, &staged, &name, owner)?);
        }
        let gid = self.parties.listener.gid;
        let given = super::work::give(&staged.fd, right.uid, gid, right.modes[0]);
        given.map_err(|e| staged.failed("", e))?;
        renameat(&job.fd, STAGED, &job.fd, "artifacts").map_err(|e| job.failed(STAGED, e))?;
        job.note(format!("artifacts {}:{gid} {:04o}", right.uid, right.modes[0]));
        if left > 0 {
            job.note(format!("{left} of them are in made alone: the listener could not read them"));
            return Ok(());
        }
        remove::tree(&job.fd, "made".as_ref(), remove::PATIENCE).map_err(|e| made.failed("", e))
    }

    /// Is this one a file of the job's user's own that the listener could read? Then it is
    /// copied.
    fn keep(&self, made: &Directory, staged: &Directory, name: &str, owner: u32) -> Result<bool> {
        let Ok(mut file) = made.open(name) else { return Ok(false) };
        let stat = rustix::fs::fstat(&file).map_err(|e| made.failed(name, e))?;
        let listener = self.parties.listener;
        let readable = !self.parties.are_separated()
            || stat.st_mode & 0o004 != 0
            || stat.st_uid == listener.uid
            || (stat.st_gid == listener.gid && stat.st_mode & 0o040 != 0);
        let is_plain = type_of(&stat) == FileType::RegularFile && stat.st_nlink == 1;
        if !is_plain || !readable || stat.st_uid != owner {
            return Ok(false);
        }
        let right = self.parties.directory(0o640);
        staged.write(name, &right, 0o640, listener.gid, &mut |to| {
            std::io::copy(&mut std::io::Read::take(&mut file, stat.st_size as u64), to).map(drop)
        })?;
        Ok(true)
    }

    /// The ids of STATE/jobs/pruned; the file goes when they are in STATE/pruned.
    pub(super) fn old_pruned(&self, jobs: &mut Directory) -> Result<Vec<JobId>> {
        const LINE: usize = 30;
        let Some(stat) = jobs.look("pruned")? else { return Ok(Vec::new()) };
        if type_of(&stat) != FileType::RegularFile || (stat.st_nlink > 1 && !jobs.is_trusted) {
            jobs.remove("pruned", "it is no file of its own")?;
            return Ok(Vec::new());
        }
        let path = jobs.path.join("pruned");
        let bytes = read_bounded(&mut jobs.open("pruned")?, &path, LARGEST << 10)?;
        let id = |line: &[u8]| {
            let line = line.strip_suffix(b"\n")?;
            JobId::parse(std::str::from_utf8(line).ok()?)
        };
        Ok(bytes.chunks(LINE).filter_map(id).collect())
    }

    pub(super) fn forget_old_pruned(&self, jobs: &mut Directory) -> Result<()> {
        match unlinkat(&jobs.fd, "pruned", AtFlags::empty()) {
            Ok(()) => jobs.note("pruned is in STATE/pruned"),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(jobs.failed("pruned", error)),
        }
        Ok(())
    }

    pub(super) fn sweep_jobs(&self, jobs: &Directory) {
        sweep(&jobs.path);
    }
}

/// Who asked, by the record of the older version; `None` where that is none.
fn old_request(job: &Directory) -> Result<Option<Origin>> {
    let Some(stat) = job.look("request")? else { return Ok(None) };
    if type_of(&stat) != FileType::RegularFile {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = std::io::Read::take(job.open("request")?, LARGEST);
    std::io::Read::read_to_end(&mut { read }, &mut bytes)
        .map_err(|e| Error::io(&job.path.join("request"), &e))?;
    Ok(Record::parse(&bytes).ok().and_then(|record| origin_of(&record)))
}

fn origin_of(record: &Record) -> Option<Origin> {
    let pusher = match record.first("thumbprint") {
        None => None,
        Some(thumbprint) => Some(Pusher {
            thumbprint: Thumbprint::parse(thumbprint).ok()?,
            name: PusherName::parse(record.first("name")?)?,
            address: record.first("address").and_then(|address| address.parse().ok()),
        }),
    };
    let (by, received) = (record.first("by")?.to_string(), record.first("received")?.to_string());
    Some(Origin { pusher, by, received })
}

/// When its maker claims to have made it.
fn received(id: &JobId) -> String {
    let digits = id.time();
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    let time = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(9..11),
        part(11..13),
        part(13..15)
    );
    if time.parse::<jiff::Timestamp>().is_ok() { time } else { utc_now() }
}
