//! Whose a line is: its first two columns, which can be read before anything else
//! of it is judged.

use crate::base::encoding::printable;
use crate::base::names::PusherName;
use crate::base::thumbprint::Thumbprint;
use std::borrow::Cow;

/// The columns of a line that say whose it is.
pub(super) struct Columns<'a> {
    pub(super) thumbprint: Result<Thumbprint, String>,
    pub(super) name: Result<PusherName, String>,
    pub(super) rest: &'a [&'a str],
}

impl<'a> Columns<'a> {
    /// The columns of these words; `None` without words.
    pub(super) fn of(words: &'a [&'a str]) -> Option<Columns<'a>> {
        let (first, rest) = words.split_first()?;
        // As openssl prints it: "sha256 Fingerprint=9F:86:…".
        let (thumbprint, rest) = match rest.split_first() {
            Some((second, rest)) if is_label(first) => (format!("{first} {second}").into(), rest),
            _ => (Cow::Borrowed(*first), rest),
        };
        let (name, rest) = match rest.split_first() {
            Some((name, rest)) => (parse_name(name), rest),
            None => (Err("a name is missing behind the thumbprint".into()), rest),
        };
        let thumbprint = match thumbprint.starts_with('#') {
            true => Err("a comment starts at the start of its line".into()),
            false => Thumbprint::parse(&thumbprint),
        };
        Some(Columns { thumbprint, name, rest })
    }
}

fn is_label(word: &str) -> bool {
    ["sha256", "sha-256"].iter().any(|label| word.eq_ignore_ascii_case(label))
}

/// A pusher's name, as it stands in the second column.
fn parse_name(text: &str) -> Result<PusherName, String> {
    let shown = || printable(text.as_bytes());
    let name = PusherName::parse(text)
        .ok_or_else(|| format!("'{}' is not a pusher's name ({})", shown(), PusherName::FORM))?;
    // Else `distrust` could not tell what is meant.
    if text.len() >= Thumbprint::DIGITS && Thumbprint::parse(text).is_ok() {
        return Err(format!("'{}' is a thumbprint, where the pusher's name belongs", shown()));
    }
    Ok(name)
}
