//! The one line encoding: of the wire, of specs, of every record we write.
//!
//! Letters, digits and `-._~/:,+@` stand for themselves, every other byte is
//! `%XX` with capital digits. A value has exactly one encoding; a second
//! spelling of the same bytes is refused, so that what was signed, hashed or
//! compared can't be said in two ways.

/// Does this byte stand for itself?
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/:,+@".contains(&byte)
}

/// The encoding of any bytes; the empty value is the empty string.
pub fn encode(value: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(value.len());
    for &byte in value {
        if is_plain(byte) {
            text.push(byte as char);
        } else {
            text.push('%');
            text.push(DIGITS[usize::from(byte >> 4)] as char);
            text.push(DIGITS[usize::from(byte & 15)] as char);
        }
    }
    text
}

/// The bytes of an encoded value; `None` unless it is the canonical encoding.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if is_plain(byte) {
            value.push(byte);
        } else if byte == b'%' {
            let decoded = capital_digit(*rest.next()?)? << 4 | capital_digit(*rest.next()?)?;
            if is_plain(decoded) {
                return None;
            }
            value.push(decoded);
        } else {
            return None;
        }
    }
    Some(value)
}

/// As [`decode`], for values that must be text.
pub fn decode_text(text: &[u8]) -> Option<String> {
    String::from_utf8(decode(text)?).ok()
}

fn capital_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Is this a word of the protocol: `[a-z][a-z0-9-]*`?
pub fn is_word(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_lowercase)
        && text.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// Bytes of a peer, made safe for a terminal and for one line of a log.
///
/// Printable UTF-8 stays; C0, DEL, C1 (0x9b starts a control sequence on some
/// terminals), line separators, and the marks that reorder or hide text
/// (Trojan Source) are written as escapes; bytes that are not UTF-8 as `\xNN`.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            push_printable(&mut text, letter);
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

fn push_printable(text: &mut String, letter: char) {
    match letter {
        '\n' => text.push_str("\\n"),
        '\t' => text.push_str("\\t"),
        '\r' => text.push_str("\\r"),
        _ if letter.is_ascii_control() => text.push_str(&format!("\\x{:02x}", letter as u32)),
        _ if is_hidden(letter) => {
            text.push_str(&format!("\\u{{{:x}}}", letter as u32));
        }
        _ => text.push(letter),
    }
}

/// Does this letter drive a terminal, or can't it be seen?
pub fn is_hidden(letter: char) -> bool {
    letter.is_control() || is_invisible(letter)
}

/// Marks that change how the text around them is shown, without being seen.
pub(crate) fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_and_has_one_spelling() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(encode(&all).as_bytes()), Some(all));
        for bad in ["%", "%4", "%41", "%2f", "%2D", "a b", "%G0", "a=b", "a\n", "é"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(encode(b"a b=\n\xff"), "a%20b%3D%0A%FF");
        assert_eq!(decode(b""), Some(vec![]));
    }

    #[test]
    fn nothing_that_drives_a_terminal_passes() {
        assert_eq!(printable(b"\x1b[31mred\x07"), "\\x1b[31mred\\x07");
        assert_eq!(printable(b"\x9b31m"), "\\x9b31m");
        assert_eq!(printable("\u{9b}x\u{202e}y é".as_bytes()), "\\u{9b}x\\u{202e}y é");
        assert_eq!(printable(b"a\nb\r"), "a\\nb\\r");
    }

    #[test]
    fn words_are_lower_case() {
        assert!(is_word(b"put") && is_word(b"a-1"));
        assert!(!is_word(b"") && !is_word(b"1a") && !is_word(b"Put") && !is_word(b"a_b"));
    }
}
