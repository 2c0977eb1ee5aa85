//! The manifest of a release: a line for each path in it, in the order of their bytes.
//!
//!     octo-manifest 1
//!     directory MODE PATH
//!     file MODE SIZE SHA256 SECONDS.NANOSECONDS PATH
//!     link TARGET PATH
//!     other PATH

use super::tree::{Node, Time, Tree, Written};
use octo_core::Digest;
use octo_core::base::encoding::encode;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::read_bounded;
use octo_core::base::publish;
use octo_core::base::record::lines;
use octo_core::base::units::whole;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::path::Path;

const FIRST: &str = "octo-manifest 1\n";

/// That of the largest archive that is permitted by default has less.
const LARGEST: u64 = 512 << 20;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Directory {
        mode: u32,
    },
    File(Written),
    Link {
        target: Vec<u8>,
    },
    /// Something that nobody looked at: a FIFO, a socket, a device, or what can't be read.
    Other,
}

/// Paths below a release, and what is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest(pub(crate) BTreeMap<Vec<u8>, Item>);

impl Manifest {
    /// Of what was unpacked.
    pub(super) fn of(tree: &Tree) -> Manifest {
        let item = |node: &Node| match node {
            Node::Directory { mode, .. } => Item::Directory { mode: *mode },
            Node::File(written) => Item::File(*written),
            Node::Link { target, .. } => Item::Link { target: target.to_vec() },
        };
        Manifest(tree.all().map(|id| (tree.path(id), item(tree.node(id)))).collect())
    }

    /// Publishes it under this name. Not for others: of a private file with a short secret in it,
    /// its digest says which.
    ///
    /// # Errors
    /// Exit 73 or 74, naming the path; an older one is then still in place.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        publish::replace(path, self.encode().as_bytes(), 0o640)
    }

    /// Reads one.
    ///
    /// # Errors
    /// Exit 65 for what is none, naming the line; the system's.
    pub(super) fn read(path: &Path) -> Result<Manifest> {
        let mut file = File::open(path).map_err(|e| Error::io(path, &e))?;
        Manifest::read_from(&mut file, path, LARGEST)
    }

    /// Reads one of so many bytes at most.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub(crate) fn read_from(file: &mut File, path: &Path, most: u64) -> Result<Manifest> {
        let bytes = read_bounded(file, path, most)?;
        Manifest::parse(&bytes).map_err(|line| {
            Error::new(Exit::Data, path.display(), format!("line {line} is not of a manifest"))
        })
    }

    fn encode(&self) -> String {
        let mut text = String::from(FIRST);
        for (path, item) in &self.0 {
            let path = encode(path);
            // Writing to a String can't fail.
            let _ = match item {
                Item::Directory { mode } => writeln!(text, "directory {mode:04o} {path}"),
                Item::Link { target } => writeln!(text, "link {} {path}", encode(target)),
                Item::Other => writeln!(text, "other {path}"),
                Item::File(Written { mode, size, digest, time: (seconds, nanoseconds) }) => {
                    writeln!(
                        text,
                        "file {mode:04o} {size} {digest} {seconds}.{nanoseconds:09} {path}"
                    )
                }
            };
        }
        text
    }

    /// The error is the number of the first line that is wrong.
    fn parse(bytes: &[u8]) -> std::result::Result<Manifest, usize> {
        let rest = bytes.strip_prefix(FIRST.as_bytes()).ok_or(1_usize)?;
        let mut items: BTreeMap<Vec<u8>, Item> = BTreeMap::new();
        for (line, number) in lines(rest).zip(2..) {
            let (key, fields) = line.map_err(|_| number)?;
            let (path, item) = item(key, fields).ok_or(number)?;
            let is_next = items.last_key_value().is_none_or(|(last, _)| *last < path);
            if !is_next || path.is_empty() {
                return Err(number);
            }
            items.insert(path, item);
        }
        Ok(Manifest(items))
    }
}

fn item(key: &str, mut fields: Vec<Vec<u8>>) -> Option<(Vec<u8>, Item)> {
    let path = fields.pop()?;
    if key == "link" {
        let target = fields.pop()?;
        return fields.is_empty().then_some((path, Item::Link { target }));
    }
    let texts: Option<Vec<&str>> = fields.iter().map(|f| std::str::from_utf8(f).ok()).collect();
    let item = match (key, texts?.as_slice()) {
        ("other", []) => Item::Other,
        ("directory", [mode]) => Item::Directory { mode: octal(mode)? },
        ("file", [mode, size, digest, time]) => Item::File(Written {
            mode: octal(mode)?,
            size: whole(size)?,
            digest: Digest::parse(digest)?,
            time: time_of(time)?,
        }),
        _ => return None,
    };
    Some((path, item))
}

fn octal(text: &str) -> Option<u32> {
    let is_plain = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|_| is_plain)
}

fn time_of(text: &str) -> Option<Time> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    let is_plain = nanoseconds.len() == 9 && nanoseconds.bytes().all(|b| b.is_ascii_digit());
    Some((seconds.parse().ok()?, nanoseconds.parse().ok().filter(|_| is_plain)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let digest = Digest::of(b"x");
        let written = Written { mode: 0o640, size: 1, digest, time: (-5, 25) };
        let items = [
            (b"a".to_vec(), Item::Directory { mode: 0o755 }),
            (b"a-b".to_vec(), Item::Link { target: b"x y".to_vec() }),
            (b"a/b c\xff".to_vec(), Item::File(written)),
            (b"pipe".to_vec(), Item::Other),
        ];
        let manifest = Manifest(items.into());
        let text = manifest.encode();
        let wanted = format!(
            "octo-manifest 1\ndirectory 0755 a\nlink x%20y a-b\n\
            file 0640 1 {digest} -5.000000025 a/b%20c%FF\nother pipe\n"
        );
        assert_eq!(text, wanted);
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
    }

    #[test]
    fn what_is_none_is_refused_by_its_line() {
        for (rest, line) in [
            ("directory 755 a\n", 2),
            ("directory 0755 a", 2),
            ("directory 0855 a\n", 2),
            ("directory 0755 b\ndirectory 0755 a\n", 3),
            ("directory 0755 a\ndirectory 0755 a\n", 3),
            ("directory 0755 \n", 2),
            ("link a\n", 2),
            ("link a b c\n", 2),
            ("fifo a\n", 2),
            ("file 0644 1 x 1.000000000 a\n", 2),
        ] {
            let text = format!("{FIRST}{rest}");
            assert_eq!(Manifest::parse(text.as_bytes()), Err(line), "{rest}");
        }
        assert_eq!(Manifest::parse(b""), Err(1));
        assert_eq!(Manifest::parse(b"octo-manifest 2\n"), Err(1));
    }
}
