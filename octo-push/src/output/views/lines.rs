//! Whole lines out of pieces.

/// A line longer than this is shown in pieces: a gigabyte without a newline
/// must not be held.
const LONGEST: usize = 64 * 1024;

/// Cuts one stream into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// `each` gets every line that is whole now, without its newline.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            if self.partial.is_empty() {
                each(&bytes[..end]);
            } else {
                self.partial.extend_from_slice(&bytes[..end]);
                each(&self.partial);
                self.partial.clear();
            }
            bytes = &bytes[end + 1..];
        }
        while self.partial.len() + bytes.len() > LONGEST {
            let (now, later) = bytes.split_at(LONGEST - self.partial.len());
            self.partial.extend_from_slice(now);
            each(&self.partial);
            self.partial.clear();
            bytes = later;
        }
        self.partial.extend_from_slice(bytes);
    }

    /// A last line that has no newline.
    pub(crate) fn finish(&mut self, each: impl FnOnce(&[u8])) {
        if !self.partial.is_empty() {
            each(&std::mem::take(&mut self.partial));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for piece in pieces {
            lines.feed(piece, |line| all.push(line.to_vec()));
        }
        lines.finish(|line| all.push(line.to_vec()));
        all
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        assert_eq!(lines(&[b"a", b"b\n\nc", b"\n"]), [&b"ab"[..], b"", b"c"]);
        assert_eq!(lines(&[b"a\nb"]), [b"a", b"b"]);
        assert_eq!(lines(&[b""]), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let long = vec![b'x'; 3 * LONGEST + 5];
        let all = lines(&[&long]);
        assert_eq!(all.len(), 4);
        assert_eq!(all.concat(), long);
    }
}
