//! A header of an archive: 512 bytes, of which each field is read in one way or refused.

use super::numbers::{signed, whole};
use super::pax::SPARSE;

/// The length of a header, and what all else is a multiple of.
pub(super) const BLOCK: usize = 512;

/// What a header says of its member, before anything that stood before it is heeded.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: u64,
    /// The twelve bits.
    pub(super) mode: u32,
    pub(super) time: i64,
}

/// What follows a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
    /// An extended header of the next member.
    Extended,
    /// One of all that follow.
    Global,
    /// GNU's name of the next member, or of where its link leads.
    LongName,
    LongLink,
    Sparse,
    /// Of a device, a FIFO, or what nobody knows.
    Other(u8),
}

impl Kind {
    fn of(flag: u8) -> Kind {
        match flag {
            0 | b'0' => Kind::File,
            b'1' => Kind::Hardlink,
            b'2' => Kind::Symlink,
            b'5' => Kind::Directory,
            b'x' => Kind::Extended,
            b'g' => Kind::Global,
            b'L' => Kind::LongName,
            b'K' => Kind::LongLink,
            b'S' => Kind::Sparse,
            other => Kind::Other(other),
        }
    }

    /// Why a member of this kind is refused.
    pub(super) fn refusal(self) -> Option<String> {
        let what = match self {
            Kind::Sparse => return Some(SPARSE.into()),
            Kind::Other(b'3' | b'4') => "a device".to_string(),
            Kind::Other(b'6') => "a FIFO".to_string(),
            Kind::Other(flag) => format!("of type {}", flag.escape_ascii()),
            _ => return None,
        };
        Some(format!("{what}, neither file, directory nor link"))
    }
}

impl Header {
    /// Reads one; the error is what is wrong with it.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Header, &'static str> {
        let sum = whole(&block[148..156]).ok_or("its checksum is no number")?;
        if ![unsigned_sum(block), signed_sum(block)].contains(&i64::try_from(sum).ok()) {
            return Err("its checksum is another");
        }
        let size = whole(&block[124..136]).ok_or("its size is no number")?;
        let mode = whole(&block[100..108]).ok_or("its mode is no number")?;
        let time = signed(&block[136..148]).ok_or("its time is no number")?;
        let mut name = until_nul(&block[..100]).to_vec();
        // Of POSIX alone: GNU has other things there.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            name = [until_nul(&block[345..500]), b"/", &name].concat();
        }
        let link = until_nul(&block[157..257]).to_vec();
        // Old archives have the kind of the file above these bits.
        let mode = (mode & 0o7777) as u32;
        Ok(Header { kind: Kind::of(block[156]), name, link, size, mode, time })
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// The field of the sum itself counts as blanks.
fn summed(block: &[u8; BLOCK], value: fn(u8) -> i64) -> Option<i64> {
    let sum = block
        .iter()
        .enumerate()
        .map(|(at, byte)| value(if (148..156).contains(&at) { b' ' } else { *byte }));
    Some(sum.sum())
}

fn unsigned_sum(block: &[u8; BLOCK]) -> Option<i64> {
    summed(block, i64::from)
}

/// As some old programs added, which GNU tar takes, too.
fn signed_sum(block: &[u8; BLOCK]) -> Option<i64> {
    summed(block, |byte| i64::from(byte.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(change: impl Fn(&mut [u8; BLOCK])) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..4].copy_from_slice(b"name");
        block[100..108].copy_from_slice(b"0100644\0");
        block[124..136].copy_from_slice(b"00000000005\0");
        block[136..148].copy_from_slice(b"00000000007\0");
        change(&mut block);
        let sum = format!("{:06o}\0 ", unsigned_sum(&block).expect("a sum"));
        block[148..156].copy_from_slice(sum.as_bytes());
        block
    }

    #[test]
    fn each_field_is_read_in_one_way() {
        let header = Header::parse(&block(|_| {})).expect("a header");
        assert_eq!(header.kind, Kind::File);
        assert_eq!((header.name.as_slice(), header.link.as_slice()), (&b"name"[..], &b""[..]));
        assert_eq!((header.size, header.mode, header.time), (5, 0o644, 7));
        let prefix = |magic: &'static [u8]| {
            let header = Header::parse(&block(move |block| {
                block[257..257 + magic.len()].copy_from_slice(magic);
                block[345..348].copy_from_slice(b"d/e");
            }));
            String::from_utf8(header.expect("a header").name).expect("UTF-8")
        };
        assert_eq!(prefix(b"ustar\x0000"), "d/e/name");
        assert_eq!(prefix(b"ustar  \0"), "name");
        assert_eq!(prefix(b""), "name");
    }

    #[test]
    fn a_field_that_is_none_is_refused() {
        for (at, said) in [(124, "size"), (100, "mode"), (136, "time")] {
            let error = Header::parse(&block(|block| block[at] = b'x')).expect_err("refused");
            assert!(error.contains(said), "{error}");
        }
        let mut changed = block(|_| {});
        changed[0] = b'm';
        assert_eq!(Header::parse(&changed).err(), Some("its checksum is another"));
        // A sum of signed bytes is one, too.
        let mut high = block(|block| block[0] = 0xe9);
        let sum = format!("{:06o}\0 ", signed_sum(&high).expect("a sum"));
        high[148..156].copy_from_slice(sum.as_bytes());
        assert!(Header::parse(&high).is_ok());
    }

    #[test]
    fn only_what_a_release_may_hold_has_no_refusal() {
        for flag in 0..=u8::MAX {
            let permitted = b"\x000125xgLK".contains(&flag);
            assert_eq!(Kind::of(flag).refusal().is_none(), permitted, "{flag}");
        }
    }
}
