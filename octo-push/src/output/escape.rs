//! A peer's bytes on their way to a terminal: text stays, control sequences
//! become visible escapes.

use octo_core::base::encoding::printable;

/// Escapes one stream, piece by piece.
///
/// Newline, tab, carriage return and printable UTF-8 pass. A letter that was
/// split between two pieces is put together again.
#[derive(Debug, Default)]
pub(crate) struct Escaper {
    /// The first bytes of a letter whose rest has not come yet: at most three.
    partial: Vec<u8>,
}

impl Escaper {
    /// What the terminal is shown for these bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> String {
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        let end = whole.len() - unfinished(&whole);
        self.partial = whole.split_off(end);
        visible(&whole)
    }

    /// What is left at the end of the stream.
    pub(crate) fn finish(&mut self) -> String {
        visible(&std::mem::take(&mut self.partial))
    }
}

/// Bytes made visible, but for newlines, tabs and carriage returns.
pub(crate) fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for piece in bytes.split_inclusive(|b| matches!(b, b'\n' | b'\t' | b'\r')) {
        match piece.split_last() {
            Some((control @ (b'\n' | b'\t' | b'\r'), rest)) => {
                text.push_str(&printable(rest));
                text.push(char::from(*control));
            }
            _ => text.push_str(&printable(piece)),
        }
    }
    text
}

/// How many bytes at the end begin a UTF-8 letter without ending it.
pub(crate) fn unfinished(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    match std::str::from_utf8(tail) {
        Ok(_) => 0,
        Err(_) => (1..=tail.len())
            .find(|length| {
                let last = &tail[tail.len() - length..];
                matches!(std::str::from_utf8(last), Err(e) if e.valid_up_to() == 0 && e.error_len().is_none())
            })
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_between_pieces_does_not_show() {
        let bytes = "añ€😀\t\x1b[31m\r\n\u{9b}x".as_bytes();
        let expected = "añ€😀\t\\x1b[31m\r\n\\u{9b}x";
        for cut in 0..=bytes.len() {
            let mut escaper = Escaper::default();
            let mut text = escaper.feed(&bytes[..cut]);
            text.push_str(&escaper.feed(&bytes[cut..]));
            text.push_str(&escaper.finish());
            assert_eq!(text, expected, "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        let mut escaper = Escaper::default();
        assert_eq!(escaper.feed(b"\xff\x9b1m\xe2\x82"), "\\xff\\x9b1m");
        assert_eq!(escaper.feed(b"x"), "\\xe2\\x82x");
        assert_eq!(escaper.feed(b"\xf0\x9f"), "");
        assert_eq!(escaper.finish(), "\\xf0\\x9f");
    }
}
