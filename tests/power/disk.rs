//! A file system as it is, and as a power cut would leave it: of each file and directory
//! what it holds now, and what was synced of it last.

use crate::tree::{Entry, Kind, Tree};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The number of a file or directory.
pub(crate) type Node = usize;

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    File(Rc<Vec<u8>>),
    Directory(Rc<BTreeMap<String, Node>>),
    Link(String),
}

/// What it holds, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) body: Body,
    mode: u32,
    owner: (u32, u32),
    version: u64,
}

#[derive(Debug)]
struct Inode {
    now: Held,
    synced: Held,
}

/// All of it, from a directory of the machine on.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) top: PathBuf,
    nodes: Vec<Inode>,
    /// What the last write added to which file: it may be torn.
    last: Option<(Node, usize)>,
    /// How often something was changed or synced.
    pub(crate) changes: usize,
}

/// What a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Left {
    /// What was synced, and nothing else.
    Synced,
    /// All that was done, but for half of the last write.
    Done,
    /// All names, but of the files what was synced of them.
    Names,
    /// All names, and half of what was not synced of each file.
    Torn,
    /// What the files hold, but the names that were synced.
    Contents,
    /// Names that were taken away, but none that were given.
    Gone,
}

impl Left {
    pub(crate) const ALL: [Left; 6] =
        [Left::Synced, Left::Done, Left::Names, Left::Torn, Left::Contents, Left::Gone];
}

impl Disk {
    /// What is there now, all of it synced.
    pub(crate) fn load(top: &Path) -> Disk {
        let mut disk = Disk { top: top.to_path_buf(), nodes: Vec::new(), last: None, changes: 0 };
        disk.load_node(top);
        disk
    }

    /// One of which nothing is known.
    pub(crate) fn empty() -> Disk {
        let top = PathBuf::from("/nowhere");
        let mut disk = Disk { top, nodes: Vec::new(), last: None, changes: 0 };
        disk.add(Body::Directory(Rc::default()), 0o755, (0, 0));
        disk
    }

    /// How many lines each file of this directory has now.
    pub(crate) fn lines(&self, directory: &Path) -> BTreeMap<String, usize> {
        let node = self.node(directory).and_then(|node| self.entries(node));
        let files = node.into_iter().flatten();
        let lines = |(name, node): (&String, &Node)| match &self.nodes[*node].now.body {
            Body::File(bytes) => {
                Some((name.clone(), bytes.iter().filter(|b| **b == b'\n').count()))
            }
            _ => None,
        };
        files.filter_map(lines).collect()
    }

    fn load_node(&mut self, path: &Path) -> Node {
        let metadata = path.symlink_metadata().expect("stat");
        let node = self.nodes.len();
        let owner = (metadata.uid(), metadata.gid());
        self.add(Body::File(Rc::default()), metadata.mode() & 0o7777, owner);
        let body = if metadata.is_dir() {
            let entries = std::fs::read_dir(path).expect("read_dir").flatten();
            // A socket is gone with its owner.
            let entries = entries.filter(|entry| {
                entry
                    .file_type()
                    .is_ok_and(|kind| kind.is_file() || kind.is_dir() || kind.is_symlink())
            });
            let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into();
            Body::Directory(Rc::new(
                entries.map(|entry| (name(&entry.path()), self.load_node(&entry.path()))).collect(),
            ))
        } else if metadata.is_symlink() {
            Body::Link(std::fs::read_link(path).expect("a link").to_string_lossy().into())
        } else if metadata.is_file() {
            Body::File(Rc::new(std::fs::read(path).expect("read")))
        } else {
            Body::File(Rc::default())
        };
        self.nodes[node].now.body = body.clone();
        self.nodes[node].synced.body = body;
        node
    }

    fn add(&mut self, body: Body, mode: u32, owner: (u32, u32)) -> Node {
        let now = Held { body, mode, owner, version: 0 };
        self.nodes.push(Inode { synced: now.clone(), now });
        self.nodes.len() - 1
    }

