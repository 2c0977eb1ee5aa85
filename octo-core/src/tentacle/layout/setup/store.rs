//! STATE/packages and STATE/locks: what a listener could still write to becomes a copy,
//! its sha256 proved.

use super::work::{Directory, Work};
use crate::base::digest::{Digest, Hasher};
use crate::base::error::Result;
use crate::tentacle::layout::rights::{Kind, Right, type_of};
use rustix::fs::FileType;

impl Work<'_> {
    pub(super) fn packages(&mut self, state: &Directory) -> Result<()> {
        let mut store = self.take(&state.fd, "packages", state.path.join("packages"))?;
        for name in store.names()? {
            match Kind::in_store(&name) {
                Kind::Object => self.object(&mut store, &name)?,
                Kind::Lock => self.lock(&mut store, &name)?,
                Kind::Staged if !store.is_trusted => store.remove(&name, "nobody finished it")?,
                Kind::Record => {
                    if let Some(right) = self.parties.right(Kind::Record) {
                        self.file(&mut store, &name, &right, &mut |_| true)?;
                    }
                }
                _ if name == "incoming" => self.incoming(&mut store)?,
                _ if store.is_trusted => {}
                _ => store.remove(&name, "no store has that")?,
            }
        }
        let right = self.parties.directory(0o711);
        self.finish(store, &right)
    }

    fn object(&self, store: &mut Directory, name: &str) -> Result<()> {
        let Some(right) = self.parties.right(Kind::Object) else { return Ok(()) };
        let Some(stat) = store.look(name)? else { return Ok(()) };
        // Jobs have links to it: its second names mean nothing.
        if type_of(&stat) == FileType::RegularFile && right.fault(&stat).is_none() {
            return Ok(());
        }
        let wanted = Digest::parse(name);
        let mut hasher = Hasher::new();
        let mut is_damaged = false;
        let made = self.file(store, name, &right, &mut |bytes| {
            if bytes.is_empty() {
                is_damaged = Some(std::mem::take(&mut hasher).finish()) != wanted;
            }
            hasher.update(bytes);
            !is_damaged
        });
        match made {
            Err(_) if is_damaged => store.remove(name, "its bytes are not those of its sha256"),
            other => other,
        }
    }

    /// What is half there is sent again; octo-exec's own stays.
    fn incoming(&mut self, store: &mut Directory) -> Result<()> {
        let is_directory = |stat| type_of(&stat) == FileType::Directory;
        if !store.look("incoming")?.is_some_and(is_directory) {
            return store.remove("incoming", "it is not a directory");
        }
        let mut incoming = self.take(&store.fd, "incoming", store.path.join("incoming"))?;
        for name in incoming.names()? {
            let own = self.parties.executor.uid;
            if incoming.look(&name)?.is_some_and(|stat| stat.st_uid != own) {
                incoming.remove(&name, "it is sent again")?;
            }
        }
        let own = self.parties.executor;
        let right = Right { uid: own.uid, gid: None, modes: [0o700; 4] };
        self.finish(incoming, &right)
    }

    pub(super) fn locks(&mut self, state: &Directory) -> Result<()> {
        let mut locks = self.take(&state.fd, "locks", state.path.join("locks"))?;
        for name in locks.names()? {
            self.lock(&mut locks, &name)?;
        }
        let own = self.parties.executor;
        let right = Right { uid: own.uid, gid: Some(own.gid), modes: [0o700; 4] };
        self.finish(locks, &right)
    }

    /// A directory of records: `refused`, `pruned`.
    pub(super) fn records(&mut self, state: &Directory, name: &str) -> Result<()> {
        let mut records = self.take(&state.fd, name, state.path.join(name))?;
        if let Some(right) = self.parties.right(Kind::Record) {
            for name in records.names()? {
                self.file(&mut records, &name, &right, &mut |_| true)?;
            }
        }
        let right = self.parties.directory(0o750);
        self.finish(records, &right)
    }

    /// What is only written down to spare a look at all jobs: that of a STATE that was the
    /// listener's is worth nothing, and whoever serves makes it anew.
    pub(super) fn accounts(&mut self, state: &Directory) -> Result<()> {
        for name in ["underway", "kept"] {
            let mut found = self.take(&state.fd, name, state.path.join(name))?;
            let mut names = found.names()?;
            // First what says that the others are all there.
            names.sort_by_key(|name| name != "built");
            for name in &names {
                match self.parties.right(Kind::in_accounts(name)) {
                    _ if !found.is_trusted => found.remove(name, "it is made anew")?,
                    Some(right) => self.file(&mut found, name, &right, &mut |_| true)?,
                    None => {}
                }
            }
            let right = self.parties.directory(0o750);
            self.finish(found, &right)?;
        }
        Ok(())
    }

    /// The copies of what is released: those of a STATE that was the listener's are worth
    /// nothing, and come again with the next job.
    pub(super) fn releases(&mut self, state: &Directory) -> Result<()> {
        let mut releases = self.take(&state.fd, "releases", state.path.join("releases"))?;
        let right = self.parties.directory(0o750);
        for user in releases.names()? {
            let is_directory = |stat| type_of(&stat) == FileType::Directory;
            if !releases.is_trusted || !releases.look(&user)?.is_some_and(is_directory) {
                releases.remove(&user, "it comes again with the next job")?;
                continue;
            }
            let mut copies = self.take(&releases.fd, &user, releases.path.join(&user))?;
            if let Some(right) = self.parties.right(Kind::Record) {
                for name in copies.names()? {
                    self.file(&mut copies, &name, &right, &mut |_| true)?;
                }
            }
            self.finish(copies, &right)?;
        }
        self.finish(releases, &right)
    }

    /// The freezes: one that was dropped here would let through what is to wait.
    pub(super) fn freezes(&mut self, state: &Directory) -> Result<()> {
        let mut freezes = self.take(&state.fd, "freezes", state.path.join("freezes"))?;
        for name in freezes.names()? {
            match self.parties.right(Kind::in_freezes(&name)) {
                Some(right) => self.file(&mut freezes, &name, &right, &mut |_| true)?,
                None if freezes.is_trusted => {}
                None => freezes.remove(&name, "nobody finished it")?,
            }
        }
        let right = self.parties.directory(0o755);
        self.finish(freezes, &right)
    }
}
