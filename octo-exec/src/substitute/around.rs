//! What stands beside a value: an end may be made of both.

use super::template::find;

/// No end that counts is longer than this, and one more.
const MOST: usize = 2;

/// A few bytes beside the place of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    before: &'a [u8],
    after: &'a [u8],
}

impl<'a> Around<'a> {
    pub(super) fn new(before: &'a [u8], after: &'a [u8]) -> Around<'a> {
        let before = &before[before.len().saturating_sub(MOST)..];
        Around { before, after: &after[..after.len().min(MOST)] }
    }

    /// Would this value make such an end, by itself or with what is beside it? Before it
    /// only so many bytes count.
    pub(super) fn makes(&self, since: usize, value: &str, end: &[u8]) -> bool {
        let most = end.len() - 1;
        let before = &self.before[self.before.len().saturating_sub(most.min(since))..];
        let after = &self.after[..self.after.len().min(most)];
        // By itself first: a large value need not be copied for that.
        if find(value.as_bytes(), end).is_some() {
            return true;
        }
        let value = value.as_bytes();
        let head = &value[..value.len().min(most)];
        let tail = &value[value.len().saturating_sub(most)..];
        let short = || find(&[before, value, after].concat(), end).is_some();
        match value.len() <= most {
            true => short(),
            false => {
                find(&[before, head].concat(), end).is_some()
                    || find(&[tail, after].concat(), end).is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_may_be_made_of_both() {
        let makes = |before: &str, value: &str, after: &str, end: &str| {
            let around = Around::new(before.as_bytes(), after.as_bytes());
            around.makes(before.len(), value, end.as_bytes())
        };
        for (before, value, after) in [
            ("", "a]]>b", ""),
            ("a]]", ">b", ""),
            ("]", "]>", ""),
            ("", "a]", "]>"),
            ("", "a]]", ">b"),
            ("]", "]", ">"),
            ("]", "", "]>"),
        ] {
            assert!(makes(before, value, after, "]]>"), "{before}:{value}:{after}");
        }
        for (before, value, after) in [
            ("", "[1]", "]]>"),
            ("]", "a", "]>"),
            ("]]", "x", ">"),
            ("", "", "]]>"),
            ("", "]]", "x"),
        ] {
            assert!(!makes(before, value, after, "]]>"), "{before}:{value}:{after}");
        }
        // What began the comment is no part of its end.
        let around = Around::new(b"<!--", b"-->");
        assert!(!around.makes(0, "", b"--") && around.makes(0, "a-", b"--"));
    }
}
