//! What a terminal takes: its width, colours, messages that are wrapped at words.
//! A pipe, a file or cron gets lines as they are, whatever COLUMNS says.

use rustix::stdio::{stderr, stdout};
use rustix::termios::{isatty, tcgetwinsize};
use std::env::var_os;
use std::os::fd::BorrowedFd;

/// Where nobody knows how wide a terminal is.
const USUAL_WIDTH: usize = 80;
/// Narrower ones are no place to wrap words in.
const LEAST_WIDTH: usize = 20;
/// How far the lines behind the first one of a message stand in.
const INDENT: &str = "  ";

/// A terminal that is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// So many columns it has.
    pub columns: usize,
    /// Are colours wanted there?
    pub colours: bool,
}

impl Terminal {
    /// What standard output is, if that is a terminal.
    pub fn of_output() -> Option<Terminal> {
        Terminal::of(stdout())
    }

    /// What standard error is, if that is a terminal.
    pub fn of_errors() -> Option<Terminal> {
        Terminal::of(stderr())
    }

    /// Asked for each time: a window may have been resized.
    fn of(stream: BorrowedFd<'_>) -> Option<Terminal> {
        if !isatty(stream) {
            return None;
        }
        let own = tcgetwinsize(stream).map_or(0, |size| usize::from(size.ws_col));
        let said = || var_os("COLUMNS")?.to_str()?.parse().ok().filter(|columns| *columns > 0);
        let columns = if own > 0 { own } else { said().unwrap_or(USUAL_WIDTH) };
        Some(Terminal { columns, colours: wants_colours() })
    }
}

/// Do NO_COLOR and TERM allow colours?
pub fn wants_colours() -> bool {
    let refused = var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// How many columns a terminal needs for this text.
pub fn columns_of(text: &str) -> usize {
    text.chars().map(columns_of_letter).sum()
}

/// As much of the text, from its beginning, as so many columns take.
pub fn cut(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, letter) in text.char_indices() {
        used += columns_of_letter(letter);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// Accents take none, letters of East Asia and pictures take two.
fn columns_of_letter(letter: char) -> usize {
    match u32::from(letter) {
        0x300..=0x36f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// A message behind `head` (`tool: `), wrapped at words; what may be a command that is pasted
/// stays whole, since a shell would take its lines for two.
pub(super) fn wrapped(head: &str, message: &str, columns: usize) -> String {
    if columns < LEAST_WIDTH || is_pasted(message) {
        return format!("{head}{message}");
    }
    let mut text = head.to_string();
    let mut used = columns_of(head);
    for (index, word) in message.split(' ').enumerate() {
        let needed = columns_of(word);
        if index > 0 && used + 1 + needed > columns {
            text.push('\n');
            text.push_str(INDENT);
            used = INDENT.len();
        } else if index > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += needed;
    }
    text
}

/// Lines that begin with blanks are shown to be typed; of hints only those are surely none
/// that have words alone.
fn is_pasted(message: &str) -> bool {
    let is_plain = |word: &str| {
        let rest = word.trim_end_matches([',', ';']);
        !rest.starts_with("octo-")
            && rest.chars().all(|c| c.is_alphanumeric() || "'-".contains(c))
            && !rest.starts_with(['-', '\''])
    };
    match message.strip_prefix("hint: ") {
        Some(hint) => !hint.split(' ').all(is_plain),
        None => message.starts_with(' '),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_wrap_at_words() {
        let of = |message| wrapped("octo-push: ", message, 30);
        assert_eq!(of("web1: no answer"), "octo-push: web1: no answer");
        assert_eq!(of("web1: 12345678901 3"), "octo-push: web1: 12345678901 3");
        assert_eq!(of("web1: 123456789012 4"), "octo-push: web1: 123456789012\n  4");
        assert_eq!(of("中中中中中中中中 中中"), "octo-push: 中中中中中中中中\n  中中");
        let long = "x".repeat(60);
        assert_eq!(of(&format!("a {long} b")), format!("octo-push: a\n  {long}\n  b"));
        assert_eq!(wrapped("t: ", "many words in here", 19), "t: many words in here");
    }

    #[test]
    fn commands_stay_whole() {
        for whole in [
            "  octo-push -t web1,web2 run -f deploy --timeout 10m",
            "hint: to go on: octo-push -t web1 run -f deploy",
            "hint: octo-push follow 0123456789abcdef0123456789abcdef",
            "hint: chmod o+x /srv/app/of/somebody/that/is/long",
            "hint: sed -i s,a,b, files and many more of them",
        ] {
            assert_eq!(wrapped("t: ", whole, 20), format!("t: {whole}"));
        }
        let prose = wrapped("t: ", "hint: rename the file, or reach it by a link", 24);
        assert_eq!(prose, "t: hint: rename the\n  file, or reach it by a\n  link");
    }

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(cut("a中b", 2), "a");
        assert_eq!(cut("a中b", 3), "a中");
        assert_eq!(cut("e\u{301}x", 1), "e\u{301}");
        assert_eq!(columns_of("a中b"), 4);
    }
}
