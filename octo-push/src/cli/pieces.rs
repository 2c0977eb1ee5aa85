//! The words of a command line, each option with its value: as far as repeating it for the
//! same targets needs.

use octo_core::base::names::JobId;
use octo_core::targets::{names_file, words};

/// The options of one letter that take no value.
const FLAGS: [char; 6] = ['a', 'g', 'n', 'q', 'v', 'D'];

/// Those that say which targets are meant, and whether each takes a value.
const SELECTING: [(&str, bool); 4] =
    [("--target", true), ("--exclude", true), ("--shard", true), ("--all", false)];

/// Those of several letters besides, whose value is looked at or replaced.
const VALUED: [&str; 3] = ["--unreachable", "--canary", "--until"];

/// Those whose value names targets.
const NAMING: [&str; 6] = ["-t", "-x", "--target", "--exclude", "--unreachable", "--canary"];

/// What means another run after each.
const LAST: [&str; 2] = ["failed:LAST", "unreachable:LAST"];

/// An option with its value, in the same word or in the next; or any other word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    words: &'a [String],
    /// Where the first of them stands.
    pub(super) place: usize,
    /// `-t` or `--target`; empty for what is no option.
    option: &'a str,
    /// Flags that stand before a letter in the same word.
    flags: &'a str,
    value: Option<&'a str>,
}

/// All of these words; from `end` on they are the script's own.
pub(super) fn pieces(words: &[String], end: usize) -> impl Iterator<Item = Piece<'_>> {
    let (mut place, mut end) = (0, end);
    std::iter::from_fn(move || {
        let rest = words.get(place..).filter(|rest| !rest.is_empty())?;
        if rest[0] == "--" {
            end = end.min(place);
        }
        let piece = if place < end { Piece::option(rest, place) } else { Piece::word(rest, place) };
        place += piece.words.len();
        Some(piece)
    })
}

impl<'a> Piece<'a> {
    fn word(words: &'a [String], place: usize) -> Piece<'a> {
        Piece { words: &words[..1], place, option: "", flags: "", value: None }
    }

    /// The option that is the first of these words, with the next where that is its value.
    fn option(words: &'a [String], place: usize) -> Piece<'a> {
        let (word, piece) = (words[0].as_str(), Piece::word(words, place));
        if word.starts_with("--") {
            let (option, value) =
                word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
            let takes = VALUED.contains(&option) || SELECTING.contains(&(option, true));
            return Piece { option, ..piece }.with(words, value, takes);
        }
        let Some(letters) = word.strip_prefix('-') else { return piece };
        let flags = letters.len() - letters.trim_start_matches(FLAGS).len();
        let (flags, rest) = letters.split_at(flags);
        let Some(letter) = rest.chars().next() else { return Piece { flags, ..piece } };
        let (option, value) = rest.split_at(letter.len_utf8());
        let value = Some(value).filter(|value| !value.is_empty());
        Piece { option, flags, ..piece }.with(words, value, true)
    }

    fn with(self, words: &'a [String], value: Option<&'a str>, takes: bool) -> Piece<'a> {
        match value {
            None if takes && words.len() > 1 => {
                Piece { words: &words[..2], value: Some(&words[1]), ..self }
            }
            _ => Piece { value, ..self },
        }
    }

    /// Is it this option, of several letters?
    pub(super) fn is(&self, option: &str) -> bool {
        self.option == option
    }

    /// The option as it is called alone.
    fn name(&self) -> String {
        let is_letter = !self.option.is_empty() && !self.option.starts_with('-');
        if is_letter { format!("-{}", self.option) } else { self.option.into() }
    }

    fn names_targets(&self) -> Option<&'a str> {
        self.value.filter(|_| NAMING.contains(&self.name().as_str()))
    }

    fn selects(&self) -> bool {
        let name = self.name();
        ["-t", "-x"].contains(&name.as_str()) || SELECTING.iter().any(|(long, _)| *long == name)
    }

    /// Does it name the last run?
    pub(super) fn names_last(&self) -> bool {
        let value = self.names_targets().filter(|value| names_file(value).is_none());
        value.is_some_and(|value| value.split(',').any(|word| LAST.contains(&word)))
    }

    /// Are other targets selected by the same words the next time? A pipe is read once, and a
    /// file may name the last run.
    pub(super) fn is_fleeting(&self) -> bool {
        let value = self.value.filter(|_| self.selects());
        let Some((value, file)) = value.and_then(|value| Some((value, names_file(value)?))) else {
            return false;
        };
        let is_last = |word: &String| LAST.contains(&word.as_str());
        !file.is_file() || words(value).is_ok_and(|words| words.iter().any(is_last))
    }

