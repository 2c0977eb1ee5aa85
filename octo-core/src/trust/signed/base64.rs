//! Base64 of RFC 4648, in its one spelling: what is decoded encodes to the same text.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The bytes of a text; `None` where it is not their one spelling.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let groups = text.as_bytes().chunks(4);
    let last = groups.len().checked_sub(1);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for (index, group) in groups.enumerate() {
        let filled = group.iter().rev().take_while(|letter| **letter == b'=').count();
        if group.len() < 4 || filled > 2 || (filled > 0 && Some(index) != last) {
            return None;
        }
        let mut bits = 0;
        for letter in &group[..4 - filled] {
            let value = LETTERS.iter().position(|other| other == letter)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bits <<= 6 * filled;
        let [_, all @ ..] = bits.to_be_bytes();
        let (kept, left) = all.split_at(3 - filled);
        // Bits that no byte gets would be a second spelling.
        if left.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_and_no_other() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
        }
        for text in [
            "Z", "Zg", "Zg=", "Zg===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\n", "Zm9-",
            "Z=9v", "é9v",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
