//! The command line that continues a rollout: the same one, with the rollout's
//! id, and with `failed:LAST` as it was understood then.

use crate::cli::argv;
use octo_core::base::names::JobId;

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
    let flags = letters.len() - letters.trim_start_matches(['a', 'g', 'n', 'q', 'v']).len();
    if letters[flags..].starts_with(['t', 'x']) { flags + 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

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
