//! What octo-release says about an application: a value for some of these keys, each of the
//! form of its key. Whoever has BASE/APP can write anything there: what is of another form
//! is left out, and that something was is told.

use crate::base::digest::Digest;
use crate::base::encoding::{decode_text, is_hidden};
use crate::base::key::Form;
use crate::base::names::VariableName;
use crate::base::units::whole;
use crate::trust::signed::KeyId;
use std::collections::BTreeMap;

/// The longest list of variables' names that is kept, in bytes: two of them and all else fit
/// a line of the wire.
const LONGEST_NAMES: usize = 3000;
/// What a longer list ends in.
const AND_MORE: &str = "...";
/// The first line of meta/now.
const HEAD: &[u8] = b"octo-release 1";

const RESULTS: &[&str] = &[
    "started",
    "succeeded",
    "failed",
    "interrupted",
    "pruned",
    "unhealthy",
    "bad",
    "missing",
    "removed",
];
const WHATS: &[&str] = &["deploy", "rollback", "unhealthy", "remove"];

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of an application, a version, a release.
    Name,
    /// A whole number.
    Number,
    /// A SHA-256.
    Digest,
    /// Of a key that packages are signed by.
    KeyId,
    /// UTC, to the second.
    Time,
    /// Text of which everything can be seen.
    Text,
    /// One of these.
    Word(&'static [&'static str]),
    /// Of variables; in meta/now with blanks between them, here with commas.
    Names,
}

/// The keys, in the order of meta/now.
pub static KEYS: &[(&str, Kind)] = &[
    ("version", Kind::Name),
    ("release", Kind::Name),
    ("number", Kind::Number),
    ("sha256", Kind::Digest),
    ("content", Kind::Digest),
    ("signed", Kind::KeyId),
    ("since", Kind::Time),
    ("by", Kind::Text),
    ("result", Kind::Word(RESULTS)),
    ("environment", Kind::Text),
    ("names", Kind::Names),
    ("last-version", Kind::Name),
    ("last-result", Kind::Word(RESULTS)),
    ("last-what", Kind::Word(WHATS)),
    ("last-at", Kind::Time),
    ("last-by", Kind::Text),
    ("back-release", Kind::Name),
    ("back-version", Kind::Name),
    ("back-sha256", Kind::Digest),
    ("back-environment", Kind::Text),
    ("back-names", Kind::Names),
    ("verified", Kind::Time),
    ("changed", Kind::Number),
];

/// What meta/RELEASE says, and by which key meta/now says the same.
const OF_A_RELEASE: &[(&str, &str)] = &[
    ("version", "version"),
    ("sha256", "sha256"),
    ("content", "content"),
    ("signed", "signed"),
    ("by", "by"),
    ("at", "since"),
    ("environment", "environment"),
    ("names", "names"),
];

/// The values, at most one a key: by its place among [`KEYS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<usize, String>);

/// What meta/now says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) facts: Facts,
    /// The length of the journal that it was made of.
    pub(super) journal: Option<u64>,
    /// The job that has begun what was tried last, as long as that isn't over.
    pub(super) job: Option<String>,
    /// Every line that we know is of its form.
    pub(super) is_sound: bool,
}

/// Is this the name of an application, a version or a release directory?
pub fn is_name(text: &str) -> bool {
    let is_of_it = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
    text.len() <= 128
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(is_of_it)
}

impl Kind {
    /// The value as it is kept, if it is one.
    fn read(self, value: &str) -> Option<String> {
        let is_sound = match self {
            Kind::Name => is_name(value),
            Kind::Number => Form::Number.fits(value.as_bytes()),
            Kind::Digest => Digest::parse(value).is_some(),
            Kind::KeyId => KeyId::parse(value).is_some(),
            Kind::Time => Form::Time.fits(value.as_bytes()),
            Kind::Text => (1..=128).contains(&value.len()) && !value.chars().any(is_hidden),
            Kind::Word(words) => words.contains(&value),
            Kind::Names => return names(value),
        };
        is_sound.then(|| value.to_string())
    }
}

/// Where a key is among all.
fn place(key: &str) -> Option<usize> {
    KEYS.iter().position(|(known, _)| *known == key)
}

