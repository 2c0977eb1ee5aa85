//! Which tentacles are meant: `-t` takes the union inside one option, several
//! `-t` intersect, `-x` takes away, `-a` takes all, `--shard` a share.
//!
//! Nothing selected is an error, never "all"; a name that no target or tag has
//! is an error too, since a misspelt tag would else silently select less. So is each
//! name that a range stands for, and a pattern that nothing matches.

mod fold;
mod glob;
mod name_set;
mod names;
mod ranges;
#[cfg(test)]
mod tests;
mod vocabulary;
mod word;

pub use fold::fold;
pub use name_set::NameSet;
pub use names::{names_file, words};
pub use vocabulary::{NoSuch, Union, Vocabulary};

use super::{Target, Targets};
use crate::base::error::{Error, Exit, Result};
use crate::base::units::whole;
use std::collections::HashSet;

/// What the command line selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// `-a`
    pub all: bool,
    /// One entry an option `-t`, each a union.
    pub take: Vec<Vec<Term>>,
    /// The terms of all `-x`.
    pub leave: Vec<Term>,
    /// `--shard K/N`
    pub shard: Option<Shard>,
}

/// One word of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// A target's name or a tag, a range or a pattern of them, as it was written.
    Word(String),
    /// Names found elsewhere (`failed:LAST`); those that no longer exist are
    /// passed over.
    Names(HashSet<String>),
}

/// Of words that are no target's name and no tag.
const NO_SUCH: NoSuch = NoSuch {
    before: "",
    reason: "no target and no tag has this name",
    hint: Some("octo-push targets lists them"),
};

/// Every Nth target, from the Kth on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which share, from 1.
    pub share: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// What it is, for messages.
    pub const FORM: &str = "K/N, the Kth of N shares, from 1";

    /// `K/N` with 1 ≤ K ≤ N.
    pub fn parse(text: &str) -> Option<Shard> {
        let (share, of) = text.split_once('/')?;
        let (share, of) = (whole(share)?, whole(of)?);
        (1 <= share && share <= of).then_some(Shard { share, of })
    }
}

impl Targets {
    /// Those that these terms mean together, perhaps none.
    ///
    /// # Errors
    /// Exit 65 for an unknown name or tag.
    pub fn named_by(&self, terms: &[Term]) -> Result<impl Iterator<Item = &Target>> {
        let union = Vocabulary::of(&self.all).union(terms, &NO_SUCH)?;
        Ok(self.all.iter().filter(move |target| union.holds(target)))
    }

    /// The selected targets, in the file's order. Only a shard may be empty.
    ///
    /// # Errors
    /// Exit 64 where nothing is selected, 65 for an unknown name or tag.
    pub fn select(&self, selection: &Selection) -> Result<Vec<&Target>> {
        let vocabulary = Vocabulary::of(&self.all);
        let union = |terms| vocabulary.union(terms, &NO_SUCH);
        let take: Vec<Union> =
            selection.take.iter().map(|terms| union(terms)).collect::<Result<_>>()?;
        let leave = union(&selection.leave)?;
        if !selection.all && selection.take.is_empty() {
            return Err(Error::usage("no target is selected")
                .hint("name targets or tags with -t, or take all with -a"));
        }
        if selection.take.iter().any(Vec::is_empty) {
            return Err(Error::new(Exit::Data, "-t", "the file names no target")
                .hint("it has a name or tag a line; -a takes all targets"));
        }
        let meant = |target: &&Target| take.iter().all(|u| u.holds(target)) && !leave.holds(target);
        let mut selected: Vec<&Target> = self.all.iter().filter(meant).collect();
        if selected.is_empty() {
            return Err(Error::usage("no target is left by this selection").hint(
                match self.all.is_empty() {
                    true => {
                        "there are no targets at all: octo-targets(5) says where they come from"
                    }
                    false => "several -t intersect; for the union join with commas: -t web,db",
                },
            ));
        }
        if let Some(shard) = selection.shard {
            let mut index = 0;
            selected.retain(|_| {
                index += 1;
                (index - 1) % shard.of == shard.share - 1
            });
        }
        Ok(selected)
    }
}
