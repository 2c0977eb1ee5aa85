//! Sensitive values are masked in the output, also when a script writes one in
//! pieces. Values shorter than [`SHORTEST`] are not: they would blot out words. Of a value
//! of several lines, a key perhaps, each line is masked as well: a script that prints it
//! by lines, indented or joined would else show it.

use std::borrow::Cow;
use zeroize::Zeroizing;

/// The shortest value that is masked, in bytes.
pub(crate) const SHORTEST: usize = 6;

const MASK: &[u8] = b"********";

/// Masks one stream.
#[derive(Debug, Default)]
pub(crate) struct Masker {
    /// In order, so that values which begin alike stand together.
    values: Vec<Masked>,
    /// The end of what came so far, which may be the beginning of a value.
    held: Vec<u8>,
}

#[derive(Debug)]
struct Masked {
    bytes: Zeroizing<Vec<u8>>,
    /// The longest other value that this one begins with.
    shorter: Option<usize>,
}

impl Masker {
    /// Masks these values, however many.
    pub(crate) fn new<'a>(values: impl Iterator<Item = &'a [u8]>) -> Masker {
        let all = values.flat_map(|value| std::iter::once(value).chain(lines(value)));
        let mut long: Vec<&[u8]> = all.filter(|value| value.len() >= SHORTEST).collect();
        long.sort_unstable();
        long.dedup();
        let mut values: Vec<Masked> = Vec::with_capacity(long.len());
        for value in long {
            let mut shorter = values.len().checked_sub(1);
            while let Some(index) = shorter.filter(|i| !value.starts_with(&values[*i].bytes)) {
                shorter = values[index].shorter;
            }
            values.push(Masked { bytes: Zeroizing::new(value.to_vec()), shorter });
        }
        Masker { values, held: Vec::new() }
    }

    /// What of the output so far may be shown.
    pub(crate) fn pass<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.values.is_empty() {
            return Cow::Borrowed(bytes);
        }
        self.held.extend_from_slice(bytes);
        Cow::Owned(self.drain(false))
    }

    /// The rest, at the end of the stream.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.drain(true)
    }

    fn drain(&mut self, at_end: bool) -> Vec<u8> {
        let mut shown = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            // What comes after this in order, and begins with all of it, or doesn't.
            let next = self.values.partition_point(|value| value.bytes.as_slice() <= rest);
            // A value may begin here and go on in what is still to come; a
            // shorter value that is whole must then wait for the longer one.
            if !at_end && self.values.get(next).is_some_and(|value| value.bytes.starts_with(rest)) {
                break;
            }
            match self.longest(next, rest) {
                Some(length) => {
                    shown.extend_from_slice(MASK);
                    at += length;
                }
                None => {
                    shown.push(rest[0]);
                    at += 1;
                }
            }
        }
        self.held.drain(..at);
        shown
    }

    /// The length of the longest value that this begins with, so that one inside
    /// another is no leak. Each such value begins the one before `next`, or is it.
    fn longest(&self, next: usize, rest: &[u8]) -> Option<usize> {
        let mut index = next.checked_sub(1);
        while let Some(value) = index.map(|index| &self.values[index]) {
            if rest.starts_with(&value.bytes) {
                return Some(value.bytes.len());
            }
            index = value.shorter;
        }
        None
    }
}

/// The lines of a value that has several, less the blanks beside them.
fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|_| value.contains(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(values: &[&str], output: &str, piece: usize) -> String {
        let mut masker = Masker::new(values.iter().map(|v| v.as_bytes()));
        let mut shown = Vec::new();
        for bytes in output.as_bytes().chunks(piece) {
            shown.extend_from_slice(&masker.pass(bytes));
        }
        shown.extend(masker.finish());
        String::from_utf8(shown).expect("text")
    }

    #[test]
    fn however_it_is_cut_no_value_shows() {
        for piece in 1..40 {
            let shown =
                masked(&["s3cret-token", "s3cret-"], "a s3cret-token b s3cret-x s3cre", piece);
            assert_eq!(shown, "a ******** b ********x s3cre", "{piece}");
        }
    }

    #[test]
    fn each_line_of_a_value_is_masked_too() {
        let key = "-----BEGIN KEY-----\r\nc2VjcmV0\n  b25lcw==\nQQ==\n-----END KEY-----\n";
        for piece in [1, 7, 1000] {
            let whole = masked(&[key], &format!("a{key}b"), piece);
            assert_eq!(whole, "a********b", "{piece}");
            let joined = key.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            let shown = "******** ******** ******** QQ== ********";
            assert_eq!(masked(&[key], &joined, piece), shown, "{piece}");
        }
        // A single line with blanks beside it is that value, and no shorter one.
        assert_eq!(masked(&["secret  "], "secret ", 100), "secret ");
    }

    #[test]
    fn the_longest_of_values_that_begin_alike_is_masked() {
        let values = ["aaaaaa", "aaaaaab", "aaaaaabcc", "aaaaaac", "aaaaaz"];
        for (output, wanted) in [
            ("aaaaaabcc", "********"),
            ("aaaaaabcd", "********cd"),
            ("aaaaaabd", "********d"),
            ("aaaaaad", "********d"),
            ("aaaaaaca", "********a"),
            ("aaaaay", "aaaaay"),
            ("aaaaaaaaaaaaz", "****************z"),
        ] {
            for piece in 1..10 {
                assert_eq!(masked(&values, output, piece), wanted, "{output} {piece}");
            }
        }
    }

    /// A body of secrets holds 100,000 values: a megabyte of output takes no minutes.
    #[test]
    fn many_values_cost_little() {
        let values: Vec<String> = (0..100_000).map(|n| format!("value-{n:06}")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let output = "value-099999 value-x99999 ".repeat(40_000);
        assert_eq!(masked(&values, &output, 64 * 1024), "******** value-x99999 ".repeat(40_000));
    }

    #[test]
    fn short_values_and_plain_output_pass_at_once() {
        assert_eq!(masked(&["abc"], "abc abc", 2), "abc abc");
        let mut masker = Masker::new([&b"secret"[..]].into_iter());
        assert_eq!(*masker.pass(b"prompt: "), *b"prompt: ");
    }
}
