//! A file of a release: while the bytes that come are those that the former release has at its path,
//! nothing is written, and in the end that file gets a second name.

use super::super::former::time_in;
use super::super::lost::kinds;
use super::super::modes::is_private;
use super::super::tree::{Tree, Written};
use super::plain::{Open, Place, Writer, below};
use super::twin::{AT_ONCE, Twin};
use crate::archive::Member;
use octo_core::base::error::{Error, Exit, Result};
use rustix::fs::{AtFlags, flistxattr, linkat, unlinkat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// A file that has begun.
pub(crate) enum Output {
    /// It is the same as this so far.
    Same(Twin),
    Own(Open),
}

impl Writer {
    /// Begins a file, which must not be there.
    pub(crate) fn begin(&mut self, tree: &Tree, to: Place<'_>, member: &Member) -> Result<Output> {
        match self.twin(member, to.mode) {
            Some(twin) => Ok(Output::Same(twin)),
            None => self.create(tree, to).map(Output::Own),
        }
    }

    /// Goes on with these bytes.
    pub(crate) fn go_on(
        &mut self,
        tree: &Tree,
        to: Place<'_>,
        output: &mut Output,
        piece: &[u8],
    ) -> Result<()> {
        if let Output::Same(twin) = output {
            if twin.goes_on(piece) {
                return Ok(());
            }
            *output = Output::Own(self.copy(tree, to, twin)?);
        }
        match output {
            Output::Own(open) => self.write(open, piece),
            Output::Same(_) => Ok(()),
        }
    }

    /// Ends it. What is returned has its time, and says whether it is a file of its own.
    pub(crate) fn end(
        &mut self,
        tree: &Tree,
        to: Place<'_>,
        output: Output,
        written: Written,
    ) -> Result<(Written, bool)> {
        let open = match output {
            Output::Own(open) => open,
            Output::Same(twin) => match self.name_again(tree, to, &twin)? {
                true => return Ok((Written { time: time_in(&twin.stat), ..written }, false)),
                // It has as many names as it may, or is on another disk.
                false => self.copy(tree, to, &twin)?,
            },
        };
        Ok((self.finish(open, written)?, true))
    }

    /// What may become this file, if its bytes are the same: all else of it is what a new one would
    /// have.
    fn twin(&self, member: &Member, mode: u32) -> Option<Twin> {
        let former = self.rules.former.as_ref().filter(|_| self.rules.links)?;
        let (file, stat) = former.file(&member.path, member.size)?;
        let group = self.rules.group.unwrap_or(self.group);
        let is_alike = stat.st_mode & 0o7777 == mode
            && stat.st_uid == rustix::process::geteuid().as_raw()
            && (!is_private(mode) || stat.st_gid == group);
        // Rights by access lists or capabilities would come with it.
        let mut names = [0; 512];
        let length = match flistxattr(&file, &mut names[..]) {
            Ok(length) => length,
            Err(Errno::NOTSUP) => 0,
            Err(_) => return None,
        };
        let is_plain = kinds(&names[..length]).next().is_none();
        (is_alike && is_plain).then_some(Twin { file, stat, same: 0 })
    }

    /// Begins a file with what was the same.
    fn copy(&mut self, tree: &Tree, to: Place<'_>, twin: &Twin) -> Result<Open> {
        let open = self.create(tree, to)?;
        let mut buffer = [0; AT_ONCE];
        let mut at = 0;
        while at < twin.same {
            let length = usize::try_from(twin.same - at).unwrap_or(AT_ONCE).min(AT_ONCE);
            let part = &mut buffer[..length];
            if twin.file.read_exact_at(part, at).is_err() {
                return Err(self.touched(&open.path));
            }
            self.write(&open, part)?;
            at += length as u64;
        }
        if twin.is_untouched() { Ok(open) } else { Err(self.touched(&open.path)) }
    }

    /// Gives the former file this name, too; false where that can't be.
    fn name_again(&mut self, tree: &Tree, to: Place<'_>, twin: &Twin) -> Result<bool> {
        let (path, name) = (below(tree, to.above, to.name), OsStr::from_bytes(to.name));
        if !twin.is_untouched() {
            return Err(self.touched(&path));
        }
        let above = self.directory(tree, to.above)?.try_clone_to_owned();
        let above = above.map_err(|e| Error::io(&self.path, &e))?;
        let Some(former) = &self.rules.former else { return Ok(false) };
        if linkat(former.top(), OsStr::from_bytes(&path), &above, name, AtFlags::empty()).is_err() {
            return Ok(false);
        }
        // Its path may lead elsewhere by now.
        let is_it = twin.is_at(&above, name);
        if !is_it {
            unlinkat(&above, name, AtFlags::empty()).map_err(self.failed("create", &path))?;
        }
        Ok(is_it)
    }

    fn touched(&self, path: &[u8]) -> Error {
        let path = self.path.join(OsStr::from_bytes(path));
        let reason = "its file in the former release was written to meanwhile";
        Error::new(Exit::Temporary, path.display(), reason)
            .hint("where releases share files, nobody may write into one")
    }
}
