//! Lines that are seen to be sound without taking them apart: of the thousands of a trust
//! file each process asks for those of one pusher.

use crate::base::names::PusherName;
use crate::base::thumbprint::Thumbprint;
use std::io::BufRead;

/// The longest line, in bytes.
pub(super) const LONGEST: usize = 64 << 10;

/// The first line, and what is behind its end.
pub(super) fn first_line(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut behind = text;
    // A byte at a time would take longer than all else.
    let length = behind.skip_until(b'\n').unwrap_or_default();
    match text[..length].strip_suffix(b"\n") {
        Some(line) => (line, Some(behind)),
        None => (text, None),
    }
}

/// A line that is sound at a glance but for its options: digits, a blank, and a name that is
/// too short for a thumbprint.
pub(super) struct Plain<'a> {
    pub(super) digits: &'a str,
    /// With the blank in front. What is sound behind one name is sound behind each.
    pub(super) options: &'a [u8],
}

impl Plain<'_> {
    pub(super) fn of(line: &[u8]) -> Option<Plain<'_>> {
        let (digits, rest) = line.split_at_checked(Thumbprint::DIGITS)?;
        let rest = rest.strip_prefix(b" ").filter(|_| line.len() <= LONGEST)?;
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let (name, options) = rest.split_at(end);
        let name = std::str::from_utf8(name).ok().filter(|name| name.len() < digits.len())?;
        // No way out in between: many bytes are looked at in one step.
        let is_digit = |byte: &u8| (byte.wrapping_sub(b'0') < 10) | (byte.wrapping_sub(b'a') < 6);
        let are_digits = digits.iter().fold(true, |all, byte| all & is_digit(byte));
        let digits = std::str::from_utf8(digits).ok()?;
        (are_digits && PusherName::is_form(name)).then_some(Plain { digits, options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::problem::ENOUGH;
    use crate::trust::Trust;
    use std::path::Path;

    fn print(seed: &str) -> String {
        Thumbprint::of_certificate(seed.as_bytes()).to_string()
    }

    /// Whatever is seen at a glance, nothing is let through that a look at each word refuses.
    #[test]
    fn whose_lines_are_asked_for_changes_nothing_for_others() {
        let own = Thumbprint::of_certificate(b"own");
        let (a, name) = (print("a"), "n".repeat(63));
        let ways = ["", "\r", " ", " sudo", " from=10.0.0.1/8", "\u{200b}", "\0", "\t", "\"", " x"];
        let mut texts: Vec<String> = ways.iter().map(|way| format!("{a} ci{way}")).collect();
        texts.extend([
            format!("{} ci", a.to_uppercase()),
            format!("{a}  ci"),
            format!("{a}\tci"),
            format!("{a} {name}"),
            format!("{a} {name}x"),
            format!("{a} {name}xx"),
            format!("{a} {a}"),
            format!("{a} -ci"),
            format!("{a} "),
            format!("{}g ci", &a[1..]),
            format!("{}{} ci", &a[..31], '\u{e9}'),
            format!("{}\n ci", &a[..40]),
            format!("{own} ci"),
            format!("{a} {own} ci"),
            a[..63].to_string(),
            "#".repeat(80),
        ]);
        for text in &texts {
            for text in [format!("{text}\n"), text.clone(), format!("{own} me\n{text}\n{a} ci\n")] {
                let all = Trust::parse(Path::new("t"), text.as_bytes());
                let ours = Trust::parse_of(Path::new("t"), text.as_bytes(), Some(own));
                let all = all.map(|all| all.of(own).cloned().collect::<Vec<_>>());
                assert_eq!(ours.map(|ours| ours.lines.to_vec()), all, "{text:?}");
            }
        }
        // Options that were sound behind one name are so behind each, and not behind none.
        let long = format!("sudo{}", " ".repeat(LONGEST - 75));
        for (options, is_sound) in [
            ("sudo user=app set=A=\"b c\"", [true; 4]),
            ("sudo sudo", [false; 4]),
            (&long, [true, false, true, true]),
        ] {
            let before = format!("{own} me\n{a} ci {options}\n");
            let names = ["other", "longer-than-ci", "-x", "x\u{200b}"];
            for (name, sound) in names.into_iter().zip(is_sound) {
                let text = format!("{before}{} {name} {options}\n", print("b"));
                let all = Trust::parse(Path::new("t"), text.as_bytes()).map(|_| ());
                let ours = Trust::parse_of(Path::new("t"), text.as_bytes(), Some(own));
                let is_name = PusherName::parse(name).is_some();
                assert_eq!(all.is_ok(), is_name && sound, "{name}: {all:?}");
                assert_eq!(ours.map(|ours| assert_eq!(ours.lines.len(), 1)), all, "{name}");
            }
        }
        let noise = "x y\n".repeat(100_000);
        let problems = Trust::parse_of(Path::new("t"), noise.as_bytes(), Some(own));
        assert_eq!(problems.expect_err("unsound").len(), ENOUGH);
    }
}
