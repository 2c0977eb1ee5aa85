//! The numbers of tar(5): octal, and base-256 of GNU for what doesn't fit. One that this
//! reads otherwise than GNU tar would be a member of another length.

/// A field of a header that is no negative number; `None` for what is none, or too large.
pub(super) fn whole(field: &[u8]) -> Option<u64> {
    signed(field).and_then(|number| u64::try_from(number).ok())
}

/// As [`whole`], of a time.
pub(super) fn signed(field: &[u8]) -> Option<i64> {
    match field.first()? {
        0x80 | 0xff => base_256(field),
        _ => octal(field),
    }
}

/// Blanks, digits, and blanks or NUL up to the end; nothing at all is 0.
fn octal(field: &[u8]) -> Option<i64> {
    let start = field.iter().position(|b| *b != b' ').unwrap_or(field.len());
    let rest = &field[start..];
    let end = rest.iter().position(|b| matches!(b, b' ' | 0)).unwrap_or(rest.len());
    let (digits, behind) = rest.split_at(end);
    if !behind.iter().all(|b| matches!(b, b' ' | 0)) {
        return None;
    }
    digits.iter().try_fold(0_i64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Two's complement, the highest bit of the first byte apart, which is the mark.
fn base_256(field: &[u8]) -> Option<i64> {
    let (mark, digits) = field.split_first()?;
    let begin = if *mark == 0xff { -1_i64 } else { 0 };
    let number = digits
        .iter()
        .try_fold(begin, |number, digit| number.checked_mul(256)?.checked_add(i64::from(*digit)));
    number.filter(|number| (*number < 0) == (*mark == 0xff))
}

/// Decimal digits and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_plain)?.parse().ok()
}

/// A time of an extended header: seconds, perhaps negative, perhaps with a fraction, of
/// which nine digits count. Seconds, and nanoseconds behind them.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (is_negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let point = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let seconds = i64::try_from(decimal(&text[..point])?).ok()?;
    let fraction = text.get(point + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().map(|digit| u32::from(digit - b'0')).chain([0; 9]);
    let nanoseconds = digits.take(9).fold(0, |number, digit| number * 10 + digit);
    match (is_negative, nanoseconds) {
        (false, _) => Some((seconds, nanoseconds)),
        (true, 0) => Some((-seconds, 0)),
        (true, _) => Some((-seconds - 1, 1_000_000_000 - nanoseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_is_digits_between_blanks() {
        for (field, number) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"  644 \0\0", Some(0o644)),
            (b"00000000017", Some(15)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"\0\0\0\0", Some(0)),
            (b"    ", Some(0)),
            (b"+5\0", None),
            (b"-5\0", None),
            (b"8\0", None),
            (b"5\x005\0", None),
            (b"\x005\0", None),
            (b"5x\0", None),
            ("\u{a0}5\0".as_bytes(), None),
            (b"", None),
        ] {
            assert_eq!(whole(field), number, "{field:?}");
        }
    }

    #[test]
    fn what_is_beyond_sixty_three_bits_is_none() {
        let long = |first: &[u8], last: u8| {
            let mut field = [0; 12];
            field[..first.len()].copy_from_slice(first);
            field[11] = last;
            field
        };
        assert_eq!(whole(&long(&[0x80], 5)), Some(5));
        assert_eq!(whole(&long(&[0x80, 0, 0, 0, 0x7f], 5)), Some((0x7f << 56) + 5));
        // A reader of the last eight bytes takes these for 5.
        assert_eq!(whole(&long(&[0x80, 0, 0, 1], 5)), None);
        assert_eq!(whole(&long(&[0x80, 1], 5)), None);
        assert_eq!(whole(&long(&[0x80, 0, 0, 0, 0x80], 5)), None);
        assert_eq!((whole(&[0xff; 12]), signed(&[0xff; 12])), (None, Some(-1)));
        assert_eq!(signed(&long(&[0xff, 0], 0)), None);
        assert_eq!(whole(&long(&[0x81], 5)), None);
    }

    #[test]
    fn times_have_nine_digits_and_go_back_before_1970() {
        for (text, time_of_it) in [
            ("5", Some((5, 0))),
            ("5.25", Some((5, 250_000_000))),
            ("5.", Some((5, 0))),
            ("5.1234567899", Some((5, 123_456_789))),
            ("-5.25", Some((-6, 750_000_000))),
            ("-5", Some((-5, 0))),
            ("", None),
            (".5", None),
            ("5.x", None),
            ("5e3", None),
            ("--5", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text.as_bytes()), time_of_it, "{text}");
        }
        assert_eq!(decimal(b"12"), Some(12));
        assert_eq!((decimal(b""), decimal(b"+1")), (None, None));
    }
}