    /// The node of this path, through links.
    pub(crate) fn node(&self, path: &Path) -> Option<Node> {
        let (mut parent, mut name) = self.place(path)?;
        for _ in 0..8 {
            let node = match name.as_str() {
                "" => Some(parent),
                _ => self.entries(parent)?.get(&name).copied(),
            }?;
            let Body::Link(target) = &self.nodes[node].now.body else { return Some(node) };
            let linked = path.parent()?.join(target);
            (parent, name) = self.place(&linked)?;
        }
        None
    }

    /// The directory in which this path ends, and its name there.
    pub(crate) fn place(&self, path: &Path) -> Option<(Node, String)> {
        let rest = path.strip_prefix(&self.top).ok()?.to_str()?;
        let mut names: Vec<String> = Vec::new();
        for name in rest.split('/').filter(|name| !matches!(*name, "" | ".")) {
            match name {
                ".." => drop(names.pop()),
                name => names.push(name.to_string()),
            }
        }
        let last = names.pop().unwrap_or_default();
        let (mut at, mut walked) = (0, self.top.clone());
        for name in names {
            walked.push(&name);
            at = *self.entries(at)?.get(&name)?;
            if matches!(self.nodes[at].now.body, Body::Link(_)) {
                at = self.node(&walked)?;
            }
        }
        Some((at, last))
    }

    fn entries(&self, node: Node) -> Option<&BTreeMap<String, Node>> {
        match &self.nodes[node].now.body {
            Body::Directory(entries) => Some(entries),
            _ => None,
        }
    }

    fn has(&self, directory: Node, name: &str) -> bool {
        self.entries(directory).is_some_and(|entries| entries.contains_key(name))
    }

    /// Is this path itself a link?
    pub(crate) fn is_link(&self, path: &Path) -> bool {
        let found = self.place(path).and_then(|(parent, name)| self.entries(parent)?.get(&name));
        found.is_some_and(|node| matches!(self.nodes[*node].now.body, Body::Link(_)))
    }

    fn change(&mut self, node: Node) -> &mut Body {
        self.changes += 1;
        let now = &mut self.nodes[node].now;
        now.version += 1;
        &mut now.body
    }

    /// Gives a name to a node.
    pub(crate) fn name(&mut self, (parent, name): (Node, String), node: Node) {
        if let Body::Directory(entries) = self.change(parent) {
            Rc::make_mut(entries).insert(name, node);
        }
    }

    /// Takes a name away: whose it was.
    pub(crate) fn unname(&mut self, (parent, name): (Node, String)) -> Option<Node> {
        match self.change(parent) {
            Body::Directory(entries) => Rc::make_mut(entries).remove(&name),
            _ => None,
        }
    }

    /// Makes a new one of this name; a link has no more than its name.
    pub(crate) fn make(
        &mut self,
        place: (Node, String),
        body: Body,
        mode: u32,
        owner: (u32, u32),
    ) -> Node {
        let node = self.add(body, mode, owner);
        self.name(place, node);
        node
    }

