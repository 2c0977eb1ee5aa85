//! Archives of tar by hand, byte by byte, also such as no program makes.

// Each test program uses its own part of this.
#![allow(dead_code)]

/// The length of a header.
pub(crate) const BLOCK: usize = 512;

/// A header and what follows it, before its checksum is made.
pub(crate) struct Entry {
    header: [u8; BLOCK],
    data: Vec<u8>,
}

impl Entry {
    /// Of any type; a field that is too long for its place is a fault of the test.
    pub(crate) fn new(kind: u8, name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Entry {
        let mut entry = Entry { header: [0; BLOCK], data: data.as_ref().to_vec() };
        let size = format!("{:011o}", entry.data.len());
        let mode: &[u8] = if kind == b'5' { b"0000755" } else { b"0000644" };
        entry.put(156, &[kind]);
        entry.put(0, name.as_ref());
        entry.put(100, mode);
        entry.put(108, b"0000000");
        entry.put(116, b"0000000");
        entry.put(124, size.as_bytes());
        entry.put(136, b"07253421600"); // 2001-09-09 or so
        entry.put(257, b"ustar\x0000");
        entry
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// With other bytes at a place of its header.
    pub(crate) fn with(mut self, at: usize, bytes: impl AsRef<[u8]>) -> Entry {
        self.put(at, bytes.as_ref());
        self
    }

    /// With all twelve bits of a mode.
    pub(crate) fn mode(self, mode: u32) -> Entry {
        self.with(100, format!("{mode:07o}"))
    }

    /// With this time, in seconds.
    pub(crate) fn time(self, time: u64) -> Entry {
        self.with(136, format!("{time:011o}"))
    }

    /// Its bytes, the data filled up to whole blocks.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut header = self.header;
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut bytes = [&header[..], &self.data].concat();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }
}

pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'0', name, data)
}

pub(crate) fn directory(name: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'5', name, "")
}

pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'2', name, "").with(157, target)
}

pub(crate) fn hardlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'1', name, "").with(157, target)
}

/// An extended header of the next member.
pub(crate) fn extended(lines: &[(&str, &[u8])]) -> Entry {
    Entry::new(b'x', "extended", lines.iter().flat_map(record).collect::<Vec<u8>>())
}

/// One of all that follow.
pub(crate) fn global(lines: &[(&str, &[u8])]) -> Entry {
    Entry::new(b'g', "global", lines.iter().flat_map(record).collect::<Vec<u8>>())
}

/// GNU's name of the next member, ended by NUL.
pub(crate) fn long_name(name: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'L', "././@LongLink", [name.as_ref(), b"\0"].concat())
}

/// GNU's target of the next link.
pub(crate) fn long_link(target: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'K', "././@LongLink", [target.as_ref(), b"\0"].concat())
}

/// `LENGTH KEY=VALUE`, the length with itself.
fn record((key, value): &(&str, &[u8])) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let length = (1..9).map(|digits| rest.len() + digits);
    let length = length.into_iter().find(|length| length.to_string().len() + rest.len() == *length);
    [length.expect("a length").to_string().into_bytes(), rest].concat()
}

/// These, and the two blocks of zeros.
pub(crate) fn archive(entries: &[Entry]) -> Vec<u8> {
    [entries.iter().flat_map(Entry::bytes).collect(), vec![0; 2 * BLOCK]].concat()
}
