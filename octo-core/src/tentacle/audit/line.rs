//! One line of the log: `SEQ TIME EVENT key=value… HASH`.
//!
//! HASH is the SHA-256 of the line before's HASH as it stands there, one space,
//! and this line up to its own HASH, without the space between. sha256sum(1)
//! can check it.

use crate::base::digest::{Digest, Hasher};
use crate::base::encoding::{decode, encode, is_word};
use crate::base::error::{Error, Exit, Result};
use crate::base::units::whole;
use std::fmt;

/// The longest line, its LF included. Longer values are cut to fit.
pub(super) const LONGEST: usize = 16 * 1024;

/// The longest value, encoded, of an event with few fields.
const LONGEST_VALUE: usize = 1024;

/// Behind a value that was cut.
const CUT: &str = "...";

/// Hex digits of a hash.
const HEX: usize = 64;

/// A place in the chain: a line's number and hash. Whoever keeps one can tell
/// later whether all up to there is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// The line's number; the first line of a chain has 1.
    pub seq: u64,
    /// The line's hash.
    pub hash: Digest,
}

impl Head {
    /// A head of the form `SEQ:HASH`.
    pub fn parse(text: &str) -> Option<Head> {
        let (seq, hash) = text.split_once(':')?;
        let seq = number(seq)?;
        Some(Head { seq, hash: Digest::parse(hash)? })
    }

    /// What a chain begins from: no line, and a hash of zeros.
    pub(super) fn none() -> Head {
        Head { seq: 0, hash: Digest::from_bytes([0; 32]) }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.seq, self.hash)
    }
}

/// A line's number; there is always room for the next.
fn number(text: &str) -> Option<u64> {
    whole(text).filter(|number| (1..=i64::MAX as u64).contains(number))
}

/// An event and its fields, encoded on one line, whatever bytes are in them.
///
/// # Errors
/// Where a word or a key is none: that is a mistake of the caller's.
pub(super) fn event(event: &str, fields: &[(&str, &str)]) -> Result<String> {
    let odd = |word: &str| Error::new(Exit::Data, "audit", format!("'{word}' is not a word"));
    if !is_word(event.as_bytes()) || event.len() > 64 {
        return Err(odd(event));
    }
    let room = ((LONGEST - 512) / fields.len().max(1)).saturating_sub(64).min(LONGEST_VALUE);
    let mut text = event.to_string();
    for (key, value) in fields {
        if !is_word(key.as_bytes()) || key.len() > 62 {
            return Err(odd(key));
        }
        text.push(' ');
        text.push_str(key);
        text.push('=');
        push_value(&mut text, value.as_bytes(), room);
    }
    if text.len() > LONGEST - 256 {
        return Err(Error::new(Exit::Data, "audit", format!("{event}: too many fields")));
    }
    Ok(text)
}

fn push_value(text: &mut String, value: &[u8], room: usize) {
    // A peer may send megabytes: what won't fit isn't encoded at all.
    let encoded = encode(&value[..value.len().min(room + 1)]);
    if encoded.len() <= room {
        text.push_str(&encoded);
        return;
    }
    let mut end = room.saturating_sub(CUT.len());
    while end > 0 && encoded.as_bytes()[end.saturating_sub(2)..end].contains(&b'%') {
        end -= 1;
    }
    text.push_str(&encoded[..end]);
    text.push_str(CUT);
}

/// Adds the line of an event that follows `previous`; returns the new head.
pub(super) fn push(lines: &mut Vec<u8>, previous: Head, time: &str, event: &str) -> Head {
    let head_seq = previous.seq + 1;
    let body = format!("{head_seq} {time} {event}");
    let hash = hash(previous.hash, body.as_bytes());
    lines.extend_from_slice(body.as_bytes());
    lines.extend_from_slice(format!(" {hash}\n").as_bytes());
    Head { seq: head_seq, hash }
}

