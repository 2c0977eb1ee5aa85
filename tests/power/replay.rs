//! What recorded calls did to the disk.

use crate::disk::{Body, Disk, Held, Node};
use crate::trace::{Call, bytes, descriptor};
use rustix::process::{getegid, geteuid};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A number, and the open file that it stands for, if it is one of those we know.
type Numbered = (i32, Option<Rc<RefCell<Opened>>>);

/// An open file: of whom, and where it is written next.
#[derive(Debug)]
struct Opened {
    node: Node,
    at: usize,
    appends: bool,
}

#[derive(Debug, Clone, Default)]
struct Process {
    /// The first word of its command line, without directories.
    program: String,
    words: String,
    directory: PathBuf,
    owner: (u32, u32),
    files: HashMap<i32, Rc<RefCell<Opened>>>,
}

/// The disk, and the processes that change it.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) disk: Disk,
    /// The process of a thread.
    threads: HashMap<u32, u32>,
    /// Where the first of them is.
    directory: PathBuf,
    processes: HashMap<u32, Process>,
    /// Syncs that have begun, by their call.
    syncing: HashMap<usize, Vec<(Node, Held)>>,
    /// What was opened by a call that has not returned yet: until then its number may be that
    /// of another file, which another thread writes to and closes.
    opening: HashMap<usize, Numbered>,
}

impl Replay {
    pub(crate) fn new(disk: Disk) -> Replay {
        let (threads, processes) = (HashMap::new(), HashMap::new());
        let (syncing, opening) = (HashMap::new(), HashMap::new());
        Replay { directory: disk.top.clone(), disk, threads, processes, syncing, opening }
    }

    /// The program that this thread is of, and the words of its command line.
    pub(crate) fn program(&self, thread: u32) -> (&str, &str) {
        let process = self.processes.get(self.threads.get(&thread).unwrap_or(&thread));
        process.map_or(("", ""), |process| (&process.program, &process.words))
    }

    fn process(&mut self, thread: u32) -> &mut Process {
        let id = *self.threads.entry(thread).or_insert(thread);
        let own = (geteuid().as_raw(), getegid().as_raw());
        let first =
            || Process { directory: self.directory.clone(), owner: own, ..Process::default() };
        self.processes.entry(id).or_insert_with(first)
    }

    /// A call begins. What it does is done from here on, but for a sync: only what was
    /// there before is brought to the disk, and not before its end.
    pub(crate) fn begins(&mut self, index: usize, call: &Call) {
        match call.name.as_str() {
            "fsync" | "fdatasync" => {
                let node = descriptor(call.argument(0)).1.and_then(|path| self.disk.node(&path));
                if let Some(node) = node {
                    let held = self.disk.syncing(Some(node));
                    self.syncing.insert(index, held);
                }
            }
            "sync" | "syncfs" => {
                self.syncing.insert(index, self.disk.syncing(None));
            }
            _ if call.value().is_some() => {
                if let Some(opened) = self.apply(call) {
                    self.opening.insert(index, opened);
                }
            }
            _ => {}
        }
    }

    /// A call is over.
    pub(crate) fn ends(&mut self, index: usize, call: &Call) {
        if let Some(held) = self.syncing.remove(&index)
            && call.value() == Some(0)
        {
            self.disk.synced(held);
        }
        if let Some((number, opened)) = self.opening.remove(&index) {
            let files = &mut self.process(call.thread).files;
            match opened {
                Some(opened) => drop(files.insert(number, opened)),
                None => drop(files.remove(&number)),
            }
        }
    }

    fn path(&mut self, call: &Call, index: usize, at: Option<usize>) -> PathBuf {
        let given = bytes(call.argument(index));
        let given = PathBuf::from(String::from_utf8_lossy(&given).into_owned());
        let directory = at.and_then(|at| descriptor(call.argument(at)).1);
        directory.unwrap_or_else(|| self.process(call.thread).directory.clone()).join(given)
    }

    fn opened(&mut self, call: &Call, index: usize) -> Option<Rc<RefCell<Opened>>> {
        let (number, path) = descriptor(call.argument(index));
        let node = path.and_then(|path| self.disk.node(&path));
        let files = &mut self.process(call.thread).files;
        // The number of a file that was closed: it is an eventfd's now, or a socket's.
        if call.argument(index).split_once('<').is_some_and(|(_, what)| !what.starts_with('/')) {
            files.remove(&number?);
            return None;
        }
        let known = files.get(&number?).cloned();
        match (known, node) {
            // A name that is gone, or was given to another since.
            (Some(known), _) => Some(known),
            (None, Some(node)) => {
                let opened = Rc::new(RefCell::new(Opened { node, at: 0, appends: false }));
                files.insert(number?, Rc::clone(&opened));
                Some(opened)
            }
            (None, None) => None,
        }
    }

