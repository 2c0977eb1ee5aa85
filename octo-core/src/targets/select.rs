//! Which tentacles are meant: `-t` takes the union inside one option, several
//! `-t` intersect, `-x` takes away, `-a` takes all, `--shard` a share.
//!
//! Nothing selected is an error, never "all"; a name that no target or tag has
//! is an error too, since a misspelt tag would else silently select less.

use super::{Target, Targets};
use crate::base::encoding::printable;
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
    /// A target's name or a tag.
    Word(String),
    /// Names found elsewhere (`failed:LAST`); those that no longer exist are
    /// passed over.
    Names(HashSet<String>),
}

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
    /// The selected targets, in the file's order. Only a shard may be empty.
    ///
    /// # Errors
    /// Exit 64 where nothing is selected, 65 for an unknown name or tag.
    pub fn select(&self, selection: &Selection) -> Result<Vec<&Target>> {
        let words: HashSet<&str> = self
            .all
            .iter()
            .flat_map(|t| t.tags.iter().chain([&t.name]))
            .map(|name| name.as_str())
            .collect();
        for term in selection.take.iter().flatten().chain(&selection.leave) {
            if let Term::Word(word) = term
                && !words.contains(word.as_str())
            {
                let shown = printable(if word.is_empty() { b"''" } else { word.as_bytes() });
                return Err(Error::new(Exit::Data, shown, "no target and no tag has this name")
                    .hint("octo-push targets lists them"));
            }
        }
        if !selection.all && selection.take.is_empty() {
            return Err(Error::usage("no target is selected")
                .hint("name targets or tags with -t, or take all with -a"));
        }
        if selection.take.iter().any(Vec::is_empty) {
            return Err(Error::new(Exit::Data, "-t", "the file names no target")
                .hint("it has a name or tag a line; -a takes all targets"));
        }
        let take: Vec<Union> = selection.take.iter().map(|terms| Union::of(terms)).collect();
        let leave = Union::of(&selection.leave);
        let meant = |target: &&Target| take.iter().all(|u| u.holds(target)) && !leave.holds(target);
        let mut selected: Vec<&Target> = self.all.iter().filter(meant).collect();
        if selected.is_empty() {
            return Err(Error::usage("no target is left by this selection")
                .hint("several -t intersect; for the union join with commas: -t web,db"));
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

/// The terms of one option, to look names and tags up in.
struct Union<'a> {
    words: HashSet<&'a str>,
    names: Vec<&'a HashSet<String>>,
}

impl<'a> Union<'a> {
    fn of(terms: &'a [Term]) -> Union<'a> {
        let mut union = Union { words: HashSet::new(), names: Vec::new() };
        for term in terms {
            match term {
                Term::Word(word) => {
                    union.words.insert(word);
                }
                Term::Names(names) => union.names.push(names),
            }
        }
        union
    }

    fn holds(&self, target: &Target) -> bool {
        let name = target.name.as_str();
        self.words.contains(name)
            || self.names.iter().any(|names| names.contains(name))
            || target.tags.iter().any(|tag| self.words.contains(tag.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn targets() -> Targets {
        let text = "web1 h webpki prod web\nweb2 h webpki prod web canary\n\
                    db1 h webpki prod db\nweb3 h webpki staging web\n";
        Targets::parse(Path::new("t"), text.as_bytes()).expect("sound")
    }

    fn terms(text: &str) -> Vec<Term> {
        text.split(',').filter(|t| !t.is_empty()).map(|t| Term::Word(t.into())).collect()
    }

    #[test]
    fn selections() {
        let targets = targets();
        for (all, take, leave, shard, expected) in [
            (true, vec![], "", None, "web1 web2 db1 web3"),
            (true, vec![], "web", None, "db1"),
            (false, vec!["web"], "", None, "web1 web2 web3"),
            (false, vec!["web3,db"], "", None, "db1 web3"),
            (false, vec!["web", "prod"], "", None, "web1 web2"),
            (false, vec!["web", "prod"], "canary", None, "web1"),
            (true, vec![], "", Some("1/3"), "web1 web3"),
            (true, vec![], "", Some("3/3"), "db1"),
            (false, vec!["web1"], "", Some("2/2"), ""),
        ] {
            let selection = Selection {
                all,
                take: take.iter().map(|t| terms(t)).collect(),
                leave: terms(leave),
                shard: shard.and_then(Shard::parse),
            };
            let names: Vec<&str> = targets
                .select(&selection)
                .expect("selects")
                .iter()
                .map(|t| t.name.as_str())
                .collect();
            assert_eq!(names.join(" "), expected, "{selection:?}");
        }
    }

    /// `-t` with each of 10,000 names, on targets with a thousand tags between them.
    #[test]
    fn ten_thousand_words_are_cheap() {
        let text: String = (0..10_000).map(|i| format!("n{i} h webpki t{}\n", i % 1000)).collect();
        let targets = Targets::parse(Path::new("t"), text.as_bytes()).expect("sound");
        let names = (0..10_000).map(|i| Term::Word(format!("n{i}"))).collect();
        let leave = (1..1000).map(|i| Term::Word(format!("t{i}"))).collect();
        let start = std::time::Instant::now();
        let selection = Selection { take: vec![names], leave, ..Selection::default() };
        let selected = targets.select(&selection).expect("selects");
        let names: Vec<&str> = selected.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names.join(" "), "n0 n1000 n2000 n3000 n4000 n5000 n6000 n7000 n8000 n9000");
        // Generous for a loaded machine; each word for each target would take longer.
        assert!(start.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn nothing_selected_is_an_error() {
        let targets = targets();
        let error = targets.select(&Selection::default()).expect_err("nothing");
        assert_eq!(error.exit, Exit::Usage);
        let select = |take: &[&str], leave: &str| {
            let take = take.iter().map(|t| terms(t)).collect();
            targets.select(&Selection { take, leave: terms(leave), ..Selection::default() })
        };
        assert_eq!(select(&["web", "db"], "").expect_err("empty").exit, Exit::Usage);
        assert_eq!(select(&["web1"], "web1").expect_err("empty").exit, Exit::Usage);
        for error in [select(&["wbe"], ""), select(&["web"], "wbe")] {
            let error = error.expect_err("unknown");
            assert_eq!(
                (error.message.as_str(), error.exit),
                ("wbe: no target and no tag has this name", Exit::Data)
            );
        }
        let error = select(&["web", ""], "").expect_err("an empty file");
        assert_eq!(
            (error.message.as_str(), error.exit),
            ("-t: the file names no target", Exit::Data)
        );
        let known = Term::Names(["db1".to_string(), "gone".to_string()].into());
        let selection = Selection { take: vec![vec![known]], ..Selection::default() };
        assert_eq!(targets.select(&selection).expect("one").len(), 1);
    }

    #[test]
    fn shards_are_strict() {
        assert_eq!(Shard::parse("2/3"), Some(Shard { share: 2, of: 3 }));
        for bad in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/4", "a/b"] {
            assert_eq!(Shard::parse(bad), None, "{bad}");
        }
    }
}
