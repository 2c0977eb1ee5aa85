//! Output as it comes: of one target as it is, of several as whole lines
//! behind their target's name.

use super::lines::Lines;
use super::view::{STREAMS, View, index};
use crate::output::escape::{Escaper, visible};
use crate::output::screen::Screen;
use crate::target::outcome::Outcome;
use octo_core::tentacle::job::Stream;

/// One target: its bytes pass as they are; on a terminal, control sequences
/// are made visible.
#[derive(Debug, Default)]
pub(crate) struct LiveView {
    escapers: [Escaper; 2],
}

impl View for LiveView {
    fn output(&mut self, screen: &mut Screen, _target: usize, stream: Stream, bytes: &[u8]) {
        if screen.is_terminal(stream) {
            let text = self.escapers[index(stream)].feed(bytes);
            screen.print(stream, text.as_bytes());
        } else {
            screen.print(stream, bytes);
        }
    }

    fn ended(&mut self, screen: &mut Screen, _target: usize, _outcome: &Outcome) {
        for stream in STREAMS {
            let text = self.escapers[index(stream)].finish();
            screen.print(stream, text.as_bytes());
        }
    }
}

/// Several targets: `web1: line`, whole lines only.
#[derive(Debug)]
pub(crate) struct PrefixedView {
    names: Vec<String>,
    lines: Vec<[Lines; 2]>,
}

impl PrefixedView {
    pub(crate) fn new(names: Vec<String>) -> PrefixedView {
        let lines = names.iter().map(|_| Default::default()).collect();
        PrefixedView { names, lines }
    }
}

impl View for PrefixedView {
    fn output(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]) {
        let mut text = Vec::with_capacity(bytes.len() + 64);
        let prefix = Prefix::of(screen, stream, target, &self.names[target]);
        self.lines[target][index(stream)].feed(bytes, |line| prefix.push(&mut text, line));
        screen.print(stream, &text);
    }

    fn ended(&mut self, screen: &mut Screen, target: usize, _outcome: &Outcome) {
        for stream in STREAMS {
            let mut text = Vec::new();
            let prefix = Prefix::of(screen, stream, target, &self.names[target]);
            self.lines[target][index(stream)].finish(|line| prefix.push(&mut text, line));
            screen.print(stream, &text);
        }
    }
}

/// What stands in front of a target's lines.
struct Prefix {
    text: String,
    escaped: bool,
}

impl Prefix {
    fn of(screen: &Screen, stream: Stream, target: usize, name: &str) -> Prefix {
        let escaped = screen.is_terminal(stream);
        // Six colours in turn; standard error is told by its prefix alone.
        let text = if escaped && screen.colours {
            format!("\x1b[{}m{name}:\x1b[0m ", 31 + (target + 1) % 6)
        } else {
            format!("{name}: ")
        };
        Prefix { text, escaped }
    }

    fn push(&self, text: &mut Vec<u8>, line: &[u8]) {
        text.extend_from_slice(self.text.as_bytes());
        if self.escaped {
            text.extend_from_slice(visible(line).as_bytes());
        } else {
            text.extend_from_slice(line);
        }
        text.push(b'\n');
    }
}