    /// Writes at this place.
    pub(crate) fn write(&mut self, node: Node, at: usize, bytes: &[u8]) {
        self.last = Some((node, bytes.len()));
        if let Body::File(held) = self.change(node) {
            let held = Rc::make_mut(held);
            held.resize(held.len().max(at + bytes.len()), 0);
            held[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    pub(crate) fn length(&self, node: Node) -> usize {
        match &self.nodes[node].now.body {
            Body::File(bytes) => bytes.len(),
            _ => 0,
        }
    }

    pub(crate) fn set_length(&mut self, node: Node, length: usize) {
        if let Body::File(held) = self.change(node) {
            Rc::make_mut(held).resize(length, 0);
        }
    }

    pub(crate) fn set_mode(&mut self, node: Node, mode: u32) {
        self.change(node);
        self.nodes[node].now.mode = mode & 0o7777;
    }

    pub(crate) fn set_owner(&mut self, node: Node, uid: Option<u32>, gid: Option<u32>) {
        self.change(node);
        let owner = &mut self.nodes[node].now.owner;
        *owner = (uid.unwrap_or(owner.0), gid.unwrap_or(owner.1));
    }

    /// What a sync that begins now brings to the disk.
    pub(crate) fn syncing(&self, node: Option<Node>) -> Vec<(Node, Held)> {
        let nodes = node.map_or(0..self.nodes.len(), |node| node..node + 1);
        nodes.map(|node| (node, self.nodes[node].now.clone())).collect()
    }

    /// It is over.
    pub(crate) fn synced(&mut self, all: Vec<(Node, Held)>) {
        self.changes += 1;
        for (node, held) in all {
            // Another one may have begun later, and been faster.
            if held.version >= self.nodes[node].synced.version {
                self.nodes[node].synced = held;
            }
        }
    }

    /// In what it differs from what is there, but for what nobody keeps: a call that was
    /// passed over, or taken for another.
    pub(crate) fn differences(&mut self) -> Vec<String> {
        self.last = None;
        let mut other = Disk::load(&self.top);
        other.last = None;
        let [ours, theirs] = [self.left(Left::Done, ""), other.left(Left::Done, "")].map(|t| t.0);
        let names = ours.keys().chain(theirs.keys()).filter(|name| !name.starts_with("out"));
        let differ = |name: &&String| ours.get(*name) != theirs.get(*name);
        let show = |found: Option<&Entry>| match found {
            None => "nothing".to_string(),
            Some((Kind::File(bytes), mode, owner)) => {
                let text = octo_core::base::encoding::printable(&bytes[..bytes.len().min(200)]);
                format!("{} bytes, {mode:o} {owner:?} {text}", bytes.len())
            }
            Some((kind, mode, owner)) => format!("{kind:?} {mode:o} {owner:?}"),
        };
        let show =
            |name| format!("{name}: {} not {}", show(ours.get(name)), show(theirs.get(name)));
        names.filter(differ).map(show).collect()
    }

    /// What is left below this path.
    pub(crate) fn left(&self, left: Left, below: &str) -> Tree {
        let mut tree = Tree(BTreeMap::new());
        self.collect(0, String::new(), left, &mut tree);
        let is_below = |path: &str| Path::new(path).starts_with(below);
        tree.0.retain(|path, _| is_below(path));
        tree
    }

    fn collect(&self, node: Node, path: String, left: Left, tree: &mut Tree) {
        let Inode { now, synced } = &self.nodes[node];
        let is_directory = matches!(now.body, Body::Directory(_));
        let held = match (left, is_directory) {
            (Left::Synced | Left::Gone, _) | (Left::Names, false) | (Left::Contents, true) => {
                synced
            }
            (Left::Done | Left::Contents | Left::Torn, _) | (Left::Names, true) => now,
        };
        let kind = match &held.body {
            Body::Link(target) => Kind::Link(target.clone()),
            Body::Directory(_) => Kind::Directory,
            Body::File(bytes) => Kind::File(match (left, self.last) {
                (Left::Done, Some((last, length))) if last == node => {
                    let whole = bytes.len() - length.min(bytes.len()).div_ceil(2);
                    bytes[..whole.max(safe(bytes, synced))].to_vec()
                }
                (Left::Torn, _) => torn(bytes, synced),
                _ => bytes.to_vec(),
            }),
        };
        if let Body::Directory(entries) = &held.body {
            let is_left = |name: &str| left != Left::Gone || self.has(node, name);
            for (name, child) in entries.iter().filter(|(name, _)| is_left(name)) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                self.collect(*child, path, left, tree);
            }
        }
        tree.0.insert(path, (kind, held.mode, held.owner));
    }
}

/// How much of its beginning is synced.
fn safe(bytes: &[u8], synced: &Held) -> usize {
    match &synced.body {
        Body::File(before) if bytes.starts_with(before) => before.len(),
        _ => 0,
    }
}

/// Half of what was not synced.
fn torn(bytes: &[u8], synced: &Held) -> Vec<u8> {
    let kept = safe(bytes, synced);
    bytes[..kept + (bytes.len() - kept) / 2].to_vec()
}
