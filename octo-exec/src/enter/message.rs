//! What `octo-exec enter` reads: fields, each with a NUL behind it, as argv and environ
//! can hold none. How many come is said before them: what is cut short is nothing.
//!
//! `octo-enter/1`, uid, gid, groups with blanks between them, `no-new-privileges` or
//! `privileges`, the number of words, the number of variables, the words, the variables.
//! The first word is the directory to be in, the second the file to read as standard input,
//! those behind them are what to run there.

use super::identity::Identity;
use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use zeroize::Zeroizing;

/// More than any kernel takes for arguments and environment.
pub(crate) const LARGEST: usize = 16 << 20;

const VERSION: &str = "octo-enter/1";
const KEPT: &str = "no-new-privileges";
const GAINED: &str = "privileges";

/// What to become and to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) identity: Identity,
    pub(crate) no_new_privileges: bool,
    /// At least one.
    pub(crate) words: Vec<&'a CStr>,
    /// `NAME=VALUE` each.
    pub(crate) variables: Vec<&'a CStr>,
}

/// The message. Of two variables with one name the later counts.
pub(crate) fn encode(
    identity: &Identity,
    no_new_privileges: bool,
    words: &[OsString],
    variables: &[(OsString, OsString)],
) -> Zeroizing<Vec<u8>> {
    // Once each: of two, the C library and a shell don't take the same.
    let variables: BTreeMap<&OsStr, &OsStr> =
        variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())).collect();
    let Identity { uid, gid, groups } = identity;
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    let head = [
        VERSION.to_string(),
        uid.to_string(),
        gid.to_string(),
        groups.join(" "),
        if no_new_privileges { KEPT } else { GAINED }.to_string(),
        words.len().to_string(),
        variables.len().to_string(),
    ];
    let mut pieces: Vec<&[u8]> = Vec::new();
    head.iter().for_each(|field| pieces.extend([field.as_bytes(), b"\0"]));
    words.iter().for_each(|word| pieces.extend([word.as_bytes(), b"\0"]));
    for (name, value) in variables {
        pieces.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"]);
    }
    // In one piece: a buffer that grows leaves what it held behind.
    Zeroizing::new(pieces.concat())
}

/// Reads a message; nothing is copied out of it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Entry<'_>, &'static str> {
    let mut fields = bytes
        .split_inclusive(|byte| *byte == 0)
        .map(|field| CStr::from_bytes_with_nul(field).map_err(|_| "cut short"));
    let mut text = || {
        let field = fields.next().ok_or("cut short")??;
        field.to_str().map_err(|_| "a field of its head is no text")
    };
    if text()? != VERSION {
        return Err("not a message of this version");
    }
    let (uid, gid) = (number(text()?)?, number(text()?)?);
    let groups = text()?.split_ascii_whitespace().map(number).collect::<Result<_, _>>()?;
    let no_new_privileges = match text()? {
        KEPT => true,
        GAINED => false,
        _ => return Err("privileges or not?"),
    };
    let mut count = || text()?.parse::<usize>().map_err(|_| "a count is no number");
    let (words, variables) = (count()?, count()?);
    let rest = fields.collect::<Result<Vec<&CStr>, _>>()?;
    if words == 0 || rest.len().checked_sub(words) != Some(variables) {
        return Err("not as many fields as it says");
    }
    let (words, variables) = rest.split_at(words);
    Ok(Entry {
        identity: Identity { uid, gid, groups },
        no_new_privileges,
        words: words.to_vec(),
        variables: variables.to_vec(),
    })
}

/// Of a user or a group. The highest is none: it would leave us who we are.
fn number(text: &str) -> Result<u32, &'static str> {
    let number = text.parse().ok().filter(|number| *number != u32::MAX);
    number.ok_or("a user or group is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(bytes: &[u8]) -> OsString {
        OsStr::from_bytes(bytes).to_os_string()
    }

    fn identity() -> Identity {
        Identity { uid: 1000, gid: 100, groups: vec![4, 33] }
    }

    fn message() -> Zeroizing<Vec<u8>> {
        let words = [os(b"/bin/sh"), os(b""), os(b"a\n\xff b")];
        let pair = |name: &[u8], value: &[u8]| (os(name), os(value));
        let variables = [pair(b"V", b"old"), pair(b"E", b""), pair(b"V", b"=\xfe=\n")];
        encode(&identity(), true, &words, &variables)
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let message = message();
        let entry = parse(&message).expect("of the form");
        assert_eq!(entry.identity, identity());
        assert!(entry.no_new_privileges);
        assert_eq!(entry.words, [c"/bin/sh", c"", c"a\n\xff b"]);
        assert_eq!(entry.variables, [c"E=", c"V==\xfe=\n"]);
        let alone = Identity { uid: 0, gid: 0, groups: Vec::new() };
        let least = encode(&alone, false, &[os(b"/x")], &[]);
        let entry = parse(&least).expect("of the form");
        assert_eq!((entry.identity, entry.no_new_privileges), (alone, false));
        assert_eq!((entry.words.len(), entry.variables.len()), (1, 0));
    }

    #[test]
    fn cut_at_any_byte_or_with_one_more_it_is_nothing() {
        let mut message = message();
        for length in 0..message.len() {
            assert!(parse(&message[..length]).is_err(), "{length}");
        }
        message.push(0);
        assert!(parse(&message).is_err());
    }

    /// A NUL in a word can't shift what stands behind it.
    #[test]
    fn a_nul_in_a_word_is_nothing() {
        for words in [&[os(b"/bin/sh"), os(b"a\0b")][..], &[os(b"\0/bin/sh")], &[os(b"/x\0")]] {
            assert!(parse(&encode(&identity(), true, words, &[])).is_err(), "{words:?}");
        }
    }

    #[test]
    fn another_form_is_refused() {
        // A NUL is a bar here.
        let good = "octo-enter/1|1|2|3 4|privileges|1|1|/x|A=|";
        assert!(parse(good.replace('|', "\0").as_bytes()).is_ok());
        for (from, to) in [
            ("octo-enter/1", "octo-enter/2"),
            ("|1|2|", "|4294967295|2|"),
            ("|1|2|", "|1|4294967295|"),
            ("|1|2|", "|-1|2|"),
            ("|1|2|", "||2|"),
            ("3 4", "3 x"),
            ("3 4", "3 4294967295"),
            ("privileges", "root"),
            ("|1|1|/x", "|0|2|/x"),
            ("|1|1|/x", "|18446744073709551615|3|/x"),
            ("|1|1|/x", "|-1|3|/x"),
            ("A=|", ""),
        ] {
            let wrong = good.replacen(from, to, 1);
            assert_ne!(wrong, good);
            assert!(parse(wrong.replace('|', "\0").as_bytes()).is_err(), "{wrong:?}");
        }
        assert!(parse(b"").is_err() && parse(b"\0").is_err() && parse(b"hello\n").is_err());
    }
}
