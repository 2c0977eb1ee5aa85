//! A file system as it is, and as a power cut would leave it: of each file and directory
//! what it holds now, and what was synced of it last.

use octo_core::Digest;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
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
    top: PathBuf,
    nodes: Vec<Inode>,
    /// What the last write added to which file: it may be torn.
    last: Option<(Node, usize)>,
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
}

impl Left {
    pub(crate) const ALL: [Left; 5] =
        [Left::Synced, Left::Done, Left::Names, Left::Torn, Left::Contents];
}

/// A tree, by the paths in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tree(BTreeMap<String, (Kind, u32, (u32, u32))>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    File(Vec<u8>),
    Directory,
    Link(String),
}

impl Disk {
    /// What is there now, all of it synced.
    pub(crate) fn load(top: &Path) -> Disk {
        let mut disk = Disk { top: top.to_path_buf(), nodes: Vec::new(), last: None };
        disk.load_node(top);
        disk
    }

    /// One of which nothing is known.
    pub(crate) fn empty() -> Disk {
        let mut disk = Disk { top: PathBuf::from("/nowhere"), nodes: Vec::new(), last: None };
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

    /// Is this path itself a link?
    pub(crate) fn is_link(&self, path: &Path) -> bool {
        let found = self.place(path).and_then(|(parent, name)| self.entries(parent)?.get(&name));
        found.is_some_and(|node| matches!(self.nodes[*node].now.body, Body::Link(_)))
    }

    /// What this file holds now, and what is synced of it.
    pub(crate) fn contents(&self, path: &Path) -> [Vec<u8>; 2] {
        let Some(node) = self.node(path) else { return Default::default() };
        [&self.nodes[node].now, &self.nodes[node].synced].map(|held| match &held.body {
            Body::File(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        })
    }

    fn change(&mut self, node: Node) -> &mut Body {
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
        self.nodes[node].now.mode = mode;
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
        for (node, held) in all {
            // Another one may have begun later, and been faster.
            if held.version >= self.nodes[node].synced.version {
                self.nodes[node].synced = held;
            }
        }
    }

    /// What is left below this path.
    pub(crate) fn left(&self, left: Left, below: &str) -> Tree {
        let mut tree = Tree(BTreeMap::new());
        self.collect(0, String::new(), left, &mut tree);
        let is_below = |path: &str| path == below || path.starts_with(&format!("{below}/"));
        tree.0.retain(|path, _| is_below(path));
        tree
    }

    fn collect(&self, node: Node, path: String, left: Left, tree: &mut Tree) {
        let Inode { now, synced } = &self.nodes[node];
        let is_directory = matches!(now.body, Body::Directory(_));
        let held = match (left, is_directory) {
            (Left::Synced, _) | (Left::Names, false) | (Left::Contents, true) => synced,
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
            for (name, child) in entries.iter() {
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

/// Says whether there was something to replace.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) -> bool {
    assert_eq!(from.len(), to.len());
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|w| w == from) {
        bytes[at + found..at + found + to.len()].copy_from_slice(to);
        at += found + to.len();
    }
    at > 0
}

fn replace_in_parts(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let mut at = 0;
    while let Some(end) = bytes[at..].iter().position(|b| *b == b'\n').map(|end| at + end) {
        let head = String::from_utf8_lossy(&bytes[at..end]).into_owned();
        let words: Vec<&str> = head.split(' ').collect();
        let [_, _, length, digest] = words[..] else { return };
        let Ok(length) = length.parse::<usize>() else { return };
        let Some(part) = bytes.get_mut(end + 1..end + 1 + length) else { return };
        let is_whole = Digest::of(part).to_string() == digest;
        if replace(part, from, to) && is_whole {
            let digest = Digest::of(part).to_string();
            bytes[end - digest.len()..end].copy_from_slice(digest.as_bytes());
        }
        at = end + length + 2;
        if at > bytes.len() {
            return;
        }
    }
}

impl Tree {
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }

    /// Replaces these words in what all files hold: of the same length. In a job's record each
    /// part has the digest that it now needs, if it had one before.
    pub(crate) fn replace(&mut self, from: &[u8], to: &[u8]) {
        for (path, (kind, _, _)) in &mut self.0 {
            let Kind::File(bytes) = kind else { continue };
            match path.ends_with("/record") {
                true => replace_in_parts(bytes, from, to),
                false => drop(replace(bytes, from, to)),
            }
        }
    }

    /// Takes the files below this path out of it.
    pub(crate) fn without(mut self, path: &str) -> Tree {
        self.0.retain(|name, _| !name.starts_with(&format!("{path}/")));
        self
    }

    /// What a file holds.
    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        match self.0.get(path) {
            Some((Kind::File(bytes), _, _)) => Some(bytes),
            _ => None,
        }
    }

    /// Builds it in this directory.
    pub(crate) fn build(&self, top: &Path) {
        let is_root = rustix::process::geteuid().is_root();
        for (path, (kind, _, owner)) in &self.0 {
            let path = top.join(path);
            match kind {
                Kind::File(bytes) => std::fs::write(&path, bytes).expect("write"),
                Kind::Directory => std::fs::create_dir_all(&path).expect("mkdir"),
                Kind::Link(target) => symlink(target, &path).expect("symlink"),
            }
            if is_root && !matches!(kind, Kind::Link(_)) {
                chown(&path, Some(owner.0), Some(owner.1)).expect("chown");
            }
        }
        // Those of directories last, the deepest first: some may forbid to write.
        for (path, (kind, mode, _)) in self.0.iter().rev() {
            if !matches!(kind, Kind::Link(_)) {
                let permissions = std::fs::Permissions::from_mode(*mode);
                std::fs::set_permissions(top.join(path), permissions).expect("chmod");
            }
        }
    }
}
