//! Whose a line is, sound or not. Who is to lose trust loses it at once, not when
//! somebody has mended the line: of a faulty one all counts that could be meant.

use super::parse;
use crate::base::names::PusherName;
use crate::base::thumbprint::Thumbprint;
use crate::trust::TrustOption;

/// Whose a line is.
#[derive(Debug)]
pub(in crate::trust) enum Owner {
    /// It names nobody: a comment, or empty.
    Nobody,
    /// It is sound.
    Pusher(Thumbprint, PusherName),
    /// It is faulty, and this is its text.
    Faulty(String),
}

impl Owner {
    /// Whose this line is; a line end behind it is no part of it.
    pub(in crate::trust) fn of(bytes: &[u8]) -> Owner {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        match parse::line(1, bytes) {
            Ok(None) => Owner::Nobody,
            Ok(Some(line)) => Owner::Pusher(line.thumbprint, line.name),
            Err(_) if bytes.trim_ascii().starts_with(b"#") => Owner::Nobody,
            Err(_) => Owner::Faulty(String::from_utf8_lossy(bytes).into_owned()),
        }
    }

    /// Is it a line of this key? Of a faulty one: do its digits stand there, with
    /// whatever between them?
    pub(in crate::trust) fn has_key(&self, thumbprint: &Thumbprint) -> bool {
        match self {
            Owner::Nobody => false,
            Owner::Pusher(own, _) => own == thumbprint,
            Owner::Faulty(text) => {
                let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
                plain.to_ascii_lowercase().contains(&thumbprint.to_string())
            }
        }
    }

    /// Is it a line of this name? Of a faulty one: does the name stand there, and not
    /// as the value of an option?
    pub(in crate::trust) fn has_name(&self, name: &PusherName) -> bool {
        match self {
            Owner::Nobody => false,
            Owner::Pusher(_, own) => own == name,
            // What can't be seen may have been meant to part two words, or nothing.
            Owner::Faulty(text) => {
                let is_shown = |letter: char| letter == ' ' || letter.is_ascii_graphic();
                let apart: String =
                    text.chars().map(|c| if is_shown(c) { c } else { ' ' }).collect();
                let together: String = text
                    .chars()
                    .map(|c| if c.is_whitespace() { ' ' } else { c })
                    .filter(|c| is_shown(*c))
                    .collect();
                [apart, together].iter().any(|text| names(text).any(|word| word == name.as_str()))
            }
        }
    }
}

/// The words of a faulty line that may be its pusher's name.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_option = |word: &str| {
        let key = word.split('=').next().unwrap_or(word);
        TrustOption::all().any(|row| row.key == key)
    };
    let in_names = |letter: char| letter.is_ascii_alphanumeric() || "._@-".contains(letter);
    text.split(' ')
        .filter(move |word| !is_option(word))
        .flat_map(move |word| word.split(move |letter| !in_names(letter)))
        .flat_map(without_digits)
}

/// A word, and what is left of it without a thumbprint that is glued to it.
fn without_digits(word: &str) -> impl Iterator<Item = &str> {
    let is_thumbprint = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    let before =
        word.len().checked_sub(Thumbprint::DIGITS).and_then(|at| word.split_at_checked(at));
    let behind = word.split_at_checked(Thumbprint::DIGITS);
    let before = before.filter(|(_, digits)| is_thumbprint(digits)).map(|(rest, _)| rest);
    let behind = behind.filter(|(digits, _)| is_thumbprint(digits)).map(|(_, rest)| rest);
    [Some(word), before, behind].into_iter().flatten()
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
            // As Windows' certificate dialog shows it, and in two halves.
            &format!("{} ci", pairs.join(" ")),
            &format!("{} {} ci", &hex[..32], &hex[32..]),
            &format!("SHA256 Fingerprint = {colons} ci"),
            &format!("{hex},ci"),
            &format!("{hex}:ci sudo"),
            &format!("SHA256:{hex}:ci"),
            &format!("{hex}ci"),
            &format!("{hex}a ci"),
            &format!("\u{1b}[31m{hex}\u{1b}[0m ci"),
            &format!("user=app from=10.0.0.0/8 sudo {hex} ci"),
            &format!("'{hex} ci'"),
            &format!("<{hex}> <ci>"),
            &format!("{hex} name=ci"),
            &format!("{hex} user=app ci"),
            &format!("{hex} ci#foo"),
            &format!("{hex} ci\u{fe0f} oops"),
            &format!("{hex} c\u{3164}i"),
            // A line feed was lost.
            &format!("{} bob{hex} ci", print("b")),
            &format!("{} bob sudo\u{2028}{hex} ci", print("b")),
            &long,
        ] {
            let owner = Owner::of(line.as_bytes());
            assert!(owner.has_key(&print("a")), "{line:?}");
            assert!(owner.has_name(&ci), "{line:?}: {owner:?}");
        }
    }

    #[test]
    fn anothers_line_and_a_comment_are_never_this_pushers() {
        let hex = print("a");
        let ci = PusherName::parse("ci").expect("a name");
        for line in [
            format!("# {hex} ci"),
            format!("  # {hex} ci"),
            format!("{} cii", print("b")),
            format!("{} bob user=ci oops", print("b")),
            format!("{} bob set=A=ci set=A=ci", print("b")),
            String::new(),
        ] {
            let owner = Owner::of(line.as_bytes());
            assert!(!owner.has_key(&print("a")), "{line}");
            assert!(!owner.has_name(&ci), "{line}");
        }
    }
}