    /// Does it; gives the number that is another file from its end on, and which.
    fn apply(&mut self, call: &Call) -> Option<Numbered> {
        match call.name.as_str() {
            "open" | "creat" => return self.open(call, 0, None),
            "openat" | "openat2" => return self.open(call, 1, Some(0)),
            "dup" | "dup2" | "dup3" | "fcntl" => return self.duplicate(call),
            "close" => self.close(call),
            "mkdir" => self.make_directory(call, 0, None),
            "mkdirat" => self.make_directory(call, 1, Some(0)),
            "rename" => self.rename(call, [(0, None), (1, None)]),
            "renameat" | "renameat2" => self.rename(call, [(1, Some(0)), (3, Some(2))]),
            "link" => self.link(call, [(0, None), (1, None)]),
            "linkat" => self.link(call, [(1, Some(0)), (3, Some(2))]),
            "unlink" | "rmdir" => self.unlink(call, 0, None),
            "unlinkat" => self.unlink(call, 1, Some(0)),
            "symlink" => self.symlink(call, 1, None),
            "symlinkat" => self.symlink(call, 2, Some(1)),
            "chmod" | "fchmodat" => {
                let at = usize::from(call.name == "fchmodat");
                let path = self.path(call, at, (at == 1).then_some(0));
                let mode = octal(call.argument(at + 1));
                self.with(&path, |disk, node| disk.set_mode(node, mode));
            }
            "chown" | "lchown" | "fchownat" => {
                let at = usize::from(call.name == "fchownat");
                let path = self.path(call, at, (at == 1).then_some(0));
                let owner = [1, 2].map(|i| call.argument(at + i).parse().ok());
                if !self.disk.is_link(&path) {
                    self.with(&path, |disk, node| disk.set_owner(node, owner[0], owner[1]));
                }
            }
            "truncate" => {
                let (path, length) = (self.path(call, 0, None), number(call.argument(1)));
                self.with(&path, |disk, node| disk.set_length(node, length));
            }
            "setuid" | "setresuid" => {
                self.process(call.thread).owner.0 = number(call.argument(0)) as u32
            }
            "setgid" | "setresgid" => {
                self.process(call.thread).owner.1 = number(call.argument(0)) as u32
            }
            "chdir" => self.process(call.thread).directory = self.path(call, 0, None),
            "fchdir" => {
                if let (_, Some(path)) = descriptor(call.argument(0)) {
                    self.process(call.thread).directory = path;
                }
            }
            "clone" | "clone3" | "fork" | "vfork" => self.clone_of(call),
            "execve" => {
                let words = bytes(call.argument(0));
                let program = String::from_utf8_lossy(&words).into_owned();
                let name = program.rsplit('/').next().unwrap_or_default().to_string();
                let process = self.process(call.thread);
                (process.program, process.words) = (name, call.argument(1).to_string());
            }
            _ => self.with_descriptor(call),
        }
        None
    }

    fn with(&mut self, path: &Path, act: impl FnOnce(&mut Disk, Node)) {
        if let Some(node) = self.disk.node(path) {
            act(&mut self.disk, node);
        }
    }

    fn clone_of(&mut self, call: &Call) {
        let Some(child) = call.value().and_then(|value| u32::try_from(value).ok()) else { return };
        let parent = self.process(call.thread).clone();
        if call.says("CLONE_THREAD") {
            let process = self.threads[&call.thread];
            self.threads.insert(child, process);
            return;
        }
        self.threads.insert(child, child);
        self.processes.insert(child, parent);
    }

    fn open(&mut self, call: &Call, index: usize, at: Option<usize>) -> Option<Numbered> {
        let (Some(number), given) = descriptor(&call.result) else { return None };
        let owner = self.process(call.thread).owner;
        // As the kernel says where it is, links resolved; of one that is new, as it was asked.
        let asked = self.path(call, index, at);
        let path = given.unwrap_or(asked);
        let creates = call.says("O_CREAT") || call.name == "creat";
        let node = match (self.disk.node(&path), self.disk.place(&path)) {
            (Some(node), _) => node,
            (None, Some(place)) if creates => {
                let mode = octal(call.arguments.last().map_or("", String::as_str)) & 0o7755;
                self.disk.make(place, Body::File(Rc::default()), mode, owner)
            }
            _ => return Some((number, None)),
        };
        if call.says("O_TRUNC") || call.name == "creat" {
            self.disk.set_length(node, 0);
        }
        let opened = Opened { node, at: 0, appends: call.says("O_APPEND") };
        Some((number, Some(Rc::new(RefCell::new(opened)))))
    }

