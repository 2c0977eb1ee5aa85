//! One entry of the spool: a line of lengths, and behind it what they are of.
//!
//! ```text
//! octo-spool 1 ADDRESS STATEMENT SIGNATURE CERTIFICATE SPEC SCRIPT STDIN SECRETS
//! ```
//!
//! ADDRESS is where the pusher connected from, by the listener's word, or `-`.

use super::LARGEST;
use crate::base::encoding::decode_text;
use crate::base::units::whole;
use crate::tentacle::spec;
use crate::tentacle::statement::{self, Signed, Statement};
use std::net::IpAddr;
use std::ops::Range;

/// The first line is two words, an address and seven numbers.
const LONGEST_LINE: usize = 256;

/// What each part may have at most, in bytes, and how it is called.
const PARTS: [(&str, u64); 7] = [
    ("statement", statement::MAXIMUM),
    ("signature", statement::MAXIMUM_SIGNATURE),
    ("certificate", statement::MAXIMUM_CERTIFICATE),
    ("spec", spec::MAXIMUM),
    ("script", spec::MAXIMUM_SCRIPT),
    ("stdin", spec::stdin::MAXIMUM),
    ("secrets", spec::MAXIMUM_SECRETS),
];

/// What a listener hands over.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Where the pusher connected from.
    pub address: Option<IpAddr>,
    /// What it asks for.
    pub signed: Signed<'a>,
    /// The spec; a cancel has none.
    pub spec: &'a [u8],
    /// The script, where it is sent.
    pub script: &'a [u8],
    /// The standard input, where it has one.
    pub stdin: &'a [u8],
    /// The secrets' body.
    pub secrets: &'a [u8],
}

/// An entry as it was read, its parts found.
#[derive(Debug)]
pub struct ReadEntry {
    bytes: Vec<u8>,
    address: Option<IpAddr>,
    parts: [Range<usize>; 7],
}

impl Entry<'_> {
    /// Its first line; the parts follow it in their order.
    pub(super) fn head(&self) -> String {
        let address = self.address.map_or("-".to_string(), |address| address.to_string());
        let lengths = self.parts().map(|part| part.len().to_string()).join(" ");
        format!("octo-spool 1 {address} {lengths}\n")
    }

    pub(super) fn parts(&self) -> [&[u8]; 7] {
        let Signed { statement, signature, certificate } = self.signed;
        [statement, signature, certificate, self.spec, self.script, self.stdin, self.secrets]
    }
}

impl ReadEntry {
    /// The entry of these bytes.
    ///
    /// # Errors
    /// In words, why they are none.
    pub fn parse(bytes: Vec<u8>) -> Result<ReadEntry, String> {
        if bytes.len() as u64 > LARGEST {
            return Err(format!("is larger than {LARGEST} bytes"));
        }
        let (address, parts, length) = head(&bytes)?;
        if length != bytes.len() {
            return Err(torn());
        }
        Ok(ReadEntry { bytes, address, parts })
    }

    /// What was handed over.
    pub fn entry(&self) -> Entry<'_> {
        let part = |index: usize| &self.bytes[self.parts[index].clone()];
        let signed = Signed { statement: part(0), signature: part(1), certificate: part(2) };
        let (spec, script, stdin, secrets) = (part(3), part(4), part(5), part(6));
        Entry { address: self.address, signed, spec, script, stdin, secrets }
    }
}

/// The statement of an entry of which these are the first bytes, and how long its spec,
/// script, standard input and secrets are.
pub(super) fn announced(bytes: &[u8]) -> Option<(Statement, [u64; 4])> {
    let (_, parts, _) = head(bytes).ok()?;
    let statement = Statement::parse(bytes.get(parts[0].clone())?)?;
    Some((statement, [3, 4, 5, 6].map(|part: usize| parts[part].len() as u64)))
}

/// So many bytes of an entry have its statement in them.
pub(super) const BEGINNING: u64 = LONGEST_LINE as u64 + statement::MAXIMUM;

fn torn() -> String {
    "is torn, or none".to_string()
}

/// What the first line says: the address, where the parts are, and where the last ends.
type Head = (Option<IpAddr>, [Range<usize>; 7], usize);

fn head(bytes: &[u8]) -> Result<Head, String> {
    let head = &bytes[..bytes.len().min(LONGEST_LINE)];
    let end = head.iter().position(|b| *b == b'\n').ok_or_else(torn)?;
    let mut words = head[..end].split(|b| *b == b' ');
    if words.next() != Some(b"octo-spool") || words.next() != Some(b"1") {
        return Err("is no entry of this version".into());
    }
    let address = match words.next().and_then(decode_text).ok_or_else(torn)?.as_str() {
        "-" => None,
        address => Some(address.parse().map_err(|_| "has no address".to_string())?),
    };
    let mut parts: [Range<usize>; 7] = Default::default();
    let mut at = end + 1;
    for (part, (name, maximum)) in parts.iter_mut().zip(PARTS) {
        let word = words.next().and_then(|word| std::str::from_utf8(word).ok());
        let length = word.and_then(whole).ok_or_else(torn)?;
        if length > maximum {
            return Err(format!("its {name} has {length} bytes, {maximum} at most"));
        }
        // At most its maximum, which fits.
        *part = at..at + length as usize;
        at = part.end;
    }
    if words.next().is_some() {
        return Err(torn());
    }
    Ok((address, parts, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_nothing_else_is_one() {
        let signed = Signed { statement: b"s\n", signature: &[0, 255], certificate: b"crt" };
        let address = Some("2001:db8::1".parse().expect("an address"));
        let made = Entry {
            address,
            signed,
            spec: b"command x\n",
            script: b"",
            stdin: b"in",
            secrets: b"ABC",
        };
        let bytes = [made.head().as_bytes(), &made.parts().concat()].concat();
        let read = ReadEntry::parse(bytes.clone()).expect("an entry");
        let back = read.entry();
        assert_eq!((back.address, back.signed, back.spec), (address, signed, made.spec));
        assert_eq!(
            (back.script, back.stdin, back.secrets),
            (made.script, made.stdin, made.secrets)
        );
        for cut in 0..bytes.len() {
            assert!(ReadEntry::parse(bytes[..cut].to_vec()).is_err(), "{cut}");
        }
        assert!(ReadEntry::parse([&bytes[..], b"x"].concat()).is_err());
        for (head, said) in [
            ("octo-spool 2 - 0 0 0 0 0 0 0\n", "version"),
            ("octo-spool 1 - 0 0 0 0 0 0\n", "torn"),
            ("octo-spool 1 - 0 0 0 0 0 0 0 0\n", "torn"),
            ("octo-spool 1 - 00 0 0 0 0 0 0\n", "torn"),
            ("octo-spool 1 - -1 0 0 0 0 0 0\n", "torn"),
            ("octo-spool 1 x 0 0 0 0 0 0 0\n", "address"),
            ("octo-spool 1 - 4097 0 0 0 0 0 0\n", "its statement has 4097 bytes"),
            ("octo-spool 1 - 0 0 0 0 0 0 9223372036854775807\n", "its secrets has"),
        ] {
            let reason = ReadEntry::parse(head.into()).expect_err(head);
            assert!(reason.contains(said), "{head}: {reason}");
        }
        let long = [b"octo-spool 1 ".as_slice(), &[b'1'; 300], b" 0\n"].concat();
        assert!(ReadEntry::parse(long).is_err());
    }
}
