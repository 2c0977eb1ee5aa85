//! A job's standard input: read here, bounded, shown to who approves it.

use super::{SpecError, limit};
use crate::base::cli::standard_input;
use crate::base::encoding::printable;
use crate::base::error::{Error, Result};
use crate::base::paths::read_bounded;
use std::fs::File;
use std::path::Path;

/// The largest standard input of a job, in bytes; what is larger is a package.
pub const MAXIMUM: u64 = 16 << 20;

/// A standard input of so many bytes at most is shown to who approves it.
const SHOWN: usize = 4096;

/// A job's standard input as people read it, if it is a short text.
pub fn shown(bytes: &[u8]) -> Vec<String> {
    let is_text = std::str::from_utf8(bytes)
        .is_ok_and(|text| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')));
    if bytes.is_empty() {
        return vec!["the standard input is empty".into()];
    }
    if !is_text || bytes.len() > SHOWN {
        return vec!["the standard input is no short text, and not shown".into()];
    }
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| {
        let words = line.split(|byte| *byte == b'\t').map(printable);
        format!("  {}", words.collect::<Vec<_>>().join("\t"))
    });
    std::iter::once("the standard input:".to_string()).chain(lines).collect()
}

/// All of a file, which may be a pipe, or of our own; once.
///
/// # Errors
/// Exit 65 and its kin, for one that is missing or too large.
pub(super) fn read(path: &str) -> Result<Vec<u8>> {
    if path == "-" {
        let place = Path::new("standard input");
        return read_bounded(&mut standard_input()?, place, MAXIMUM);
    }
    let path = Path::new(path);
    let mut file = File::open(path).map_err(|error| Error::io(path, &error))?;
    read_bounded(&mut file, path, MAXIMUM).map_err(|error| match path.is_dir() {
        true => error,
        false => error.hint("what is larger is a package: -p FILE, and <\"$OCTO_PACKAGE\""),
    })
}

/// No job is given more.
pub(super) fn check(length: u64) -> std::result::Result<(), SpecError> {
    match length > MAXIMUM {
        true => Err(limit(format!("stdin: {length} bytes, {MAXIMUM} at most"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;
    use crate::base::refusal::Refusal;
    use crate::tentacle::spec::Spec;

    #[test]
    fn a_standard_input_is_said_once_and_bounded() {
        let digest = Digest::of(b"x");
        for (text, refusal, said) in [
            (format!("command a\nstdin {digest}\n"), Refusal::Malformed, "stdin takes 2 fields"),
            (format!("command a\nstdin {digest} -1\n"), Refusal::Malformed, "not a length"),
            (
                format!("command a\nstdin {digest} 1\nstdin {digest} 1\n"),
                Refusal::Malformed,
                "line 3: said twice",
            ),
            (
                format!("command a\nstdin {digest} {}\n", MAXIMUM + 1),
                Refusal::Limit,
                "16777217 bytes, 16777216 at most",
            ),
            (format!("thaw shop\nstdin {digest} 1\n"), Refusal::Malformed, "thaw stands alone"),
        ] {
            let error = Spec::parse(text.as_bytes()).expect_err(&text);
            assert_eq!(error.refusal, refusal, "{}", error.reason);
            assert!(error.reason.contains(said), "{}", error.reason);
        }
        let most = format!("command a\nstdin {digest} {MAXIMUM}\n");
        Spec::parse(most.as_bytes()).expect("as much as there may be");
    }

    #[test]
    fn only_a_short_text_is_shown_and_nothing_of_it_drives_a_terminal() {
        assert_eq!(shown(b""), ["the standard input is empty"]);
        assert_eq!(shown(b"a\tb\n\n\\t"), ["the standard input:", "  a\tb", "  ", "  \\t"]);
        for odd in [&b"\x1b[1m"[..], b"\xff", b"a\rb", b"\0", &[b'x'; 4097]] {
            assert_eq!(shown(odd), ["the standard input is no short text, and not shown"]);
        }
    }
}
