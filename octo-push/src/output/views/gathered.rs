//! Output at the end: gathered, the targets that agree together (`-g`), or of
//! the targets that failed alone (`-q`).

use super::buffer::{OutputBuffer, OutputStore, StoredOutput};
use super::view::View;
use crate::output::escape::visible;
use crate::output::screen::Screen;
use crate::target::outcome::Outcome;
use octo_core::base::digest::Digest;
use octo_core::base::encoding::printable;
use octo_core::targets::fold;
use octo_core::tentacle::job::Stream;
use std::collections::HashMap;

/// Holds output back until its target, or all of them, are done.
pub(crate) struct GatheredView {
    names: Vec<String>,
    held: Vec<Option<OutputBuffer>>,
    /// The targets that ended, with what they are grouped by.
    ended: Vec<(usize, GroupKey)>,
    /// One output for all that agree.
    kept: HashMap<GroupKey, StoredOutput>,
    store: OutputStore,
    mode: Mode,
    /// What replays one target's output.
    inner: Box<dyn View>,
}

/// Until when output is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The end of all, then one block for those that agree.
    Agreement,
    /// The end of each, then the whole of it if it failed.
    Failure,
}

type GroupKey = ([Digest; 2], u8, String);

impl GatheredView {
    pub(crate) fn new(names: Vec<String>, mode: Mode, inner: Box<dyn View>) -> GatheredView {
        let held = names.iter().map(|_| None).collect();
        let (kept, store) = (HashMap::new(), OutputStore::default());
        GatheredView { names, held, ended: Vec::new(), kept, store, mode, inner }
    }
}

impl View for GatheredView {
    fn output(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]) {
        self.held[target].get_or_insert_default().push(stream, bytes);
        // A person at a terminal sees it as it comes, and gathered at the end.
        if self.mode == Mode::Agreement && screen.out_is_terminal {
            self.inner.output(screen, target, stream, bytes);
        }
    }

    fn ended(&mut self, screen: &mut Screen, target: usize, outcome: &Outcome) {
        match self.mode {
            Mode::Failure => {
                let held = self.held[target].take().unwrap_or_default();
                if !outcome.succeeded() {
                    held.replay(|stream, bytes| {
                        self.inner.output(screen, target, stream, bytes);
                    });
                    self.inner.ended(screen, target, outcome);
                }
            }
            Mode::Agreement => {
                if screen.out_is_terminal {
                    self.inner.ended(screen, target, outcome);
                }
                let held = self.held[target].take().unwrap_or_default();
                let key = (held.digest(), outcome.status, printable(outcome.said().as_bytes()));
                if !self.kept.contains_key(&key) {
                    self.kept.insert(key.clone(), self.store.lay(held));
                }
                self.ended.push((target, key));
            }
        }
    }

    fn finish(&mut self, screen: &mut Screen) {
        let mut groups: Vec<(GroupKey, Vec<usize>)> = Vec::new();
        let mut places: HashMap<GroupKey, usize> = HashMap::new();
        self.ended.sort_by_key(|(target, _)| *target);
        for (target, key) in self.ended.drain(..) {
            let place = *places.entry(key.clone()).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(target);
        }
        // The largest group first: people look for what differs from it.
        groups.sort_by_key(|(_, targets)| std::cmp::Reverse(targets.len()));
        for (key, targets) in groups {
            let names = fold(targets.iter().map(|t| self.names[*t].as_str()));
            let head = format!("--- {names} ({}): {}\n", targets.len(), key.2);
            screen.print(Stream::Out, head.as_bytes());
            let Some(stored) = self.kept.remove(&key) else { continue };
            let mut ends_with_newline = true;
            let terminal = screen.out_is_terminal;
            self.store.replay(stored, |_, bytes| {
                ends_with_newline = bytes.last() == Some(&b'\n');
                if terminal {
                    screen.print(Stream::Out, visible(bytes).as_bytes());
                } else {
                    screen.print(Stream::Out, bytes);
                }
            });
            if !ends_with_newline {
                screen.print(Stream::Out, b"\n");
            }
        }
    }
}
