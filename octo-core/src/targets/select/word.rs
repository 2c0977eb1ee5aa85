//! One word of a selection as it is written: `web1`, `web[01-20,33]`, `'web*'`.

use super::glob;
use super::ranges::{MOST, Ranges, too_many};
use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};

/// No name of a machine has more numbers; each is a loop within the others.
const BRACKETS: usize = 16;

/// So much of a word is shown.
const SHOWN: usize = 128;

/// What other programs write and we don't, why not, and what is typed instead.
const FOREIGN: [(char, &str, &str); 5] = [
    ('!', "a ! is not understood here", "-x takes targets away: -t web -x web1"),
    ('&', "a & is not understood here", "several -t intersect: -t web -t production"),
    ('^', "a ^ is not understood here", "-t takes targets together, -x takes some away"),
    (' ', "has a blank", "names are joined by commas: -t web1,web2"),
    (
        '@',
        "no name begins with a @",
        "@FILE stands alone; a group is a tag: its name alone is said",
    ),
];

/// The words of one SELECT, divided at the commas that are outside of brackets.
pub(super) fn divided(said: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    said.split(move |letter| {
        is_inside = match letter {
            '[' => true,
            ']' => false,
            _ => is_inside,
        };
        letter == ',' && !is_inside
    })
}

/// As a message shows it: no name is as long as what is cut off.
pub(super) fn shown(word: &str) -> String {
    match word.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", printable(&word.as_bytes()[..end])),
        None => printable(if word.is_empty() { b"''" } else { word.as_bytes() }),
    }
}

/// Its text, and the brackets in it.
#[derive(Debug)]
pub(super) struct Word<'a> {
    pieces: Vec<Piece<'a>>,
}

#[derive(Debug)]
enum Piece<'a> {
    Text(&'a str),
    Ranges(Ranges),
}

impl<'a> Word<'a> {
    /// # Errors
    /// Exit 65, for brackets that say no range, for more names than any selection stands
    /// for, and for what other programs write.
    pub(super) fn parse(word: &'a str) -> Result<Word<'a>> {
        for (letter, reason, hint) in FOREIGN {
            let is_there =
                if letter == '@' { word.starts_with('@') } else { word.contains(letter) };
            if is_there {
                return Err(Error::new(Exit::Data, shown(word), reason).hint(hint));
            }
        }
        let pieces = pieces(word).map_err(|reason| Error::new(Exit::Data, shown(word), reason))?;
        let parsed = Word { pieces };
        if parsed.count() > MOST {
            return Err(Error::new(Exit::Data, shown(word), too_many()));
        }
        Ok(parsed)
    }

    /// How many names it stands for, or patterns of names.
    pub(super) fn count(&self) -> u64 {
        let brackets = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Ranges(ranges) => Some(ranges.count()),
            Piece::Text(_) => None,
        });
        brackets.fold(1, u64::saturating_mul)
    }

    /// Each of them, in the order in which it is written.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&str)) {
        visit_each(&self.pieces, &mut String::new(), visit);
    }
}

fn visit_each(pieces: &[Piece], name: &mut String, visit: &mut dyn FnMut(&str)) {
    let length = name.len();
    match pieces {
        [] => visit(name),
        [Piece::Text(text), rest @ ..] => {
            name.push_str(text);
            visit_each(rest, name, visit);
        }
        [Piece::Ranges(ranges), rest @ ..] => {
            for number in ranges.each() {
                name.push_str(&number);
                visit_each(rest, name, visit);
                name.truncate(length);
            }
        }
    }
    name.truncate(length);
}

