//! Extended headers of POSIX: lines of a length, a key and a value, which beat the header
//! behind them.

use super::numbers::{decimal, time};

/// What stands before a member and says more of it than its header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) time: Option<(i64, u32)>,
    /// Names of attributes, as llistxattr(2) has them: each ends in a NUL.
    pub(super) attributes: Vec<u8>,
}

impl Extended {
    /// Reads the lines; the error is what is wrong with them.
    pub(super) fn parse(bytes: &[u8]) -> Result<Extended, String> {
        let mut found = Extended::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (key, value, behind) = line(rest).ok_or("an extended header that is damaged")?;
            rest = behind;
            let is_new = match key {
                b"path" => found.path.replace(value.to_vec()).is_none(),
                b"linkpath" => found.link.replace(value.to_vec()).is_none(),
                b"size" => {
                    let size =
                        decimal(value).ok_or("an extended header whose size is no number")?;
                    found.size.replace(size).is_none()
                }
                b"mtime" => {
                    let time = time(value).ok_or("an extended header whose time is no number")?;
                    found.time.replace(time).is_none()
                }
                _ if is_sparse(key) => return Err(SPARSE.into()),
                _ if changes_what_is_read(key) => {
                    let key = key.escape_ascii();
                    return Err(format!("an extended header with {key}, which isn't read here"));
                }
                _ => {
                    found.attributes.extend(attribute(key));
                    true
                }
            };
            if !is_new {
                let key = key.escape_ascii();
                return Err(format!("an extended header that says {key} twice"));
            }
        }
        Ok(found)
    }

    /// Is nothing said that counts?
    pub(super) fn is_empty(&self) -> bool {
        *self == Extended::default()
    }
}

/// What a member is of which only pieces are there.
pub(super) const SPARSE: &str = "a sparse file: archive it without --sparse";

fn is_sparse(key: &[u8]) -> bool {
    key.starts_with(b"GNU.sparse.") || key == b"SCHILY.realsize"
}

/// Dumps of directories, pieces of volumes: of those that don't know such a key, some read
/// other bytes as the member.
fn changes_what_is_read(key: &[u8]) -> bool {
    key.starts_with(b"GNU.")
}

/// The attribute that a key stands for, as star, GNU tar and libarchive spell them, and a NUL.
fn attribute(key: &[u8]) -> Vec<u8> {
    let name = match key {
        b"SCHILY.acl.access" | b"SCHILY.acl.default" => b"system.posix_acl_access",
        _ => [&b"SCHILY.xattr."[..], b"LIBARCHIVE.xattr."]
            .iter()
            .find_map(|before| key.strip_prefix(*before))
            .unwrap_or_default(),
    };
    if name.is_empty() { Vec::new() } else { [name, b"\0"].concat() }
}

/// The first line: its key, its value, and what is behind it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().position(|b| *b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..blank])?).ok()?;
    let (line, behind) = bytes.split_at_checked(length)?;
    let text = line.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|b| *b == b'=').filter(|at| *at > 0)?;
    Some((&text[..equals], &text[equals + 1..], behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_length_and_may_hold_anything() {
        let read = Extended::parse(b"13 path=a/\xff\n\n16 mtime=1234.5\n13 comment=x\n10 size=5\n");
        let read = read.expect("an extended header");
        assert_eq!(read.path.as_deref(), Some(&b"a/\xff\n"[..]));
        assert_eq!(
            (read.time, read.size, read.link.is_none()),
            (Some((1234, 500_000_000)), Some(5), true)
        );
        assert!(Extended::parse(b"").expect("nothing").is_empty());
    }

    #[test]
    fn what_is_damaged_said_twice_or_unknown_to_matter_is_refused() {
        for (bytes, said) in [
            (&b"11 path=a\n"[..], "damaged"),
            (b"10 path=a", "damaged"),
            (b"10 path=a\n\0", "damaged"),
            (b"+10 path=a\n", "damaged"),
            (b"7 path\n", "damaged"),
            (b"5 =a\n", "damaged"),
            (b"0 \n", "damaged"),
            (b"99999999999999999999 path=a\n", "damaged"),
            (b"10 size=x\n", "size is no number"),
            (b"11 size=-1\n", "size is no number"),
            (b"29 size=18446744073709551616\n", "size is no number"),
            (b"11 mtime=x\n", "time is no number"),
            (b"9 path=a\n9 path=a\n", "twice"),
            (b"22 GNU.sparse.major=1\n", "a sparse file"),
            (b"18 GNU.dumpdir=Yx\n", "GNU.dumpdir"),
        ] {
            let error = Extended::parse(bytes).expect_err("refused");
            assert!(error.contains(said), "{}: {error}", bytes.escape_ascii());
        }
    }
}
