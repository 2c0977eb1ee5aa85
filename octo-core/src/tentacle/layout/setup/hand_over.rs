//! STATE/spool and STATE/listen: from one user's to a listener's own, or back.

use super::work::{Directory, Work, failed, give, has_holes};
use crate::base::error::{Error, Exit, Result};
use crate::tentacle::layout::rights::{Parties, Right, mode_of, type_of};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use std::path::PathBuf;

/// The deepest directory there, from which on nothing of ours is.
const DEEPEST: usize = 8;

/// The mode of a directory from which not all has been taken.
const TAKING: u32 = 0o1700;

const NO_FILE: &str = "it is no file of its own";

impl Work<'_> {
    pub(super) fn hand_over(&mut self, state: &Directory, name: &str) -> Result<()> {
        let mut top = open(state, name)?;
        let stat = fstat(&top.fd).map_err(|e| failed(&top.path, e))?;
        let Parties { executor, listener: to } = self.parties;
        let is_begun = stat.st_uid == to.uid && mode_of(&stat) == TAKING;
        if stat.st_uid != to.uid || is_begun {
            let from_executor = stat.st_uid == executor.uid && !is_begun;
            // Back to one user, it may have been any listener's.
            if self.parties.are_separated() && !from_executor {
                return Err(foreign(&top.path, stat.st_uid));
            }
            if from_executor && mode_of(&stat) & 0o022 != 0 {
                let reason = "can't be handed over: others could write there";
                return Err(Error::new(Exit::Configuration, top.path.display(), reason));
            }
            match from_executor {
                true => self.give_below(&mut top, stat.st_uid, DEEPEST)?,
                false => {
                    give(&top.fd, to.uid, to.gid, TAKING).map_err(|e| failed(&top.path, e))?;
                    self.take_below(&mut top, DEEPEST)?;
                }
            }
        }
        // The directory last: whoever comes after a kill begins anew.
        if is_begun || (stat.st_uid, stat.st_gid, mode_of(&stat)) != (to.uid, to.gid, 0o700) {
            give(&top.fd, to.uid, to.gid, 0o700).map_err(|e| failed(&top.path, e))?;
            top.note(format!("{}:{} 0700", to.uid, to.gid));
        }
        if top.done.is_empty() {
            return Ok(());
        }
        (self.say)(&format!("{}: {}", top.path.display(), top.done.join("; ")))
    }

    /// From the one who does all to a listener: nobody else could write there.
    fn give_below(&self, directory: &mut Directory, from: u32, deeper: usize) -> Result<()> {
        let to = self.parties.listener;
        not_too_deep(directory, deeper)?;
        for name in directory.names()? {
            let Some(stat) = directory.look(&name)? else { continue };
            let is_directory = type_of(&stat) == FileType::Directory;
            let is_file = type_of(&stat) == FileType::RegularFile && stat.st_nlink == 1;
            if stat.st_uid == to.uid && (is_directory || is_file) {
                // Handed over before a kill.
                continue;
            }
            if stat.st_uid != from || !(is_directory || is_file) {
                directory.remove(&name, NO_FILE)?;
                continue;
            }
            if is_directory {
                let mode = mode_of(&stat) & 0o700;
                let mut below = open(directory, &name)?;
                self.give_below(&mut below, from, deeper - 1)?;
                directory.done.append(&mut below.done);
                give(&below.fd, to.uid, to.gid, mode).map_err(|e| failed(&below.path, e))?;
            } else {
                let file = directory.open(&name)?;
                // The one that was opened counts.
                let opened = fstat(&file).map_err(|e| directory.failed(&name, e))?;
                if opened.st_uid != from || opened.st_nlink != 1 {
                    return Err(foreign(&directory.path.join(&name), opened.st_uid));
                }
                let mode = mode_of(&opened) & 0o777;
                give(&file, to.uid, to.gid, mode).map_err(|e| directory.failed(&name, e))?;
            }
        }
        Ok(())
    }

    /// From a listener, who may be at work there, to the one who does all. Each directory
    /// is his before its names are looked at; of files that somebody may hold open he gets
    /// copies.
    fn take_below(&self, directory: &mut Directory, deeper: usize) -> Result<()> {
        let to = self.parties.listener;
        not_too_deep(directory, deeper)?;
        for name in directory.names()? {
            let Some(stat) = directory.look(&name)? else { continue };
            match type_of(&stat) {
                FileType::Directory => {
                    let mut below = open(directory, &name)?;
                    give(&below.fd, to.uid, to.gid, 0o700).map_err(|e| failed(&below.path, e))?;
                    self.take_below(&mut below, deeper - 1)?;
                    directory.done.append(&mut below.done);
                }
                FileType::RegularFile if stat.st_nlink == 1 && stat.st_uid == to.uid => {}
                FileType::RegularFile if stat.st_nlink == 1 && !has_holes(&stat) => {
                    let mode = mode_of(&stat) & 0o777;
                    let right = Right { uid: to.uid, gid: Some(to.gid), modes: [mode; 4] };
                    let file = directory.open(&name)?;
                    self.copy(directory, &name, file, &right, (to.gid, mode), &mut |_| true)?;
                }
                _ => directory.remove(&name, NO_FILE)?,
            }
        }
        Ok(())
    }
}

fn not_too_deep(directory: &Directory, deeper: usize) -> Result<()> {
    match deeper {
        0 => Err(Error::new(Exit::Configuration, directory.path.display(), "is too deep")),
        _ => Ok(()),
    }
}

fn open(above: &Directory, name: &str) -> Result<Directory> {
    let path: PathBuf = above.path.join(name);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(&above.fd, name, flags, Mode::empty()).map_err(|e| failed(&path, e))?;
    Ok(Directory { fd, path, is_trusted: false, done: Vec::new() })
}

fn foreign(path: &std::path::Path, uid: u32) -> Error {
    let reason = format!("is owned by uid {uid}: neither octo-exec's nor the listener's");
    Error::new(Exit::Configuration, path.display(), reason)
}
