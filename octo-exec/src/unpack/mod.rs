//! `octo-exec unpack`: a release of an archive, whole and on the disk, or nothing.

mod destination;
mod former;
mod links;
mod lost;
mod manifest;
mod modes;
pub(crate) mod options;
mod tree;
mod verify;
mod walk;
mod writer;

pub(crate) use manifest::{Item, Manifest};
pub(crate) use modes::{Modes, is_private};
pub(crate) use tree::Written;
pub(crate) use verify::{manifest, verify};
pub(crate) use walk::{Found, Walk};
pub(crate) use writer::{Rules, times};

use crate::archive::{Archive, Content, Member};
use crate::stop::Stop;
use destination::Destination;
use links::Sharing;
use octo_core::Digest;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use options::Told;
use rustix::fs::Mode;
use tree::{Free, Id, Node, TOP, Tree};
use writer::{Place, Writer};

/// The verb. Nobody hears of the manifest, or that all is well, before it is on the disk;
/// a signal that comes sooner undoes it all.
pub(crate) fn unpack(said: &Said, _: &Places) -> Result<u8> {
    let told = Told::read(said)?;
    let stop = Stop::heeded("unpack")?;
    // A file that is made has its mode at once, but for its group: see `Modes`.
    let umask = rustix::process::umask(Mode::empty()).bits();
    let modes = Modes::new(umask, told.rules.group.is_some());
    // Who only asks whether it may be unpacked asks for no digest.
    let is_hashed = told.directory.is_some() || told.manifest.is_some();
    let archive = Archive::open(&told.archive, told.bounds, is_hashed, &stop)?;
    let destination = told.directory.as_deref();
    let destination =
        destination.map(|path| Destination::new(path, modes, said.tool())).transpose()?;
    let writer = match &destination {
        Some(to) => Some(Writer::new(&to.path, to.top()?, told.rules, modes)?),
        None => None,
    };
    let tree = Tree::new(told.bounds, modes.unnamed());
    let sharing = told.shared_by.map(Sharing::by);
    let mut work =
        Work { archive, modes, writer, tree, sharing, files: Vec::new(), same: Vec::new() };
    let mut lost = String::new();
    while let Some(member) = work.archive.member()? {
        work.member(&member)?;
        if told.says_lost {
            lost.push_str(&lost::lines_of(&member.path, &member.attributes));
        }
    }
    let tree = work.finish()?;
    stop.check()?;
    if let Some(path) = &told.manifest {
        Manifest::of(&tree).write(path)?;
    }
    if let Some(path) = &told.packed_from {
        print(&lost::lost(&tree, path)?)?;
    }
    print(&lost)?;
    destination.into_iter().for_each(Destination::keep);
    Ok(0)
}

struct Work {
    archive: Archive,
    modes: Modes,
    /// None in a dry run.
    writer: Option<Writer>,
    tree: Tree,
    sharing: Option<Sharing>,
    /// In the order of the archive; was one written, or has it its name only?
    files: Vec<(Id, bool)>,
    /// Second names, and of what.
    same: Vec<(Id, Id)>,
}

impl Work {
    fn member(&mut self, member: &Member) -> Result<()> {
        let path = member.path.as_slice();
        if member.content == Content::Directory {
            let mode = self.modes.directory(member);
            let named = self.tree.named(path, mode, member.time);
            match named.map_err(|why| self.archive.bad(path, why))? {
                Some(TOP) => return Ok(()),
                Some(id) => return self.named(id, mode),
                None => {}
            }
        }
        let free = self.tree.free(path).map_err(|why| self.archive.bad(path, why))?;
        let Free { mut above, missing, name } = free;
        for step in missing {
            above = self.directory(member, (above, step), Node::directory(self.modes.unnamed()))?;
        }
        let to = (above, name);
        match &member.content {
            Content::File => self.file(member, to),
            Content::Directory => {
                let (mode, time) = (self.modes.directory(member), Some(member.time));
                let node =
                    Node::Directory { children: Default::default(), mode, time, is_named: true };
                self.directory(member, to, node).map(drop)
            }
            Content::Symlink(target) => {
                let node = Node::Link { target: target.as_slice().into(), time: member.time };
                self.add(member, to, node).map(drop)
            }
            Content::Hardlink(target) => self.hard_link(member, to, target),
        }
    }

