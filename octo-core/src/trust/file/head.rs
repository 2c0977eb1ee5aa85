//! Whose a line is: its first two columns, which can be read before anything else
//! of it is judged, and of a faulty line too. Who is to lose trust loses it at
//! once, not when somebody has mended the line.

use crate::base::encoding::{is_invisible, printable};
use crate::base::names::PusherName;
use crate::base::thumbprint::Thumbprint;

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
            Some((second, rest)) if is_label(first) => (format!("{first} {second}"), rest),
            _ => (first.to_string(), rest),
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

/// Whose line it is, as far as it can be read.
#[derive(Debug, Default)]
pub(in crate::trust) struct Owner {
    pub(in crate::trust) thumbprint: Option<Thumbprint>,
    /// The pusher's name; two where either could be it.
    pub(in crate::trust) names: Vec<PusherName>,
}

impl Owner {
    /// Whose line it is, sound or not: what it will say once somebody has mended it.
    pub(in crate::trust) fn of(bytes: &[u8]) -> Owner {
        let text = String::from_utf8_lossy(bytes);
        let mended: String = text.chars().filter_map(mended).collect();
        let words: Vec<&str> = mended.split(' ').filter(|word| !word.is_empty()).collect();
        let Some(columns) = Columns::of(&words) else { return Owner::default() };
        if words[0].starts_with('#') {
            return Owner::default();
        }
        let name = columns.name.ok();
        // Colons in wrong places, a blank behind the label, the columns exchanged.
        let column = words.iter().take(3).position(|word| digits(word).is_some());
        let (Err(_), Some(column)) = (&columns.thumbprint, column) else {
            return Owner { thumbprint: columns.thumbprint.ok(), names: Vec::from_iter(name) };
        };
        let around = words[..column].iter().chain(words.get(column + 1));
        let names = around.filter(|word| !is_label(word)).filter_map(|word| parse_name(word).ok());
        Owner { thumbprint: digits(words[column]), names: names.collect() }
    }
}

/// Blanks are blanks; what can't be seen, can't be read or quotes goes.
fn mended(letter: char) -> Option<char> {
    match letter {
        _ if letter.is_whitespace() || letter == char::REPLACEMENT_CHARACTER => Some(' '),
        _ if letter == '"' || is_hidden(letter) => None,
        _ => Some(letter),
    }
}

/// The thumbprint of the last 64 hex digits of a word, whatever is between them.
fn digits(word: &str) -> Option<Thumbprint> {
    let digits: String = word.chars().filter(char::is_ascii_hexdigit).collect();
    Thumbprint::parse(digits.get(digits.len().checked_sub(64)?..)?).ok()
}

pub(super) fn is_hidden(letter: char) -> bool {
    letter.is_control() || is_invisible(letter)
}

/// A pusher's name, as it stands in the second column.
fn parse_name(text: &str) -> Result<PusherName, String> {
    let shown = printable(text.as_bytes());
    let name = PusherName::parse(text)
        .ok_or_else(|| format!("'{shown}' is not a pusher's name ({})", PusherName::FORM))?;
    // Else `distrust` could not tell what is meant.
    if Thumbprint::parse(text).is_ok() {
        return Err(format!("'{shown}' is a thumbprint, where the pusher's name belongs"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(seed: &str) -> Thumbprint {
        Thumbprint::of_certificate(seed.as_bytes())
    }

    /// What the parser would take for a line of this key or name, once somebody has
    /// mended it, goes.
    #[test]
    fn a_faulty_line_is_found_by_key_and_by_name() {
        let hex = print("a").to_string();
        let pairs: Vec<&str> = (0..32).map(|i| &hex[2 * i..2 * i + 2]).collect();
        let colons = pairs.join(":").to_uppercase();
        let ci = PusherName::parse("ci").expect("a name");
        let long = format!("{hex} ci set=A={}", "x".repeat(70_000));
        for line in [
            format!("SHA256 Fingerprint={colons} ci max-jobs=4K").as_str(),
            &format!("sha-256 fingerprint={colons} ci oops"),
            &format!("SHA256 Fingerprint= {colons} ci"),
            &format!("SHA256={hex} ci user=x user=x"),
            &format!("sha256:{hex} ci oops"),
            &format!("\u{feff}{hex} ci"),
            &format!("\u{200e}{hex}\u{200b}\tc\u{ad}i"),
            &format!("{hex}\u{a0}ci"),
            &format!("  {hex} ci user=\"app"),
            &format!("\"{hex} ci\" sudo"),
            &format!("{hex} \"ci\""),
            &format!("\"{hex}\" ci sudo sudo"),
            &format!("{hex} ci # for now"),
            &format!("{hex} ci\0 sudo"),
            &format!("{hex} ci user=a\u{202e}b"),
            &format!("{}:{} ci", &colons[..47], &colons[48..]).replacen(':', "", 1),
            &format!("{hex}, ci"),
            &format!("ci {hex} sudo"),
            &long,
        ] {
            let owner = Owner::of(line.as_bytes());
            assert_eq!(owner.thumbprint, Some(print("a")), "{line:?}");
            assert!(owner.names.contains(&ci), "{line:?}: {owner:?}");
        }
        // Neither of these is ever this pusher's.
        for line in [
            format!("# {hex} ci"),
            format!("  # {hex} ci"),
            format!("{} cii", print("b")),
            String::new(),
        ] {
            let owner = Owner::of(line.as_bytes());
            assert_ne!(owner.thumbprint, Some(print("a")), "{line}");
            assert!(!owner.names.contains(&ci), "{line}");
        }
    }
}
