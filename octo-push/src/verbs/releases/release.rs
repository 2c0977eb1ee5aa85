//! What a target says of one application. It is believed nothing but values of the right
//! form: they become labels, cells and members of ours.

use octo_core::base::digest::Digest;
use octo_core::base::encoding::{is_hidden, is_word, printable};
use octo_core::base::names::VariableName;
use octo_core::tentacle::releases::{Directory, is_name};
use octo_core::trust::signed::KeyId;
use octo_wire::Fields;

/// What ends a list of names that is longer than a line can say.
const AND_MORE: &str = "...";

/// An application on a target: what is current, what was tried last, whether it is frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    /// Its name.
    pub(super) application: String,
    fields: Fields,
}

/// What tells two of them on one target apart.
pub(super) type Place<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

impl Release {
    /// What a line says, if all of it is of its form.
    pub(super) fn read(fields: Fields) -> Option<Release> {
        let application = fields.get::<&str>("application")?.to_string();
        let said = fields.each().filter_map(|(key, value)| Some((key.word, value?)));
        for (key, value) in said {
            if !is_sound(key, std::str::from_utf8(value).ok()?) {
                return None;
            }
        }
        if let Some(base) = fields.get::<&str>("base") {
            let directory = Directory::parse(&format!("{base}/{application}"))?;
            if directory.base != base {
                return None;
            }
        }
        Some(Release { application, fields })
    }

    /// All that was said.
    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// A value; none is empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).filter(|value: &&str| !value.is_empty())
    }

    /// As a person is shown it, a dash where there is none.
    pub(super) fn shown(&self, key: &str) -> String {
        self.get(key).map_or_else(|| "-".into(), |value| printable(value.as_bytes()))
    }

    /// Of its package.
    pub(super) fn sha256(&self) -> Option<Digest> {
        self.fields.get("sha256")
    }

    /// How many of its files are not as they were deployed, where that was looked at.
    pub(super) fn changed(&self) -> Option<u64> {
        self.fields.get("changed")
    }

    /// Which of its target's applications it is.
    pub(super) fn place(&self) -> Place<'_> {
        (&self.application, self.get("base"), self.get("user"))
    }

    /// Has octo-exec seen it there? Else all that is known is that it is frozen.
    pub(super) fn is_seen(&self) -> bool {
        self.get("base").is_some()
    }

    /// RELEASE#N, `none` where nothing is current; nothing where that isn't known.
    pub(super) fn revision(&self) -> Option<String> {
        match (self.get("release"), self.get("number")) {
            (Some(release), Some(number)) => Some(format!("{release}#{number}")),
            (None, _) if self.is_seen() => Some("none".into()),
            _ => None,
        }
    }
}

/// Is this a value for this key? Numbers, times and digests are, or the line was none.
fn is_sound(key: &str, value: &str) -> bool {
    match key {
        "application" => value.len() <= 100 && is_name(value),
        "version" | "release" | "last-version" | "back-release" | "back-version" => is_name(value),
        "result" | "last-result" | "last-what" | "seen" => {
            value.len() <= 32 && is_word(value.as_bytes())
        }
        "names" | "back-names" => {
            value.split(',').all(|name| VariableName::parse(name).is_some() || name == AND_MORE)
        }
        "signed" => KeyId::parse(value).is_some(),
        "user" => (1..=255).contains(&value.len()) && !value.chars().any(is_hidden),
        _ => true,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use octo_core::trust::Verb;

    /// `KEY=VALUE` each.
    pub(in super::super) fn fields(words: &[&str]) -> Fields {
        words.iter().fold(Fields::item(Verb::Releases), |fields, word| {
            let (key, value) = word.split_once('=').expect(word);
            fields.with(key, value)
        })
    }

    const SOUND: &[&str] = &[
        "application=shop",
        "base=/srv/é b",
        "user=deploy",
        "version=1.1",
        "release=1.1_2",
        "number=7",
        "result=succeeded",
        "names=A,B_C,...",
        "by=ann b|c",
        "frozen-why=a \u{1b} b",
    ];

    #[test]
    fn values_are_what_they_should_be() {
        let release = Release::read(fields(SOUND)).expect("sound");
        assert_eq!(release.revision().as_deref(), Some("1.1_2#7"));
        assert_eq!(release.place(), ("shop", Some("/srv/é b"), Some("deploy")));
        assert_eq!(
            (release.shown("by"), release.shown("frozen-why")),
            ("ann b|c".into(), "a \\x1b b".into())
        );
        for (words, revision) in [
            (&["application=shop", "base=/srv"][..], Some("none")),
            (&["application=shop", "base=/srv", "release=1.0"], None),
            (&["application=shop", "frozen-by=ann"], None),
        ] {
            let release = Release::read(fields(words)).expect("sound");
            assert_eq!(release.revision().as_deref(), revision, "{words:?}");
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_nothing_at_all() {
        assert_eq!(Release::read(fields(&["base=/srv"])), None);
        let long = format!("application={}", "a".repeat(101));
        for bad in [
            "application=../shop",
            "application=<b>",
            long.as_str(),
            "base=/srv/../x",
            "base=srv",
            "base=/srv/",
            "base=/a\nb",
            "user=a\u{202e}b",
            "version=1\\\"x",
            "release=1/2",
            "back-version=",
            "result=succeeded<",
            "last-result=Failed",
            "seen=a b",
            "names=A,,B",
            "back-names=A B",
        ] {
            let key = bad.split_once('=').expect("a key").0;
            let mut words: Vec<&str> = SOUND.to_vec();
            words.retain(|word| word.split_once('=').is_some_and(|(other, _)| other != key));
            words.push(bad);
            assert_eq!(Release::read(fields(&words)), None, "{bad}");
        }
    }
}