    fn add(&mut self, member: &Member, (above, name): (Id, &[u8]), node: Node) -> Result<Id> {
        let added = self.tree.add(above, name, node);
        added.map_err(|why| self.archive.bad(&member.path, why))
    }

    fn directory(&mut self, member: &Member, to: (Id, &[u8]), node: Node) -> Result<Id> {
        let place = Place { above: to.0, name: to.1, mode: node.directory_mode() };
        let id = self.add(member, to, node)?;
        if let Some(writer) = &mut self.writer {
            writer.make_directory(&self.tree, place)?;
        }
        Ok(id)
    }

    /// A directory that was made for what is below it.
    fn named(&mut self, id: Id, mode: u32) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let to = Place { above: self.tree.above(id), name: self.tree.name(id), mode };
        writer.change_directory(&self.tree, to)
    }

    fn file(&mut self, member: &Member, (above, name): (Id, &[u8])) -> Result<()> {
        let mode = self.modes.file(member);
        let to = Place { above, name, mode };
        let mut output = match &mut self.writer {
            Some(writer) => Some(writer.begin(&self.tree, to, member)?),
            None => None,
        };
        loop {
            let piece = self.archive.piece()?;
            if piece.is_empty() {
                break;
            }
            if let (Some(writer), Some(output)) = (&mut self.writer, &mut output) {
                writer.go_on(&self.tree, to, output, piece)?;
            }
            if let Some(sharing) = &mut self.sharing {
                sharing.read(&member.path, piece);
            }
        }
        let digest = Digest::from_bytes([0; 32]);
        let mut ended = (Written { mode, size: member.size, digest, time: member.time }, true);
        if let (Some(writer), Some(output)) = (&mut self.writer, output) {
            ended = writer.end(&self.tree, to, output, ended.0)?;
        }
        let id = self.add(member, (above, name), Node::File(ended.0))?;
        self.files.push((id, ended.1));
        Ok(())
    }

    /// One to a link is another link to the same place, which is looked at from where it is.
    fn hard_link(&mut self, member: &Member, to: (Id, &[u8]), target: &[u8]) -> Result<()> {
        let found = self.tree.find(target).map(|id| (id, self.tree.node(id)));
        let (old, node) = match found {
            Some((id, Node::File(written))) => (id, Node::File(*written)),
            Some((_, Node::Link { target, time })) => {
                let node = Node::Link { target: target.clone(), time: *time };
                return self.add(member, to, node).map(drop);
            }
            _ => {
                return Err(self
                    .archive
                    .bad(&member.path, "a hard link to what is no file before it"));
            }
        };
        if let Some(writer) = &mut self.writer {
            writer.link(&self.tree, old, to.0, to.1)?;
        }
        let id = self.add(member, to, node)?;
        self.same.push((id, old));
        Ok(())
    }

    /// What can be told of all together: digests, whether links stay inside, times.
    fn finish(mut self) -> Result<Tree> {
        let by_shared = || self.sharing.as_ref()?.stray(&self.tree);
        if let Some((id, why)) = links::stray(&self.tree).or_else(by_shared) {
            return Err(self.archive.bad(&self.tree.path(id), why));
        }
        for ((id, is_own), digest) in self.files.into_iter().zip(self.archive.digests()?) {
            let Node::File(written) = self.tree.node(id) else { continue };
            let mut written = Written { digest, ..*written };
            if let Some(writer) = self.writer.as_mut().filter(|_| is_own) {
                written = writer.keep_time(&self.tree, id, written)?;
            }
            self.tree.set(id, written);
        }
        for (id, old) in self.same {
            if let Node::File(written) = *self.tree.node(old) {
                self.tree.set(id, written);
            }
        }
        if let Some(writer) = &mut self.writer {
            writer.finish_tree(&self.tree)?;
            writer.sync()?;
        }
        Ok(self.tree)
    }
}