    fn make_directory(&mut self, call: &Call, index: usize, at: Option<usize>) {
        let (path, owner) = (self.path(call, index, at), self.process(call.thread).owner);
        if let Some(place) = self.disk.place(&path) {
            let mode = octal(call.argument(index + 1)) & 0o7755;
            self.disk.make(place, Body::Directory(Rc::default()), mode, owner);
        }
    }

    fn symlink(&mut self, call: &Call, index: usize, at: Option<usize>) {
        let target = String::from_utf8_lossy(&bytes(call.argument(0))).into_owned();
        let (path, owner) = (self.path(call, index, at), self.process(call.thread).owner);
        if let Some(place) = self.disk.place(&path) {
            self.disk.make(place, Body::Link(target), 0o777, owner);
        }
    }

    fn rename(&mut self, call: &Call, [from, to]: [(usize, Option<usize>); 2]) {
        let places = [from, to].map(|(index, at)| {
            let path = self.path(call, index, at);
            self.disk.place(&path)
        });
        let [Some(from), to] = places else { return };
        let exchanged = call.says("RENAME_EXCHANGE");
        let Some(node) = self.disk.unname(from.clone()) else { return };
        let Some(to) = to else { return };
        if exchanged && let Some(other) = self.disk.unname(to.clone()) {
            self.disk.name(from, other);
        }
        self.disk.name(to, node);
    }

    fn link(&mut self, call: &Call, [from, to]: [(usize, Option<usize>); 2]) {
        let from = self.path(call, from.0, from.1);
        let descriptor = from.to_str().and_then(|path| path.strip_prefix("/proc/self/fd/"));
        let opened = descriptor
            .and_then(|number| self.process(call.thread).files.get(&number.parse().ok()?).cloned());
        let node = opened.map(|opened| opened.borrow().node).or_else(|| self.disk.node(&from));
        let to = self.path(call, to.0, to.1);
        if let (Some(node), Some(place)) = (node, self.disk.place(&to)) {
            self.disk.name(place, node);
        }
    }

    fn unlink(&mut self, call: &Call, index: usize, at: Option<usize>) {
        let path = self.path(call, index, at);
        if let Some(place) = self.disk.place(&path) {
            self.disk.unname(place);
        }
    }

    fn with_descriptor(&mut self, call: &Call) {
        // Where it is written to, of calls that copy.
        let index = match call.name.as_str() {
            "copy_file_range" | "splice" => 2,
            _ => 0,
        };
        let Some(opened) = self.opened(call, index) else { return };
        let node = opened.borrow().node;
        let count = call.value().and_then(|value| usize::try_from(value).ok()).unwrap_or(0);
        match call.name.as_str() {
            "write" | "writev" => self.append(&opened, &bytes(call.argument(1))[..count]),
            "pwrite64" | "pwritev" => {
                let at = number(call.argument(call.arguments.len() - 1));
                self.disk.write(node, at, &bytes(call.argument(1))[..count]);
            }
            "copy_file_range" => {
                let (_, from) = descriptor(call.argument(0));
                let source = from.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
                let at = opened.borrow().at;
                let end = (at + count).min(source.len());
                self.append(&opened, &source[at.min(end)..end]);
            }
            "ftruncate" => self.disk.set_length(node, number(call.argument(1))),
            "fallocate" if !call.says("KEEP_SIZE") => {
                let end = number(call.argument(2)) + number(call.argument(3));
                let length = self.disk.length(node).max(end);
                self.disk.set_length(node, length);
            }
            "fchmod" => self.disk.set_mode(node, octal(call.argument(1))),
            "fchown" => {
                let owner = [1, 2].map(|i| call.argument(i).parse().ok());
                self.disk.set_owner(node, owner[0], owner[1]);
            }
            "lseek" => opened.borrow_mut().at = count,
            _ => {}
        }
    }

    fn append(&mut self, opened: &Rc<RefCell<Opened>>, written: &[u8]) {
        let mut opened = opened.borrow_mut();
        if opened.appends {
            opened.at = self.disk.length(opened.node);
        }
        self.disk.write(opened.node, opened.at, written);
        opened.at += written.len();
    }

    fn close(&mut self, call: &Call) {
        if let Some(number) = descriptor(call.argument(0)).0 {
            self.process(call.thread).files.remove(&number);
        }
    }

    fn duplicate(&mut self, call: &Call) -> Option<Numbered> {
        if call.name == "fcntl" && !call.says("F_DUPFD") {
            return None;
        }
        let new = call.value().and_then(|value| i32::try_from(value).ok())?;
        let (_, path) = descriptor(call.argument(0));
        Some((new, path.and_then(|_| self.opened(call, 0))))
    }
}

fn octal(word: &str) -> u32 {
    let digits: String = word.chars().filter(|c| c.is_digit(8)).collect();
    u32::from_str_radix(&digits, 8).unwrap_or(0o600)
}

fn number(word: &str) -> usize {
    word.parse().unwrap_or(0)
}
