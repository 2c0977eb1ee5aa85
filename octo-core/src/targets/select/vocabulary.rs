//! The names and tags that a word may be, and what is said of one that is neither.

use super::fold::fold;
use super::glob;
use super::word::{Budget, Word, shown};
use super::{Target, Term};
use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::nearest::{did_you_mean, near, near_beginning};
use std::collections::HashSet;

/// So many words are folded into one message, and so many letters of that are shown.
const FOLDED: usize = 10_000;
const SHOWN: usize = 400;
/// Where that is not enough, so many of them.
const FEW: usize = 8;
/// So many names are offered in the place of those that are none; of so many of these.
const OFFERED: usize = 3;

/// What is said of a word that is no name and no tag.
#[derive(Debug, Clone, Copy)]
pub struct NoSuch {
    /// What stands before the word: its option.
    pub before: &'static str,
    /// Why it is wrong.
    pub reason: &'static str,
    /// And where the names are.
    pub hint: Option<&'static str>,
}

/// All names and tags of some targets.
#[derive(Debug)]
pub struct Vocabulary<'a> {
    words: HashSet<&'a str>,
    /// The same in order: a pattern is held against those alone that begin as it does.
    sorted: Vec<&'a str>,
}

impl<'a> Vocabulary<'a> {
    /// Those of these targets.
    pub fn of(targets: impl IntoIterator<Item = &'a Target>) -> Vocabulary<'a> {
        let targets = targets.into_iter();
        let words: HashSet<&str> = targets
            .flat_map(|t| t.tags.iter().chain([&t.name]))
            .map(|name| name.as_str())
            .collect();
        let mut sorted: Vec<&str> = words.iter().copied().collect();
        sorted.sort_unstable();
        Vocabulary { words, sorted }
    }

    /// What these terms stand for together.
    ///
    /// # Errors
    /// Exit 65 for a word that can't be understood or stands for too many, and for one that
    /// is no name and no tag, with those that are near.
    pub fn union<'t>(&self, terms: &'t [Term], no_such: &NoSuch) -> Result<Union<'a, 't>> {
        let mut union = Union { words: HashSet::new(), names: Vec::new() };
        let (mut missing, mut budget) = (Missing::default(), Budget::default());
        for term in terms {
            match term {
                Term::Names(names) => union.names.push(names),
                Term::Word(word) => match self.words.get(word.as_str()) {
                    Some(known) => drop(union.words.insert(known)),
                    None => {
                        let parsed = Word::parse(word)?;
                        budget.spend(word, &parsed)?;
                        parsed.each(&mut |name| {
                            if !self.find(name, &mut union.words) {
                                missing.add(name);
                            }
                        });
                    }
                },
            }
        }
        if missing.is_empty() { Ok(union) } else { Err(self.error(&missing, no_such)) }
    }

    /// Adds what this name or pattern stands for, if that is anything.
    fn find(&self, name: &str, found: &mut HashSet<&'a str>) -> bool {
        if !glob::is_glob(name) {
            return self.words.get(name).is_some_and(|known| {
                found.insert(known);
                true
            });
        }
        let (pattern, head) = (glob::collapsed(name), glob::head(name));
        let begin = self.sorted.partition_point(|word| *word < head);
        let alike = self.sorted[begin..].iter().take_while(|word| word.starts_with(head));
        let mut is_any = false;
        for word in alike.filter(|word| glob::matches(&pattern, word)) {
            is_any = true;
            found.insert(word);
        }
        is_any
    }

    fn error(&self, missing: &Missing, no_such: &NoSuch) -> Error {
        let object = format!("{}{}", no_such.before, missing.shown());
        let error = Error::new(Exit::Data, object, no_such.reason);
        let hints = did_you_mean(&self.near(missing)).into_iter();
        hints.chain(no_such.hint.map(String::from)).fold(error, Error::hint)
    }

    /// Names and tags that may have been meant: of the first missing words alone, since
    /// each is compared with all there are.
    fn near(&self, missing: &Missing) -> Vec<&'a str> {
        let mut near_all: Vec<&str> = Vec::new();
        for word in missing.words.iter().take(OFFERED) {
            let known = self.sorted.iter().copied();
            let found = match glob::is_glob(word) {
                true => near_beginning(glob::head(word), known, OFFERED),
                false => near(word, known, OFFERED),
            };
            let new: Vec<&str> =
                found.into_iter().filter(|name| !near_all.contains(name)).collect();
            near_all.extend(new);
        }
        near_all.truncate(OFFERED);
        near_all
    }
}

/// What was said and is nowhere.
#[derive(Debug, Default)]
pub(super) struct Missing {
    words: Vec<String>,
    count: usize,
}

impl Missing {
    pub(super) fn add(&mut self, word: &str) {
        if self.words.len() < FOLDED {
            self.words.push(word.to_string());
        }
        self.count += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn shown(&self) -> String {
        if let [word] = &self.words[..] {
            return shown(word);
        }
        let folded = fold(self.words.iter().map(String::as_str));
        if self.words.len() == self.count && folded.len() <= SHOWN {
            return printable(folded.as_bytes());
        }
        let few: Vec<String> = self.words.iter().take(FEW).map(|word| shown(word)).collect();
        format!("{} and {} more", few.join(","), self.count - few.len())
    }
}

/// The terms of one option, to look names and tags up in.
#[derive(Debug)]
pub struct Union<'a, 't> {
    words: HashSet<&'a str>,
    names: Vec<&'t HashSet<String>>,
}

impl Union<'_, '_> {
    /// Is this target meant?
    pub fn holds(&self, target: &Target) -> bool {
        let name = target.name.as_str();
        self.words.contains(name)
            || self.names.iter().any(|names| names.contains(name))
            || target.tags.iter().any(|tag| self.words.contains(tag.as_str()))
    }
}
