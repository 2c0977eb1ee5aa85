//! What a package would put into a release, read as `octo-exec unpack` reads it, through a
//! pipe, and written nowhere.

use super::conf::{Conf, HOOKS, OCTO_CONF};
use super::former::{Items, LARGEST_TEXT, MOST_PATHS, implied, with_directories};
use crate::archive::{Archive, Bounds, Content, Member};
use crate::stop::Stop;
use crate::unpack::{Item, Modes, Written};
use octo_core::Digest;
use octo_core::base::error::Result;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// In all of its files together, as octo-release permits by default.
const MOST_BYTES: u64 = 10 << 30;

/// A package.
pub(super) struct Package {
    pub(super) items: Items,
    pub(super) conf: Conf,
    texts: BTreeMap<Vec<u8>, Vec<u8>>,
}

struct Reading<'a> {
    archive: Archive,
    modes: Modes,
    /// Files whose text is kept.
    wanted: Vec<&'a [u8]>,
    items: Items,
    texts: BTreeMap<Vec<u8>, Vec<u8>>,
    /// In the order of the archive.
    files: Vec<Vec<u8>>,
    /// Second names, and of what.
    same: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Package {
    /// Reads one that comes through a pipe and begins with these bytes. Of what the former
    /// release ran once the text is kept as well as of the hooks.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(
        pipe: (File, &[u8]),
        modes: Modes,
        once: Option<&[u8]>,
        stop: &Stop,
    ) -> Result<Package> {
        let bounds = Bounds { bytes: MOST_BYTES, entries: MOST_PATHS };
        let archive = Archive::piped(Path::new("the package"), pipe, bounds, stop)?;
        let wanted = HOOKS.into_iter().chain([OCTO_CONF]).chain(once).collect();
        let mut reading = Reading {
            archive,
            modes,
            wanted,
            items: Items::new(),
            texts: BTreeMap::new(),
            files: Vec::new(),
            same: Vec::new(),
        };
        while let Some(member) = reading.archive.member()? {
            reading.member(member)?;
        }
        reading.finish()
    }

    /// The bytes of a file of it, if there is one; the error is why they can't be shown.
    pub(super) fn text(&self, path: &[u8]) -> Option<std::result::Result<&[u8], String>> {
        match self.items.get(path)? {
            Item::File(written) if written.size > LARGEST_TEXT => {
                Some(Err(format!("that of the package has {} bytes", written.size)))
            }
            Item::File(_) => Some(self.texts.get(path).map(Vec::as_slice).ok_or_else(|| {
                "in the package its text stands before octo.conf, or under another name".into()
            })),
            Item::Link { .. } => Some(Err("the package has a link there".into())),
            Item::Directory { .. } | Item::Other => {
                Some(Err("the package has no file there".into()))
            }
        }
    }
}

impl Reading<'_> {
    fn member(&mut self, member: Member) -> Result<()> {
        let Member { path, content, size, time, .. } = &member;
        if path.is_empty() {
            return Ok(());
        }
        let item = match content {
            Content::Directory => Item::Directory { mode: self.modes.directory(&member) },
            Content::Symlink(target) => Item::Link { target: target.clone() },
            Content::Hardlink(target) => {
                self.same.push((path.clone(), target.clone()));
                Item::Other
            }
            Content::File => {
                self.files.push(path.clone());
                let digest = Digest::from_bytes([0; 32]);
                let mode = self.modes.file(&member);
                Item::File(Written { mode, size: *size, digest, time: *time })
            }
        };
        self.file(&member)?;
        let is_directory = matches!(item, Item::Directory { .. });
        let before = self.items.insert(path.clone(), item);
        // Which of the two octo-release would take, is not said: it takes none.
        match before {
            Some(Item::Directory { .. }) if is_directory => Ok(()),
            Some(_) => Err(self.archive.bad(path, "is in it twice")),
            None => Ok(()),
        }
    }

    fn file(&mut self, member: &Member) -> Result<()> {
        let is_kept = self.wanted.contains(&member.path.as_slice()) && member.size <= LARGEST_TEXT;
        let mut text = Vec::new();
        loop {
            let piece = self.archive.piece()?;
            if piece.is_empty() {
                break;
            }
            if is_kept {
                text.extend_from_slice(piece);
            }
        }
        if is_kept && member.content == Content::File {
            self.texts.insert(member.path.clone(), text);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Package> {
        for (path, target) in &self.same {
            let item = match self.items.get(target) {
                Some(item @ (Item::File(_) | Item::Link { .. })) => item.clone(),
                _ => {
                    return Err(self.archive.bad(path, "a hard link to what is no file before it"));
                }
            };
            self.items.insert(path.clone(), item);
        }
        let digests = self.archive.digests()?;
        for (path, found) in self.files.iter().zip(digests) {
            if let Some(Item::File(written)) = self.items.get_mut(path) {
                written.digest = found;
            }
        }
        for (path, target) in self.same {
            if let Some(item) = self.items.get(&target).cloned() {
                self.items.insert(path, item);
            }
        }
        let conf = self.texts.get(OCTO_CONF).map(|text| Conf::parse(text)).unwrap_or_default();
        let implied = implied(&self.items);
        let mode = self.modes.unnamed();
        with_directories(&mut self.items, implied.iter().map(Vec::as_slice), mode);
        self.items.retain(|path, _| !conf.shares(path));
        with_directories(&mut self.items, conf.above_shared(), mode);
        Ok(Package { items: self.items, conf, texts: self.texts })
    }
}