/// A list of names, cut where it is longer than a line can say.
fn names(list: &str) -> Option<String> {
    let mut kept = String::new();
    for name in list.split(',') {
        if VariableName::parse(name).is_none() && name != AND_MORE {
            return None;
        }
        if kept.len() + name.len() + AND_MORE.len() + 2 > LONGEST_NAMES {
            return Some(kept + "," + AND_MORE);
        }
        if !kept.is_empty() {
            kept.push(',');
        }
        kept.push_str(name);
    }
    Some(kept)
}

impl Facts {
    /// The value of a key, where it is known.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(&place(key)?).map(String::as_str)
    }

    /// All values, in the order of [`KEYS`].
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().filter_map(|(place, value)| Some((KEYS.get(*place)?.0, value.as_str())))
    }

    /// Says a value; `None` where it is not of the form of its key, or said already.
    pub(super) fn say(&mut self, key: &str, value: &str) -> Option<()> {
        let place = place(key)?;
        if self.0.contains_key(&place) {
            return None;
        }
        self.0.insert(place, KEYS.get(place)?.1.read(value)?);
        Some(())
    }

    /// Forgets what is known about the current release, and leaves the number: it counts
    /// changes that succeeded.
    pub(super) fn forget_current(&mut self) {
        let known = OF_A_RELEASE.iter().map(|(_, known)| *known);
        known.chain(["release", "result", "verified", "changed"]).filter_map(place).for_each(
            |place| {
                self.0.remove(&place);
            },
        );
    }

    /// What has begun and isn't over is not coming back.
    pub(super) fn interrupt(&mut self) {
        for place in ["result", "last-result"].into_iter().filter_map(place) {
            if let Some(value) = self.0.get_mut(&place).filter(|value| *value == "started") {
                *value = "interrupted".into();
            }
        }
    }

    /// What is said in meta/RELEASE; whether all of it is of its form.
    pub(super) fn of_release(&mut self, bytes: &[u8]) -> bool {
        let mut is_sound = true;
        for line in lines(bytes) {
            let said = line.and_then(|(key, value)| {
                let known = OF_A_RELEASE.iter().find(|(said, _)| *said == key);
                known.map_or(Some(()), |(_, key)| self.say(key, &value))
            });
            is_sound &= said.is_some();
        }
        is_sound
    }
}

impl Now {
    /// What meta/now of this application says; nothing where it is another's.
    pub(super) fn read(bytes: &[u8], application: &str) -> Now {
        let mut now = Now { facts: Facts::default(), journal: None, job: None, is_sound: true };
        let Some(rest) = bytes.strip_prefix(HEAD).and_then(|rest| rest.strip_prefix(b"\n")) else {
            now.is_sound = false;
            return now;
        };
        let mut is_named = false;
        for line in lines(rest) {
            let said = line.and_then(|(key, value)| match key {
                "application" => (value == application).then(|| is_named = true),
                "journal" => whole(&value).map(|bytes| now.journal = Some(bytes)),
                "last-job" => {
                    now.job = Some(value);
                    Some(())
                }
                key if place(key).is_some() => now.facts.say(key, &value),
                // Of a newer octo-release.
                _ => Some(()),
            });
            now.is_sound &= said.is_some();
        }
        match is_named {
            true => now,
            false => Now { facts: Facts::default(), is_sound: false, ..now },
        }
    }
}