    /// Its words as they were said.
    pub(super) fn as_said(&self) -> Vec<String> {
        self.words.to_vec()
    }

    /// Its words, with this run in the place of the last one.
    pub(super) fn resolved(&self, last: &JobId) -> Vec<String> {
        let Some(value) = self.value.filter(|_| self.names_last()) else { return self.as_said() };
        let terms = value.split(',').map(|term| match term.strip_suffix("LAST") {
            Some(kind) if LAST.contains(&term) => format!("{kind}{last}"),
            _ => term.to_string(),
        });
        let terms = terms.collect::<Vec<_>>().join(",");
        match self.words {
            [option, _] => vec![option.clone(), terms],
            [word, ..] => vec![format!("{}{terms}", &word[..word.len() - value.len()])],
            [] => Vec::new(),
        }
    }

    /// Its words but for what they say about which targets are meant.
    pub(super) fn without_selection(&self) -> Vec<String> {
        let flags = self.flags.replace('a', "");
        let words = match self.words {
            [] => &[],
            [_, behind @ ..] if self.selects() => match flags.is_empty() {
                true => return Vec::new(),
                false => &behind[..0],
            },
            [_, behind @ ..] => behind,
        };
        let first = match self.words.first() {
            _ if self.selects() => format!("-{flags}"),
            Some(word) if !self.flags.is_empty() => {
                format!("-{flags}{}", &word[1 + self.flags.len()..])
            }
            Some(word) => word.clone(),
            None => return Vec::new(),
        };
        // It was -a alone.
        if first == "-" && !self.flags.is_empty() {
            return Vec::new();
        }
        [&[first], words].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Vec<String> {
        line.split(' ').map(String::from).collect()
    }

    #[test]
    fn options_keep_their_values() {
        for (line, expected) in [
            ("-t web run -c -t", "run -c -t"),
            ("-qat web -vx db --all status", "-q -v status"),
            ("--target=web --exclude db --shard 1/2 --shard=1/2 -tany run", "run"),
            ("-ai id -an -a run", "-i id -n run"),
            ("-Dt web run - x", "-D run - x"),
            ("-w -t -t web run", "-w -t run"),
            ("run -- -t web", "run -- -t web"),
            ("--json -P -x run", "--json -P -x run"),
            ("run -t", "run"),
        ] {
            let words = said(line);
            let kept: Vec<String> =
                pieces(&words, words.len()).flat_map(|piece| piece.without_selection()).collect();
            assert_eq!(kept.join(" "), expected, "{line}");
            let all: Vec<String> = pieces(&words, 0).flat_map(|piece| piece.as_said()).collect();
            assert_eq!(all, words);
        }
    }

    #[test]
    fn the_last_run_is_another_one_later() {
        let last = JobId::parse("20250101T000000-abcdefghijklm").expect("an id");
        for (line, expected) in [
            ("-t failed:LAST run failed:LAST", "-t failed:ID run failed:LAST"),
            ("-qtweb,unreachable:LAST,db[1,2] run", "-qtweb,unreachable:ID,db[1,2] run"),
            ("--exclude=failed:LAST -x unreachable:LAST", "--exclude=failed:ID -x unreachable:ID"),
            (
                "--unreachable unreachable:LAST --canary=failed:LAST",
                "--unreachable unreachable:ID --canary=failed:ID",
            ),
            ("-c failed:LAST --gate failed:LAST", "-c failed:LAST --gate failed:LAST"),
            ("-t failed:LASTING -t @failed:LAST", "-t failed:LASTING -t @failed:LAST"),
        ] {
            let words = said(line);
            let resolved: Vec<String> =
                pieces(&words, words.len()).flat_map(|piece| piece.resolved(&last)).collect();
            assert_eq!(resolved.join(" "), expected.replace("ID", last.as_str()), "{line}");
        }
    }

    #[test]
    fn a_pipe_and_a_file_that_names_the_last_run_are_fleeting() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = |name: &str| format!("@{}", directory.path().join(name).display());
        std::fs::write(directory.path().join("names"), "web1\n").expect("written");
        std::fs::write(directory.path().join("last"), "web1,unreachable:LAST\n").expect("written");
        for (words, expected) in [
            (["-t".to_string(), path("names")], false),
            (["-t".to_string(), path("last")], true),
            (["-qx".to_string(), path("last")], true),
            (["-t".to_string(), "@/dev/null".into()], true),
            (["-i".to_string(), "@/dev/null".into()], false),
            (["-t".to_string(), "failed:LAST".into()], false),
        ] {
            let mut pieces = pieces(&words, 2);
            assert_eq!(pieces.any(|piece| piece.is_fleeting()), expected, "{words:?}");
        }
    }
}
