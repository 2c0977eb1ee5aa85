//! Names as they are written, looked up in no targets file.

use super::glob;
use super::vocabulary::Missing;
use super::word::{Budget, Word};
use crate::base::error::Result;
use std::collections::HashSet;

/// Names as they are written where no list of targets is at hand: some may be of none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameSet {
    names: HashSet<String>,
    /// With `*` and `?`, no two `*` side by side.
    patterns: Vec<String>,
}

impl NameSet {
    /// The names that these words stand for.
    ///
    /// # Errors
    /// Exit 65 for a word that can't be understood, or stands for too many.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<NameSet> {
        let mut set = NameSet::default();
        let mut budget = Budget::default();
        for word in words {
            let parsed = Word::parse(word)?;
            budget.spend(word, &parsed)?;
            parsed.each(&mut |name| match glob::is_glob(name) {
                true => set.patterns.push(glob::collapsed(name)),
                false => drop(set.names.insert(name.to_string())),
            });
        }
        Ok(set)
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    /// Those that are none of these names, folded; `None` where each is one.
    pub fn lacking<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let names: HashSet<&str> = names.into_iter().collect();
        let mut missing = Missing::default();
        let mut lacking: Vec<&String> =
            self.names.iter().filter(|name| !names.contains(name.as_str())).collect();
        lacking.sort_unstable();
        lacking.extend(
            self.patterns
                .iter()
                .filter(|pattern| !names.iter().any(|name| glob::matches(pattern, name))),
        );
        lacking.into_iter().for_each(|word| missing.add(word));
        (!missing.is_empty()).then(|| missing.shown())
    }

    /// Is this one of them?
    pub fn holds(&self, name: &str) -> bool {
        let matches = |pattern: &String| glob::matches(pattern, name);
        self.names.contains(name) || self.patterns.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_names_needs_no_targets() {
        let set = NameSet::of(["web[1-2]", "db*", "x"]).expect("understood");
        for name in ["web1", "web2", "db", "db7", "x"] {
            assert!(set.holds(name), "{name}");
        }
        for name in ["web3", "web[1-2]", "d", "", "xx"] {
            assert!(!set.holds(name), "{name}");
        }
        let targets = ["web1", "web2", "db1", "x", "y"];
        assert_eq!(set.lacking(targets), None);
        assert_eq!(set.lacking(["web1", "x"]).as_deref(), Some("db*,web2"));
        assert_eq!(set.lacking([]).as_deref(), Some("db*,web[1,2],x"));
        assert!(NameSet::default().is_empty() && !set.is_empty());
        let many = ["a[1-600000]", "b[1-600000]"];
        assert!(NameSet::of(many).expect_err("many").message.starts_with("b[1-600000]: stands"));
        let error = NameSet::of(["a*[1-10001]"]).expect_err("many");
        assert!(error.message.contains("more than 10000 patterns"), "{}", error.message);
    }
}
