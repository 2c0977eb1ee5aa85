//! All of STATE as the table says: a fresh one, or that of an older version, in which the
//! listener's user owned what octo-exec read. May be killed anywhere and called again.

mod hand_over;
mod jobs;
mod store;
mod work;

use super::rights::{Kind, Parties, Right, mode_of, type_of};
use super::{Owner, ROWS};
use crate::base::beneath;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::JobId;
use crate::base::paths::{Places, check_trusted, create_directory};
use crate::tentacle::job::remember_pruned;
use crate::tentacle::layout;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Uid, fstat};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use work::{Directory, Work};

/// The older version's listener held this.
const OLD_LOCK: &str = "listen.lock";

/// Makes STATE what the table says, for this listener, or for the one that it has. Says
/// what was changed, a line each.
///
/// # Errors
/// Exit 75 while something of an older version runs; 78 where it is not this user's to
/// do, or a third user owns something; where something can't be made or given.
pub fn setup(
    places: &Places,
    listener: Option<Owner>,
    say: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let parties = parties(places, listener)?;
    let mut work = Work { parties, say };
    if beneath::look(&places.state).is_err() {
        create_directory(&places.state, 0o711)?;
        (work.say)(&format!("{}: made", places.state.display()))?;
    }
    if parties.are_separated() && parties.executor.uid == 0 {
        // Whoever can rename STATE itself could have root change another directory.
        check_trusted(places.state.parent().unwrap_or(Path::new("/")))?;
    }
    no_listener_goes_on(places, &parties)?;
    work.no_old_job_is_held(places)?;
    // Without a slash at the end, behind which a link would be followed.
    let path: PathBuf = places.state.components().collect();
    let mut state = work.take(CWD, &path, path.clone())?;
    work.top(&mut state)?;
    work.missing(places)?;
    for own in ["spool", "listen"] {
        work.hand_over(&state, own)?;
    }
    work.locks(&state)?;
    work.records(&state, "refused")?;
    work.records(&state, "pruned")?;
    work.accounts(&state)?;
    work.releases(&state)?;
    work.freezes(&state)?;
    work.packages(&state)?;
    work.all_jobs(places, &state)?;
    work.state(state)
}

/// Who they are: STATE's owner runs octo-exec, but for one that was the listener's.
fn parties(places: &Places, listener: Option<Owner>) -> Result<Parties> {
    let own = Owner::this_process();
    let mut found = Parties::of(places);
    // Taken over by half: its group says nothing.
    let is_taken = |stat: rustix::fs::Stat| mode_of(&stat) & 0o1000 != 0;
    if found.executor.uid == own.uid && beneath::look(&places.state).is_ok_and(is_taken) {
        found.executor = own;
    }
    let parties = match listener {
        None => found,
        Some(listener) => {
            let was_listeners = found.executor.uid == listener.uid && own.uid == 0;
            let executor = if was_listeners { own } else { found.executor };
            let is_one = listener.uid == executor.uid;
            Parties { executor, listener: if is_one { executor } else { listener } }
        }
    };
    let Parties { executor, listener } = parties;
    // Another user could swap names below what is its own while root follows them.
    if own.uid != executor.uid {
        let reason = format!("is owned by uid {}, not by uid {}", executor.uid, own.uid);
        let hint = match own.uid {
            0 => format!(
                "setup --listener USER, of uid {0}, makes it root's; else call it as uid {0}",
                executor.uid
            ),
            _ => "run octo-exec setup as the user whose it is".to_string(),
        };
        return Err(Error::new(Exit::Configuration, places.state.display(), reason).hint(hint));
    }
    if own.uid != 0 && parties.are_separated() {
        let reason = format!("uid {} can give nothing to uid {}", own.uid, listener.uid);
        return Err(Error::new(Exit::Configuration, places.state.display(), reason)
            .hint("run octo-exec setup as root"));
    }
    Ok(parties)
}

/// It would go on to write where it may not any more.
fn no_listener_goes_on(places: &Places, parties: &Parties) -> Result<()> {
    let is_handed_over =
        layout::owner_of(&places.listen()).is_some_and(|owner| owner.uid != parties.listener.uid);
    let new = is_handed_over.then(|| places.listen().join("lock"));
    for path in [Some(places.state.join(OLD_LOCK)), new].into_iter().flatten() {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(lock) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
        if matches!(File::from(lock).try_lock(), Err(TryLockError::WouldBlock)) {
            let reason = "an octo-listen runs that could not go on";
            return Err(Error::new(Exit::Temporary, path.display(), reason).hint("stop it first"));
        }
    }
    Ok(())
}

