//! The lines of `octo-release status`, each value checked for what it should be.

use super::super::package::is_plain_name;
use octo_core::base::cli::utc;
use octo_core::base::digest::Digest;
use octo_core::base::encoding::is_word;
use std::collections::HashSet;

/// What a target says of one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TargetState {
    /// What is current there.
    Answered(Box<Release>),
    /// It has no application.
    Empty,
    /// It didn't answer, and why.
    Unknown(String),
}

impl TargetState {
    /// It said something else than `octo-release status` does.
    pub(super) fn unreadable() -> TargetState {
        TargetState::Unknown("a status that is not of the form".into())
    }
}

/// An application on a target: what is current, and how the last attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    /// Its name.
    pub(super) application: String,
    /// What runs; none where nothing is current.
    pub(super) version: Option<String>,
    /// Of its package.
    pub(super) sha256: Option<Digest>,
    /// When it was deployed, RFC 3339 in UTC.
    pub(super) since: Option<String>,
    /// By whom.
    pub(super) by: Option<String>,
    /// How its deployment ended.
    pub(super) result: Option<String>,
    /// Its directory below releases.
    pub(super) release: Option<String>,
    /// What was tried last.
    pub(super) last_version: Option<String>,
    /// How that ended.
    pub(super) last_result: Option<String>,
}

/// The states that this output says: one an application, [`TargetState::Empty`] without
/// any, one unreadable state if any of it is not of the form.
pub(super) fn states(bytes: &[u8]) -> Vec<TargetState> {
    if bytes.is_empty() {
        return vec![TargetState::Empty];
    }
    let releases = std::str::from_utf8(bytes).ok().and_then(|text| {
        let lines = text.strip_suffix('\n')?.split('\n');
        lines.map(parse).collect::<Option<Vec<_>>>()
    });
    let mut names = HashSet::new();
    match releases {
        // Twice the same application would be two series of one name.
        Some(releases) if releases.iter().all(|r| names.insert(r.application.clone())) => {
            releases.into_iter().map(|release| TargetState::Answered(Box::new(release))).collect()
        }
        _ => vec![TargetState::unreadable()],
    }
}

/// One line: nine fields with tabs between, `-` for what there is not.
fn parse(line: &str) -> Option<Release> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [application, version, sha256, since, by, result, release, last_version, last_result] =
        fields[..]
    else {
        return None;
    };
    Some(Release {
        application: is_plain_name(application).then(|| application.to_string())?,
        version: field(version, is_plain_name)?,
        sha256: match sha256 {
            "-" => None,
            hex => Some(Digest::parse(hex)?),
        },
        since: field(since, is_time)?,
        by: field(by, is_pusher)?,
        result: field(result, is_result)?,
        release: field(release, is_release)?,
        last_version: field(last_version, is_plain_name)?,
        last_result: field(last_result, is_result)?,
    })
}

/// The inner none is a dash; the outer one is what is not of the form.
fn field(text: &str, is: fn(&str) -> bool) -> Option<Option<String>> {
    match text {
        "-" => Some(None),
        _ => is(text).then(|| Some(text.to_string())),
    }
}

/// RFC 3339 in UTC and to the second: its one spelling here.
fn is_time(text: &str) -> bool {
    text.parse().is_ok_and(|time| utc(time) == text)
}

/// A pusher or a local user; octo-release writes ? for other characters.
fn is_pusher(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@?-".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(plain)
}

fn is_result(text: &str) -> bool {
    text.len() <= 32 && is_word(text.as_bytes())
}

/// A version, with _N behind it where it was deployed again.
fn is_release(text: &str) -> bool {
    let digits = |end: &str| !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit());
    is_plain_name(text)
        || text.len() <= 120
            && text.rsplit_once('_').is_some_and(|(v, n)| is_plain_name(v) && digits(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: [&str; 9] = [
        "shop",
        "1.1",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "2026-01-31T23:59:59Z",
        "ada@desk",
        "succeeded",
        "1.1_2",
        "1.2",
        "failed",
    ];

    #[test]
    fn values_are_what_they_should_be() {
        let line = SOUND.join("\t") + "\n";
        let [TargetState::Answered(release)] = &states(line.as_bytes())[..] else {
            panic!("{line}")
        };
        assert_eq!(release.release.as_deref(), Some("1.1_2"));
        let nothing = "shop\t-\t-\t-\t-\t-\t-\t1.0\tfailed\n";
        let [TargetState::Answered(release)] = &states(nothing.as_bytes())[..] else {
            panic!("{nothing}")
        };
        assert_eq!((&release.version, &release.sha256), (&None, &None));
        assert_eq!(states(b""), [TargetState::Empty]);
    }

    #[test]
    fn what_is_not_of_the_form_is_nothing_at_all() {
        let forged = |at: usize, value: &str| {
            let mut fields = SOUND.map(String::from);
            fields[at] = value.to_string();
            fields.join("\t") + "\n"
        };
        let double = SOUND.join("\t") + "\n" + &SOUND.join("\t") + "\n";
        let half = SOUND.join("\t");
        let mut bad = vec![double, half, "\n".into(), "shop\t1.0\n".into()];
        for (at, value) in [
            (0, "-"),
            (0, "../shop"),
            (0, "<b>"),
            (1, "1\\\"x"),
            (2, "x\",forged=\"yes"),
            (2, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            (3, "yesterday"),
            (3, "2026-01-31 23:59:59Z"),
            (3, "2026-02-31T23:59:59Z"),
            (4, "ada|drift=9"),
            (5, "succeeded<"),
            (6, "a b"),
            (7, ""),
            (8, "Failed"),
        ] {
            bad.push(forged(at, value));
        }
        for text in bad {
            assert_eq!(states(text.as_bytes()), [TargetState::unreadable()], "{text}");
        }
        assert_eq!(states(b"\xff\n"), [TargetState::unreadable()]);
    }
}
