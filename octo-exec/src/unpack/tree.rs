//! What an archive has named so far: each path once, below directories alone.

use crate::archive::Bounds;
use octo_core::Digest;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Names and targets take no more memory than this for each entry that is permitted.
const TEXT_AN_ENTRY: u64 = 256;

/// The release itself.
pub(super) const TOP: Id = Id(0);

/// One path of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(u32);

/// Seconds, and nanoseconds behind them.
pub(crate) type Time = (i64, u32);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory { children: BTreeMap<Rc<[u8]>, Id>, mode: u32, time: Option<Time>, is_named: bool },
    File(Written),
    Link { target: Rc<[u8]>, time: Time },
}

impl Node {
    /// One of which nothing is said but that something is below it.
    pub(super) fn directory(mode: u32) -> Node {
        Node::Directory { children: BTreeMap::new(), mode, time: None, is_named: false }
    }

    /// 0 of what is no directory.
    pub(super) fn directory_mode(&self) -> u32 {
        if let Node::Directory { mode, .. } = self { *mode } else { 0 }
    }
}

/// A file as it was written; its digest is known when all is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) mode: u32,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    pub(crate) time: Time,
}

#[derive(Debug)]
struct Place {
    node: Node,
    name: Rc<[u8]>,
    above: Id,
}

#[derive(Debug)]
pub(super) struct Tree {
    places: Vec<Place>,
    bounds: Bounds,
    text: u64,
}

/// Where a path ends that is not there yet: what is to be made for it, top down, and the
/// directory that it is added to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Free<'a> {
    pub(super) above: Id,
    pub(super) missing: Vec<&'a [u8]>,
    pub(super) name: &'a [u8],
}

impl Tree {
    /// Of a release that has this mode.
    pub(super) fn new(bounds: Bounds, mode: u32) -> Tree {
        let top = Place { node: Node::directory(mode), name: Rc::from(&b""[..]), above: TOP };
        Tree { places: vec![top], bounds, text: 0 }
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.places[id.0 as usize].node
    }

    pub(super) fn above(&self, id: Id) -> Id {
        self.places[id.0 as usize].above
    }

    pub(super) fn name(&self, id: Id) -> &[u8] {
        &self.places[id.0 as usize].name
    }

    /// What is at a file's path, by now.
    pub(super) fn set(&mut self, id: Id, written: Written) {
        self.places[id.0 as usize].node = Node::File(written);
    }

    /// Each path but the top, those above before those below.
    pub(super) fn all(&self) -> impl Iterator<Item = Id> {
        (1..self.places.len()).filter_map(|at| u32::try_from(at).ok()).map(Id)
    }

    /// What is below a directory by this name.
    pub(super) fn child(&self, id: Id, name: &[u8]) -> Option<Id> {
        match self.node(id) {
            Node::Directory { children, .. } => children.get(name).copied(),
            _ => None,
        }
    }

    /// The path, below the release.
    pub(super) fn path(&self, id: Id) -> Vec<u8> {
        let mut steps = Vec::new();
        let mut at = id;
        while at != TOP {
            steps.push(self.name(at));
            at = self.above(at);
        }
        steps.reverse();
        steps.join(&b'/')
    }

    /// What is at this path, if anything.
    pub(super) fn find(&self, path: &[u8]) -> Option<Id> {
        let mut steps = path.split(|b| *b == b'/').filter(|step| !step.is_empty());
        steps.try_fold(TOP, |at, step| self.child(at, step))
    }