fn pieces(word: &str) -> std::result::Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once('[') {
        if before.contains(']') {
            break;
        }
        let (inside, behind) = behind.split_once(']').ok_or("a [ is not closed")?;
        if inside.contains('[') {
            return Err("brackets don't stand in brackets".into());
        }
        // Where one number ends and the next begins could not be read off the names.
        if behind.starts_with('[') {
            return Err("brackets don't stand side by side".into());
        }
        if pieces.len() >= 2 * BRACKETS {
            return Err(format!("has more than {BRACKETS} brackets"));
        }
        pieces.extend([Piece::Text(before), Piece::Ranges(Ranges::parse(inside)?)]);
        rest = behind;
    }
    if rest.contains(']') {
        return Err("a ] closes nothing".into());
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// What the words of one selection may stand for together.
#[derive(Debug, Default)]
pub(super) struct Budget {
    names: u64,
    patterns: u64,
}

impl Budget {
    /// So many patterns: each is held against many names.
    const PATTERNS: u64 = 10_000;

    /// # Errors
    /// Exit 65, where there are more.
    pub(super) fn spend(&mut self, word: &str, parsed: &Word) -> Result<()> {
        let reason = if glob::is_glob(word) {
            self.patterns = self.patterns.saturating_add(parsed.count());
            (self.patterns > Budget::PATTERNS)
                .then(|| format!("is one of more than {} patterns", Budget::PATTERNS))
        } else {
            self.names = self.names.saturating_add(parsed.count());
            (self.names > MOST).then(too_many)
        };
        reason.map_or(Ok(()), |reason| Err(Error::new(Exit::Data, shown(word), reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(word: &str) -> Result<String> {
        let mut names: Vec<String> = Vec::new();
        Word::parse(word)?.each(&mut |name| names.push(name.to_string()));
        Ok(names.join(" "))
    }

    #[test]
    fn a_word_stands_for_names() {
        for (word, expected) in [
            ("web1", "web1"),
            ("web[1-3]", "web1 web2 web3"),
            ("web[01-02,33]", "web01 web02 web33"),
            (
                "rack[1-2]-node[09-10].x",
                "rack1-node09.x rack1-node10.x rack2-node09.x rack2-node10.x",
            ),
            ("[1-2]a", "1a 2a"),
            ("a[1-2]3", "a13 a23"),
            ("a@[1-2]", "a@1 a@2"),
            ("rack[1-2]-*", "rack1-* rack2-*"),
            ("", ""),
        ] {
            assert_eq!(names(word).expect(word), expected);
        }
        let words: Vec<&str> = divided("a,b[1,2],c[3],,d[4,e").collect();
        assert_eq!(words, ["a", "b[1,2]", "c[3]", "", "d[4,e"]);
    }

    #[test]
    fn a_word_that_is_none_is_told_with_why() {
        for (word, said) in [
            ("web[1-3", "web[1-3: a [ is not closed"),
            ("web]", "web]: a ] closes nothing"),
            ("web]1[1-3]", "a ] closes nothing"),
            ("web[1]]", "a ] closes nothing"),
            ("web[]", "web[]: nothing stands between its brackets"),
            ("web[[1-2]]", "brackets don't stand in brackets"),
            ("web[1-2][3-4]", "brackets don't stand side by side"),
            ("web[9-1]", "web[9-1]: '9-1' runs backwards"),
            ("web[a-c]", "'a-c' is no number or range"),
            ("web[1-99999999999]", "web[1-99999999999]: stands for more than 1000000 names"),
            ("r[1-1001]-[1-1000]", "stands for more than 1000000 names"),
            ("web!db", "web!db: a ! is not understood here"),
            ("!web", "a ! is not understood"),
            ("web&db", "a & is not understood"),
            ("web^db", "a ^ is not understood"),
            ("@web", "@web: no name begins with a @"),
            ("web1 db1", "has a blank"),
        ] {
            let error = names(word).expect_err(word);
            assert!(error.message.contains(said), "{word}: {}", error.message);
            assert_eq!(error.exit, Exit::Data);
        }
        // As deep as a word of a million brackets would be.
        let deep = "a[1]".repeat(1 << 20);
        let error = names(&deep).expect_err("deep");
        assert!(error.message.ends_with("...: has more than 16 brackets"), "{}", error.message);
        assert!(error.message.len() < 200);
        assert_eq!(names(&"a[1]".repeat(16)).expect("sixteen"), "a1".repeat(16));
    }
}
