//! The command line that continues a rollout: the same one, with the rollout's
//! id, and with `failed:LAST` as it was understood then.

use crate::cli::argv;
use octo_core::base::cli::utc;
use octo_core::base::names::JobId;
use octo_core::tentacle::spec::{Freezing, Order};

/// The options of one letter that take no value.
const FLAGS: [char; 5] = ['a', 'g', 'n', 'q', 'v'];

/// The command line of a run, taken apart as far as repeating it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'a> {
    /// Its words, without the tool's name.
    pub(crate) words: &'a [String],
    /// Where the verb stands: `-t run` is none.
    pub(crate) verb: usize,
    /// So many at the end are the script's own.
    pub(crate) own: usize,
    /// Did it name the job?
    pub(crate) named: bool,
}

impl Words<'_> {
    /// Is the last run among what was selected?
    pub(crate) fn name_last(&self) -> bool {
        self.words.iter().any(|word| word.contains("failed:LAST"))
    }

    /// What is to be pasted; `last` is the run that `failed:LAST` meant.
    pub(crate) fn again(&self, id: &JobId, last: Option<&JobId>) -> String {
        let mut words: Vec<String> = vec!["octo-push".into()];
        let options = self.words.len().saturating_sub(self.own);
        for (index, word) in self.words.iter().enumerate() {
            words.push(match last {
                Some(last) if index < options => resolved(word, last),
                _ => word.clone(),
            });
            // Right behind the verb, where it can't be taken for the script's own.
            if index == self.verb && !self.named {
                words.extend(["-j".into(), id.to_string()]);
            }
        }
        argv::join(words.iter().map(String::as_str))
    }
}

impl Words<'_> {
    /// The same for these targets alone, with the time that was meant.
    pub(crate) fn narrowed(&self, names: &[&str], order: &Order) -> String {
        let mut words = vec!["octo-push".to_string(), "-t".into(), names.join(",")];
        let mut rest = self.words.iter();
        while let Some(word) = rest.next() {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (word.as_str(), None),
            };
            match (option, order) {
                ("--", _) => {
                    words.push(word.clone());
                    words.extend(rest.by_ref().cloned());
                }
                // All of them are named; and a share of a few would be another one.
                ("--all", _) => {}
                ("--shard", _) if value.is_some() => {}
                ("--shard", _) => drop(rest.next()),
                ("--until", Order::Freezing(Freezing::Freeze { until, .. })) => {
                    if value.is_none() {
                        rest.next();
                    }
                    words.extend(["--until".into(), utc(*until)]);
                }
                _ => words.extend(without_all(word)),
            }
        }
        argv::join(words.iter().map(String::as_str))
    }
}

/// A cluster of flags without its `-a`.
fn without_all(word: &str) -> Option<String> {
    let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else {
        return Some(word.to_string());
    };
    let flags = letters.len() - letters.trim_start_matches(FLAGS).len();
    let kept = letters[..flags].replace('a', "") + &letters[flags..];
    (!kept.is_empty() || letters.is_empty()).then(|| format!("-{kept}"))
}

/// This run will be the last one: whoever continues it means the one before.
fn resolved(word: &str, last: &JobId) -> String {
    let (option, value) = word.split_at(option_of(word));
    let terms = value.split(',').map(|term| match term {
        "failed:LAST" => format!("failed:{last}"),
        _ => term.to_string(),
    });
    format!("{option}{}", terms.collect::<Vec<_>>().join(","))
}

/// How long the option is whose value stands in the same word: `--target=`, `-t`, or
/// a cluster as `-nqt`.
fn option_of(word: &str) -> usize {
    for option in ["--target=", "--exclude="] {
        if word.starts_with(option) {
            return option.len();
        }
    }
    let Some(letters) = word.strip_prefix('-') else { return 0 };
    let flags = letters.len() - letters.trim_start_matches(FLAGS).len();
    if letters[flags..].starts_with(['t', 'x']) { flags + 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_given_an_order_again_with_the_time_that_was_meant() {
        let until = "2026-12-01T06:00:00Z".parse().expect("a time");
        let (application, reason) = ("shop".to_string(), "x".into());
        let freeze =
            Order::Freezing(Freezing::Freeze { application: application.clone(), until, reason });
        let thaw = Order::Freezing(Freezing::Thaw { application });
        for (line, order, expected) in [
            ("-a freeze shop --until 2h x", &freeze, "freeze shop --until 2026-12-01T06:00:00Z x"),
            (
                "-i id -qat web --shard 1/2 freeze --until=3d shop x -- -a --until",
                &freeze,
                "-i id -qt web freeze --until 2026-12-01T06:00:00Z shop x -- -a --until",
            ),
            ("-vtweb -a --shard=1/2 thaw shop", &thaw, "-vtweb thaw shop"),
            ("thaw shop --all -tany", &thaw, "thaw shop -tany"),
        ] {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            let said = Words { words: &words, verb: 0, own: 0, named: false };
            let again = said.narrowed(&["web1", "web2"], order);
            assert_eq!(again, format!("octo-push -t web1,web2 {expected}"));
        }
    }

    #[test]
    fn the_verb_the_id_and_the_last_run_are_found() {
        let id = JobId::parse("20260101T000000-abcdefghijklm").expect("an id");
        let last = JobId::parse("20250101T000000-abcdefghijklm").expect("an id");
        for (line, verb, own, named, expected) in [
            ("-t run run x.sh run", 2, 1, false, "-t run run -j ID x.sh run"),
            ("run -jID -c true", 0, 0, true, "run -jID -c true"),
            (
                "-t db,failed:LAST -qxfailed:LAST run x.sh failed:LAST",
                3,
                1,
                false,
                "-t db,failed:LST -qxfailed:LST run -j ID x.sh failed:LAST",
            ),
        ] {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            let said = Words { words: &words, verb, own, named };
            let expected = expected.replace("-j ID", &format!("-j {id}"));
            let expected = expected.replace("LST", last.as_str());
            assert_eq!(said.again(&id, Some(&last)), format!("octo-push {expected}"));
        }
    }
}