    /// Where a new member goes; the error is why it can't.
    pub(super) fn free<'a>(&self, path: &'a [u8]) -> Result<Free<'a>, &'static str> {
        let mut above = TOP;
        let mut missing = Vec::new();
        let mut steps = path.split(|b| *b == b'/').peekable();
        while let Some(step) = steps.next() {
            let is_last = steps.peek().is_none();
            let found = if missing.is_empty() { self.child(above, step) } else { None };
            match found.map(|id| (id, self.node(id))) {
                Some(_) if is_last => return Err("is in it twice"),
                Some((id, Node::Directory { .. })) => above = id,
                Some(_) => return Err("is below what is no directory"),
                None if is_last => return Ok(Free { above, missing, name: step }),
                None => missing.push(step),
            }
        }
        Err("an empty name")
    }

    /// A directory that is named: one that is there only for what is below it may be, once.
    /// Its place, if it is there.
    pub(super) fn named(
        &mut self,
        path: &[u8],
        mode: u32,
        time: Time,
    ) -> Result<Option<Id>, &'static str> {
        let Some(id) = self.find(path) else { return Ok(None) };
        match &mut self.places[id.0 as usize].node {
            Node::Directory { is_named, mode: its_mode, time: its_time, .. } if !*is_named => {
                (*is_named, *its_mode, *its_time) = (true, mode, Some(time));
                Ok(Some(id))
            }
            _ => Err("is in it twice"),
        }
    }

    /// Adds what was free; the error is why there is no more room.
    pub(super) fn add(&mut self, above: Id, name: &[u8], node: Node) -> Result<Id, String> {
        let target = if let Node::Link { target, .. } = &node { target.len() } else { 0 };
        // The whole path, as the manifest has it.
        self.text += (self.path(above).len() + name.len() + target) as u64;
        let id = Id(u32::try_from(self.places.len()).map_err(|_| self.bounds.exceeded())?);
        if self.places.len() as u64 > self.bounds.entries {
            return Err(self.bounds.exceeded());
        }
        let most = self.bounds.entries.saturating_mul(TEXT_AN_ENTRY).max(1 << 20);
        if self.text > most {
            return Err(format!("names of more than {most} bytes in all"));
        }
        let name: Rc<[u8]> = name.into();
        if let Node::Directory { children, .. } = &mut self.places[above.0 as usize].node {
            children.insert(name.clone(), id);
        }
        self.places.push(Place { node, name, above });
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: u64) -> Tree {
        Tree::new(Bounds { bytes: 0, entries }, 0o755)
    }

    fn add(tree: &mut Tree, path: &str, node: Node) -> Result<Id, String> {
        let free = tree.free(path.as_bytes())?;
        let mut above = free.above;
        for step in free.missing {
            above = tree.add(above, step, Node::directory(0o755))?;
        }
        tree.add(above, free.name, node)
    }

    fn link(target: &str) -> Node {
        Node::Link { target: target.as_bytes().into(), time: (0, 0) }
    }

    #[test]
    fn a_path_is_there_once_and_below_directories() {
        let mut tree = tree(100);
        let id = add(&mut tree, "a/b/c", link("x")).expect("free");
        assert_eq!((tree.path(id), tree.find(b"a/b/c")), (b"a/b/c".to_vec(), Some(id)));
        let refused = |tree: &Tree, path: &str| tree.free(path.as_bytes()).err();
        assert_eq!(refused(&tree, "a/b/c"), Some("is in it twice"));
        assert_eq!(refused(&tree, "a/b"), Some("is in it twice"));
        assert_eq!(refused(&tree, "a/b/c/d"), Some("is below what is no directory"));
        assert_eq!(refused(&tree, "a/b/c/d/e"), Some("is below what is no directory"));
        assert_eq!(refused(&tree, "A/b/c"), None);
        // What was there for others may be named, once.
        assert!(matches!(tree.named(b"a/b", 0o750, (5, 0)), Ok(Some(_))));
        assert_eq!(tree.named(b"a/b", 0o750, (5, 0)), Err("is in it twice"));
        assert_eq!(tree.named(b"a/b/c", 0o750, (5, 0)), Err("is in it twice"));
        assert_eq!(tree.named(b"new", 0o750, (5, 0)), Ok(None));
        assert_eq!(tree.named(b"", 0o750, (5, 0)), Ok(Some(TOP)));
    }

    #[test]
    fn directories_count_and_so_do_bytes_of_names() {
        let mut few = tree(3);
        assert!(add(&mut few, "a/b/c", link("x")).is_ok());
        let error = add(&mut few, "d", link("x")).expect_err("full");
        assert_eq!(error, "more than 3 entries or 0 bytes");
        let mut many = tree(2000);
        let long = "l".repeat(4000);
        let refused = (0..2000).find_map(|at| add(&mut many, &format!("f{at}"), link(&long)).err());
        assert_eq!(refused, Some("names of more than 1048576 bytes in all".into()));
    }
}