/// The lines: a key, and its values decoded, with commas between them.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Option<(&str, String)>> {
    let whole = bytes.strip_suffix(b"\n");
    // What has no end was cut.
    let cut = (whole.is_none() && !bytes.is_empty()).then_some(None);
    let lines = whole.filter(|whole| !whole.is_empty()).into_iter();
    let lines = lines.flat_map(|whole| whole.split(|b| *b == b'\n')).map(|line| {
        let (key, values) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        // A character that should be encoded and isn't is no other thereby.
        let raw = |value: &str| (!value.contains('%')).then(|| value.to_string());
        let values: Option<Vec<String>> = values
            .split(' ')
            .map(|value| decode_text(value.as_bytes()).or_else(|| raw(value)))
            .collect();
        // One value a key, but for the lists.
        let values = values.filter(|all| all.len() == 1 || key.ends_with("names"))?;
        Some((key, values.join(",")))
    });
    lines.chain(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "octo-release 1\napplication shop\njournal 12\nversion 1.0\nnumber 3\n\
        by ann?\nresult succeeded\nenvironment pr%20od\nnames A B_2\nlast-at 2026-01-01T00:00:00Z\n\
        verified 2026-01-02T00:00:00Z\nchanged 2\n";

    /// Lines that are not of the form of their key.
    const UNSOUND: &[(&str, &str)] = &[
        ("version ../../etc", "version"),
        ("version -1", "version"),
        ("release a/b", "release"),
        ("number 01", "number"),
        ("sha256 abc", "sha256"),
        ("signed aa97798fd12ff6a1", "signed"),
        ("since 2026-01-01", "since"),
        ("last-by a%0Ab", "last-by"),
        ("last-by ", "last-by"),
        ("last-by a b", "last-by"),
        ("back-names 1A", "back-names"),
        ("back-names A  B", "back-names"),
        ("last-what format", "last-what"),
        ("last-result fine", "last-result"),
        ("back-environment %E2%80%AEx", "back-environment"),
        ("back-environment %FF", "back-environment"),
        ("back-version a%2", "back-version"),
        ("verified today", "verified"),
        ("changed -1", "changed"),
        ("changed 1 2", "changed"),
    ];

    #[test]
    fn what_is_of_its_form_is_taken_and_the_rest_is_told() {
        let now = Now::read(NOW.as_bytes(), "shop");
        assert_eq!((now.is_sound, now.journal), (true, Some(12)));
        let said: Vec<(&str, &str)> = now.facts.each().collect();
        assert_eq!(
            said,
            [
                ("version", "1.0"),
                ("number", "3"),
                ("by", "ann?"),
                ("result", "succeeded"),
                ("environment", "pr od"),
                ("names", "A,B_2"),
                ("last-at", "2026-01-01T00:00:00Z"),
                ("verified", "2026-01-02T00:00:00Z"),
                ("changed", "2"),
            ]
        );
        // Of a newer octo-release.
        let newer = Now::read(format!("{NOW}mood good\n").as_bytes(), "shop");
        assert_eq!(newer, now);
        for (line, key) in UNSOUND {
            let facts =
                Now::read(format!("octo-release 1\napplication shop\n{line}\n").as_bytes(), "shop");
            assert_eq!((facts.is_sound, facts.facts.get(key)), (false, None), "{line}");
        }
        let twice = Now::read(format!("{NOW}version 2.0\n").as_bytes(), "shop");
        assert_eq!((twice.is_sound, twice.facts.get("version")), (false, Some("1.0")));
        // Another's, of no head, or cut.
        assert_eq!(Now::read(NOW.as_bytes(), "blog").facts, Facts::default());
        let nameless = NOW.replace("application shop\n", "");
        assert_eq!(Now::read(nameless.as_bytes(), "shop").facts, Facts::default());
        // Being written over, on a full disk.
        let headless = Now::read(NOW.replace("release 1", "release -").as_bytes(), "shop");
        assert_eq!((headless.is_sound, headless.facts), (false, Facts::default()));
        for cut in 0..NOW.len() {
            let now = Now::read(&NOW.as_bytes()[..cut], "shop");
            let ends_a_line = cut > 0 && NOW.as_bytes()[cut - 1] == b'\n';
            assert!(!now.is_sound || ends_a_line, "{cut}");
        }
    }

    /// Two lists, the longest BASE and all else have to fit a line of the wire.
    #[test]
    fn a_list_that_is_too_long_says_so_and_is_read_back() {
        let names: Vec<String> = (0..400).map(|n| format!("VARIABLE_{n:03}")).collect();
        let mut facts = Facts::default();
        facts.say("names", &names.join(",")).expect("names");
        let kept = facts.get("names").expect("kept").to_string();
        assert!(kept.len() <= LONGEST_NAMES && kept.len() > LONGEST_NAMES - 20, "{}", kept.len());
        let last = kept.split(',').rev().nth(1).expect("a name");
        assert!(names.iter().any(|name| name == last) && kept.ends_with(",..."), "{kept}");
        let mut again = Facts::default();
        again.say("names", &kept).expect("read back");
        assert_eq!(again.get("names"), Some(&kept[..]));
        assert_eq!(facts.say("back-names", &"A".repeat(257)), None);
    }
}