/// The hash of a line with this body behind the line with that hash.
pub(super) fn hash(previous: Digest, body: &[u8]) -> Digest {
    let mut hex = [b' '; HEX + 1];
    // The buffer has the right size: it can't fail.
    let _ = hex::encode_to_slice(previous.as_bytes(), &mut hex[..HEX]);
    let mut hasher = Hasher::new();
    hasher.update(&hex);
    hasher.update(body);
    hasher.finish()
}

/// A line as it stands there; nothing of it is checked against the chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct AuditLine<'a> {
    /// All but the hash and the space before it.
    pub(super) body: &'a [u8],
    /// The event's word.
    pub(super) event: &'a [u8],
    /// What the line says of itself.
    pub(super) head: Head,
}

impl<'a> AuditLine<'a> {
    /// The line of these bytes, without the LF, if it is one.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<AuditLine<'a>> {
        let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(HEX + 1)?)?;
        let hash = std::str::from_utf8(hash.strip_prefix(b" ")?).ok()?;
        let mut words = body.split(|b| *b == b' ');
        let seq = std::str::from_utf8(words.next()?).ok()?;
        let seq = number(seq)?;
        let _time = words.next()?;
        let event = words.next().filter(|word| is_word(word))?;
        Some(AuditLine { body, event, head: Head { seq, hash: Digest::parse(hash)? } })
    }

    /// Does the line come right behind this head?
    pub(super) fn follows(&self, previous: Head) -> bool {
        previous.seq.checked_add(1) == Some(self.head.seq)
            && hash(previous.hash, self.body) == self.head.hash
    }

    /// The decoded value of a field.
    pub(super) fn field(&self, key: &str) -> Option<String> {
        let mut words = self.body.split(|b| *b == b' ').skip(3);
        let value = words.find_map(|word| {
            word.strip_prefix(key.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        })?;
        String::from_utf8(decode(value)?).ok()
    }

    /// The head that a field names.
    pub(super) fn head_field(&self, key: &str) -> Option<Head> {
        Head::parse(&self.field(key)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_and_sha256sum_can_check_it() {
        let text = event("refused", &[("address", "::1"), ("why", "a b\n\x1b[31m=")]).expect("ok");
        assert_eq!(text, "refused address=::1 why=a%20b%0A%1B%5B31m%3D");
        let mut lines = Vec::new();
        let head = push(&mut lines, Head::none(), "2026-01-31T23:59:59Z", &text);
        let line = AuditLine::parse(lines.strip_suffix(b"\n").expect("LF")).expect("a line");
        assert!(line.follows(Head::none()));
        assert_eq!(line.head, head);
        assert_eq!(line.field("why").as_deref(), Some("a b\n\x1b[31m="));
        assert_eq!(line.field("wh"), None);
        let by_hand = format!("{} 1 2026-01-31T23:59:59Z {text}", "0".repeat(64));
        assert_eq!(head.hash, Digest::of(by_hand.as_bytes()));
        assert_eq!(Head::parse(&head.to_string()), Some(head));
        for bad in
            ["", "1", "0:", "1:zz", &format!("01:{}", head.hash), &format!("0:{}", head.hash)]
        {
            assert_eq!(Head::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn long_values_are_cut_between_bytes_and_odd_words_refused() {
        for length in 0..8 {
            let value = format!("{}{}", "x".repeat(length), "é".repeat(4096));
            let text = event("e", &[("k", &value)]).expect("ok");
            let cut = text.strip_prefix("e k=").and_then(|t| t.strip_suffix("...")).expect("cut");
            assert!(text.len() <= LONGEST_VALUE + 4 && decode(cut.as_bytes()).is_some(), "{text}");
        }
        let many: Vec<_> = (0..60).map(|_| ("key", "\n".repeat(9999))).collect();
        let many: Vec<_> = many.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert!(event("e", &many).expect("fits").len() < LONGEST - 256);
        for bad in ["", "E", "a b", "a\n"] {
            assert!(event(bad, &[]).is_err() && event("e", &[(bad, "")]).is_err(), "{bad:?}");
        }
    }
}
