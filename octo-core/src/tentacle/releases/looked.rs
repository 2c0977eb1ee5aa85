//! What `octo-exec look` prints, who is a job's user: about each directory that it was asked
//! about, in their order, one answer. What is cut short of it, or of another form, is none.
//!
//! ```text
//! directory 0
//! journal 131 5120 1767225600000000000
//! current 3.0
//! now octo-release%201%0Aapplication…
//! release version%203.0%0A…
//! over 0
//! directory 1
//! failed permission%20denied
//! over 1
//! ```

use super::journal::JournalStat;
use crate::base::record::{Record, lines};

/// No more is read of meta/now, or of meta/RELEASE: meta/now has two lists of names, each as
/// long as `$OCTO_VARIABLES` may be.
pub const MAXIMUM_META: u64 = 64 << 10;

/// Where `current` leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Current {
    /// It isn't there.
    #[default]
    None,
    /// To no release.
    Astray,
    /// To this release, or into it.
    Release(String),
}

/// What there is in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The journal.
    pub journal: Option<JournalStat>,
    /// Where `current` leads to.
    pub current: Current,
    /// All of meta/now.
    pub now: Option<Vec<u8>>,
    /// All of meta/RELEASE, of the release that `current` leads to.
    pub release: Option<Vec<u8>>,
}

/// What was seen of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// It isn't there, or nothing of octo-release's is in it.
    Gone,
    /// It can't be looked at: why.
    Failed(String),
    /// This is there.
    Found(Found),
}

impl Current {
    /// The release, where it is one.
    pub fn release(&self) -> Option<&str> {
        match self {
            Current::Release(name) => Some(name),
            Current::None | Current::Astray => None,
        }
    }
}

impl Looked {
    /// The lines about the directory of this index.
    pub fn encode(&self, index: usize) -> String {
        let mut record = Record::new().with("directory", index);
        match self {
            Looked::Gone => {}
            Looked::Failed(why) => record = record.with("failed", why),
            Looked::Found(Found { journal, current, now, release }) => {
                if let Some(journal) = journal {
                    let fields = journal.fields();
                    let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
                    record.push("journal", &fields);
                }
                for (key, value) in [
                    ("current", current.release().map(str::as_bytes)),
                    ("astray", (*current == Current::Astray).then_some(&b"yes"[..])),
                    ("now", now.as_deref()),
                    ("release", release.as_deref()),
                ] {
                    if let Some(value) = value {
                        record.push(key, &[value]);
                    }
                }
            }
        }
        record.with("over", index).encode()
    }
}

/// The answers about so many directories; `None` where there is none.
pub fn answers(bytes: &[u8], count: usize) -> Vec<Option<Looked>> {
    let mut answers = vec![None; count];
    let mut open: Option<(usize, Looked)> = None;
    let number = |fields: &[Vec<u8>]| match fields {
        [field] => std::str::from_utf8(field).ok()?.parse::<usize>().ok(),
        _ => None,
    };
    for line in lines(bytes) {
        let Ok((key, mut fields)) = line else { break };
        match (key, &mut open) {
            ("directory", open) => *open = number(&fields).map(|index| (index, Looked::Gone)),
            ("over", open) => {
                if let Some((index, looked)) = open.take()
                    && number(&fields) == Some(index)
                    && let Some(answer) = answers.get_mut(index)
                {
                    *answer = Some(looked);
                }
            }
            (key, Some((_, looked))) => {
                let taken = add(looked, key, &mut fields);
                if taken.is_none() {
                    open = None;
                }
            }
            _ => {}
        }
    }
    answers
}

/// Takes a line into an answer.
fn add(looked: &mut Looked, key: &str, fields: &mut [Vec<u8>]) -> Option<()> {
    if key == "failed" {
        let text = String::from_utf8_lossy(fields.first()?).into_owned();
        *looked = Looked::Failed(text.chars().take(200).collect());
        return Some(());
    }
    if *looked == Looked::Gone {
        *looked = Looked::Found(Found::default());
    }
    let Looked::Found(found) = looked else { return None };
    match (key, fields) {
        ("journal", fields) => found.journal = Some(JournalStat::parse(fields)?),
        ("current", [name]) => {
            found.current = Current::Release(String::from_utf8(std::mem::take(name)).ok()?);
        }
        ("astray", [_]) => found.current = Current::Astray,
        ("now", [bytes]) => found.now = Some(std::mem::take(bytes)),
        ("release", [bytes]) => found.release = Some(std::mem::take(bytes)),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Looked {
        let journal = JournalStat { inode: 2, size: 3, modified: -4 };
        Looked::Found(Found {
            journal: Some(journal),
            current: Current::Release("3.0".into()),
            now: Some(b"octo-release 1\n\xff".to_vec()),
            release: Some(Vec::new()),
        })
    }

    #[test]
    fn answers_come_back_and_what_is_cut_is_none() {
        let failed = Looked::Failed("no\nway".into());
        let astray = Found { current: Current::Astray, ..Found::default() };
        let all = [found(), Looked::Gone, Looked::Found(astray), failed];
        let text: String = all.iter().enumerate().map(|(index, one)| one.encode(index)).collect();
        let wanted: Vec<Option<Looked>> = all.iter().cloned().map(Some).collect();
        assert_eq!(answers(text.as_bytes(), 4), wanted);
        for cut in 0..text.len() {
            for (answer, wanted) in answers(&text.as_bytes()[..cut], 4).iter().zip(&wanted) {
                assert!(answer.is_none() || answer == wanted, "{cut}: {answer:?}");
            }
        }
        assert_eq!(answers(&text.as_bytes()[..text.len() - 1], 4)[3], None);
    }

    #[test]
    fn what_is_not_of_the_form_is_no_answer() {
        for bad in [
            "directory 0\nover 1\n",
            "directory 7\nover 7\n",
            "directory 0\njournal 1 2\nover 0\n",
            "directory 0\ncurrent %FF\nover 0\n",
            "directory 0\nnow a b\nover 0\n",
            "directory 0\nmood good\nover 0\n",
            "directory 0\nfailed x\ncurrent 1\nover 0\n",
            "directory -1\nover -1\n",
            "over 0\n",
            "directory 0\n\nover 0\n",
        ] {
            assert_eq!(answers(bad.as_bytes(), 1), [None], "{bad}");
        }
    }
}
