//! Where the log ends, and which files it has.

use super::line::{AuditLine, Head, LONGEST};
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::if_there;
use crate::base::publish;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The end of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    /// What the last whole line says of itself.
    pub(super) head: Option<Head>,
    /// The last line has no LF.
    pub(super) open: bool,
    /// What a crash left of a line: only the last can be one.
    pub(super) torn: Option<Vec<u8>>,
}

/// Reads the end of a file of this size.
///
/// # Errors
/// Where what should be a log has no line of one within 64 KiB of its end.
pub(super) fn tail(file: &File, path: &Path, size: u64) -> Result<Tail> {
    for window in [4096, 4 * LONGEST] {
        let start = size.saturating_sub(window as u64);
        // At most the window: it fits.
        let mut bytes = vec![0; (size - start) as usize];
        file.read_exact_at(&mut bytes, start).map_err(|e| Error::io(path, &e))?;
        let mut rest = bytes.as_slice();
        if start > 0 {
            match rest.iter().position(|b| *b == b'\n') {
                Some(end) => rest = &rest[end + 1..],
                None => continue,
            }
        }
        let tail = tail_of(rest);
        if tail.head.is_some() || start == 0 {
            return Ok(tail);
        }
    }
    Err(Error::new(Exit::Data, path.display(), "its end is not that of an audit log").hint(
        format!("mv {0} {0}.damaged: a new file then goes on from the last head", path.display()),
    ))
}

fn tail_of(bytes: &[u8]) -> Tail {
    let mut tail = Tail::default();
    if bytes.is_empty() {
        return tail;
    }
    tail.open = bytes.last() != Some(&b'\n');
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for (index, line) in lines.rsplit(|b| *b == b'\n').enumerate() {
        if let Some(line) = AuditLine::parse(line) {
            tail.head = Some(line.head);
            return tail;
        }
        // A power cut leaves half a line, or a page of zeros where bytes
        // should be. Any other line that is none was written by somebody, and
        // stays for the check to find.
        if index == 0 && (tail.open || line.contains(&0)) {
            tail.torn = Some(line.to_vec());
        }
    }
    tail
}

/// The log's files that lie beside it: `audit.log.1`, `audit.log-20260131`, …
pub(super) fn rotated(path: &Path) -> Result<Vec<PathBuf>> {
    const COMPRESSED: [&str; 5] = [".gz", ".xz", ".zst", ".bz2", ".lz4"];
    let parent = publish::parent(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in if_there(parent, parent.read_dir())?.into_iter().flatten() {
        let entry = entry.map_err(|e| Error::io(parent, &e))?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let rest = other.strip_prefix(&name).unwrap_or_default();
        if (rest.starts_with('.') || rest.starts_with('-'))
            && !COMPRESSED.iter().any(|ending| rest.ends_with(ending))
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