impl Work<'_> {
    /// The files of STATE itself.
    fn top(&mut self, state: &mut Directory) -> Result<()> {
        if state.look(OLD_LOCK)?.is_some() {
            state.remove(OLD_LOCK, "it is listen/lock now")?;
        }
        // Whoever knows the one could guess secrets by their digests, and make up ends by the
        // other.
        let own = self.parties.executor.uid;
        for secret in ["seed", "seal.pem"] {
            if !state.is_trusted && state.look(secret)?.is_some_and(|stat| stat.st_uid != own) {
                state.remove(secret, "another user knows it")?;
            }
        }
        self.doorbell(state)?;
        for name in state.names()? {
            if Kind::in_state(&name) != Kind::Record {
                continue;
            }
            if let Some(right) = self.parties.right(Kind::Record) {
                self.file(state, &name, &right, &mut |_| true)?;
            }
        }
        Ok(())
    }

    /// It is made anew by whoever serves; one that is served now stays.
    fn doorbell(&self, state: &mut Directory) -> Result<()> {
        let Some(stat) = state.look("doorbell")? else { return Ok(()) };
        let right = Right { modes: [0o660; 4], ..self.parties.directory(0) };
        let is_socket = type_of(&stat) == FileType::Socket;
        if is_socket && right.fault(&stat).is_none() {
            return Ok(());
        }
        if !is_socket || !state.is_trusted || stat.st_uid != right.uid {
            return state.remove("doorbell", "whoever serves makes it");
        }
        let gid = self.parties.listener.gid;
        let group = Some(rustix::fs::Gid::from_raw(gid));
        let given = rustix::fs::chownat(
            &state.fd,
            "doorbell",
            None::<Uid>,
            group,
            AtFlags::SYMLINK_NOFOLLOW,
        );
        // Nobody but octo-exec's user could swap it.
        let mode = Mode::from_raw_mode(0o660);
        let given =
            given.and_then(|()| rustix::fs::chmodat(&state.fd, "doorbell", mode, AtFlags::empty()));
        given.map_err(|e| state.failed("doorbell", e))?;
        state.note(format!("doorbell {}:{gid} 0660", right.uid));
        Ok(())
    }

    /// Makes the directories that are not there.
    fn missing(&mut self, places: &Places) -> Result<()> {
        let mut missing = Vec::new();
        for row in ROWS.iter().filter(|row| row.kind == FileType::Directory) {
            let path = (row.path)(places);
            if beneath::look(&path).is_err() {
                missing.push((path, row));
            }
        }
        layout::make_for_listener(places, self.parties.listener)?;
        layout::make(places)?;
        for (path, row) in missing {
            let owner = self.parties.side(row.owner).uid;
            let gid = self.parties.side(row.group).gid;
            let line = format!("{}: made, {owner}:{gid} {:04o}", path.display(), row.mode);
            (self.say)(&line)?;
        }
        Ok(())
    }

    fn all_jobs(&mut self, places: &Places, state: &Directory) -> Result<()> {
        let mut jobs = self.take(&state.fd, "jobs", state.path.join("jobs"))?;
        let ids = self.old_pruned(&mut jobs)?;
        if !ids.is_empty() {
            let new = remember_pruned(places, &ids)?;
            (self.say)(&format!("{}: {new} ids of jobs/pruned", places.pruned().display()))?;
        }
        self.forget_old_pruned(&mut jobs)?;
        if !jobs.is_trusted {
            self.sweep_jobs(&jobs);
        }
        let names = jobs.names()?;
        for name in names {
            let Some(stat) = jobs.look(&name)? else { continue };
            match JobId::parse(&name) {
                Some(id) if type_of(&stat) == FileType::Directory => {
                    self.job(places, &jobs, &id)?
                }
                Some(_) => jobs.remove(&name, "it is not a directory")?,
                None => {}
            }
        }
        let right = self.parties.directory(0o751);
        self.finish(jobs, &right)
    }

    /// STATE itself, last: its mode is what says that all below it is right.
    fn state(&mut self, state: Directory) -> Result<()> {
        let stat = fstat(&state.fd).map_err(|e| work::failed(&state.path, e))?;
        let mode = mode_of(&stat);
        let passes = !self.parties.are_separated() || mode & 0o001 != 0;
        let mode = if state.is_trusted && passes { mode } else { 0o711 };
        let own = self.parties.executor;
        let gid = if state.is_trusted { stat.st_gid } else { own.gid };
        let right = Right { uid: own.uid, gid: Some(gid), modes: [mode; 4] };
        self.finish(state, &right)
    }
}
