//! DER, as far as certificates need it: one element after another.
//!
//! Whatever is cut short, runs over the element around it, or isn't the one
//! canonical encoding, reads as `None`. Nothing here recurses or allocates by
//! a length that a file states.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// A tag and the contents behind it.
pub(crate) type Element<'a> = (u8, &'a [u8]);

/// The elements that are left to read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// The next element.
    pub(crate) fn element(&mut self) -> Option<Element<'a>> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        // A tag of several bytes: no certificate has one.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = if first & 0x80 == 0 {
            (usize::from(*first), rest)
        } else {
            long_length(usize::from(first & 0x7f), rest)?
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, contents))
    }

    /// The contents of the next element; nothing is read where its tag is another.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let (_, contents) = ahead.element().filter(|(found, _)| *found == tag)?;
        *self = ahead;
        Some(contents)
    }

    /// As [`Reader::take`], to read on in the contents.
    pub(crate) fn inside(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.take(tag).map(Reader)
    }

    /// As [`Reader::take`], with the tag and the length before the contents.
    pub(crate) fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        self.take(tag)?;
        Some(&before[..before.len() - self.0.len()])
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// `None` where something is left.
    pub(crate) fn end(self) -> Option<()> {
        self.is_empty().then_some(())
    }
}

/// A length of so many bytes, and what follows it. Four bytes would be 16 MiB
/// and more, and none (BER's "until its end is marked") isn't DER.
fn long_length(count: usize, rest: &[u8]) -> Option<(usize, &[u8])> {
    if !(1..=3).contains(&count) {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
    let shorter = if count == 1 { length < 0x80 } else { digits[0] == 0 };
    (!shorter).then_some((length, rest))
}

/// The bytes of a bit string's contents: keys and signatures are whole bytes.
pub(crate) fn whole_bytes(bits: &[u8]) -> Option<&[u8]> {
    bits.strip_prefix(&[0])
}

/// An object identifier's contents as text: `1.3.101.112`.
pub(crate) fn dotted(identifier: &[u8]) -> Option<String> {
    let is_last = |byte: &u8| byte & 0x80 == 0;
    identifier.last().filter(|byte| is_last(byte))?;
    let mut text = String::new();
    for digits in identifier.split_inclusive(is_last) {
        if digits[0] == 0x80 {
            return None;
        }
        let mut number = 0_u128;
        for digit in digits {
            number = number.checked_mul(0x80)? | u128::from(digit & 0x7f);
        }
        if text.is_empty() {
            // The first two numbers are one: 40 * 1 + 3 is 1.3.
            let first = (number / 40).min(2);
            text = format!("{first}.{}", number - 40 * first);
        } else {
            text.push_str(&format!(".{number}"));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_follow_one_another() {
        let mut reader = Reader::new(&[0x30, 3, 2, 1, 7, 5, 0]);
        assert_eq!(reader.take(SET), None);
        assert_eq!(reader.whole(SEQUENCE), Some(&[0x30, 3, 2, 1, 7][..]));
        assert_eq!(reader.element(), Some((5, &[][..])));
        assert!(reader.is_empty() && reader.element().is_none());
        let long = [&[4, 0x82, 1, 0][..], &[9; 256], &[4, 0x81, 0x80], &[8; 128]].concat();
        let mut reader = Reader::new(&long);
        assert_eq!(reader.take(OCTET_STRING), Some(&[9; 256][..]));
        assert_eq!(reader.take(OCTET_STRING), Some(&[8; 128][..]));
        assert!(reader.end().is_some());
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for wrong in [
            &[][..],
            &[4],
            &[4, 1],                               // cut short
            &[4, 0x80, 0, 0],                      // of no stated length
            &[4, 0x81, 1, 0],                      // one byte would do for the length
            &[4, 0x81, 0x7f, 0],                   // likewise
            &[4, 0x82, 0, 0x80, 0],                // a leading zero
            &[4, 0x84, 0, 0, 0, 1, 0],             // four bytes
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff, 0], // more than there will ever be
            &[4, 0xff, 0xff],
            &[0x1f, 0x81, 1, 0], // a long tag
        ] {
            assert_eq!(Reader::new(wrong).element(), None, "{wrong:?}");
        }
    }

    #[test]
    fn identifiers_as_text() {
        for (bytes, text) in [
            (&[0x2b, 0x65, 0x70][..], Some("1.3.101.112")),
            (&[0x55, 4, 3], Some("2.5.4.3")),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], Some("1.2.840.113549.1.1.1")),
            (&[0x88, 0x37], Some("2.999")),
            (&[0], Some("0.0")),
            (&[], None),
            (&[0x2b, 0x80], None),       // cut short
            (&[0x2b, 0x80, 0x01], None), // a leading zero
        ] {
            assert_eq!(dotted(bytes).as_deref(), text, "{bytes:x?}");
        }
        let mut largest = [0xff; 19];
        largest[18] = 0x7f;
        assert_eq!(dotted(&largest), None, "a number past 128 bits");
    }
}
