//! Sensitive values are masked in the output, also when a script writes one in
//! pieces. Values shorter than [`SHORTEST`] are not: they would blot out words.

use zeroize::Zeroizing;

/// The shortest value that is masked, in bytes.
pub(crate) const SHORTEST: usize = 6;

const MASK: &[u8] = b"********";

/// Masks one stream.
#[derive(Debug, Default)]
pub(crate) struct Masker {
    values: Vec<Zeroizing<Vec<u8>>>,
    /// The end of what came so far, which may be the beginning of a value.
    held: Vec<u8>,
}

impl Masker {
    /// Masks these values; the longest first, so that one inside another is no leak.
    pub(crate) fn new<'a>(values: impl Iterator<Item = &'a [u8]>) -> Masker {
        let long = values.filter(|value| value.len() >= SHORTEST);
        let mut values: Vec<_> = long.map(|value| Zeroizing::new(value.to_vec())).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Masker { values, held: Vec::new() }
    }

    /// What of the output so far may be shown.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.values.is_empty() {
            return bytes.to_vec();
        }
        self.held.extend_from_slice(bytes);
        self.drain(false)
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
            // A value may begin here and go on in what is still to come; a
            // shorter value that is whole must then wait for the longer one.
            if !at_end && self.values.iter().any(|v| v.len() > rest.len() && v.starts_with(rest)) {
                break;
            }
            match self.values.iter().find(|value| rest.starts_with(value)) {
                Some(value) => {
                    shown.extend_from_slice(MASK);
                    at += value.len();
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(values: &[&str], output: &str, piece: usize) -> String {
        let mut masker = Masker::new(values.iter().map(|v| v.as_bytes()));
        let mut shown = Vec::new();
        for bytes in output.as_bytes().chunks(piece) {
            shown.extend(masker.pass(bytes));
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
    fn short_values_and_plain_output_pass_at_once() {
        assert_eq!(masked(&["abc"], "abc abc", 2), "abc abc");
        let mut masker = Masker::new([&b"secret"[..]].into_iter());
        assert_eq!(masker.pass(b"prompt: "), b"prompt: ");
    }
}
