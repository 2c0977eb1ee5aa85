//! Where the log ends, and which files it has.

use super::compressed;
use super::line::{AuditLine, Head, LONGEST};
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::if_there;
use crate::base::publish;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind};
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

/// So often a file is read anew that became shorter.
const READS: usize = 100;

/// Reads what is to be read of a file of this size. Who only reads holds no lock: a line
/// that could not be written whole may be taken back meanwhile, and the file is shorter.
/// Then it is read anew, by the size that it has.
pub(super) fn read_anew<T>(
    file: &File,
    mut size: u64,
    read: impl Fn(u64) -> io::Result<T>,
) -> io::Result<T> {
    for _ in 1..READS {
        match read(size) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            other => return other,
        }
        size = file.metadata()?.len();
    }
    read(size)
}

/// Reads the end of a file of this size, or of the one that it has by now.
///
/// # Errors
/// Where what should be a log has no line of one within 64 KiB of its end.
pub(super) fn tail(file: &File, path: &Path, size: u64) -> Result<Tail> {
    let found = read_anew(file, size, |size| find(file, size)).map_err(|e| Error::io(path, &e))?;
    found.ok_or_else(|| {
        let reason = "its end is not that of an audit log";
        Error::new(Exit::Data, path.display(), reason).hint(format!(
            "mv {0} {0}.damaged: a new file then goes on from the last head",
            path.display()
        ))
    })
}

/// `None` where there is no line of a log.
fn find(file: &File, size: u64) -> io::Result<Option<Tail>> {
    for window in [4096, 4 * LONGEST] {
        let start = size.saturating_sub(window as u64);
        // At most the window: it fits.
        let mut bytes = vec![0; (size - start) as usize];
        file.read_exact_at(&mut bytes, start)?;
        let mut rest = bytes.as_slice();
        if start > 0 {
            match rest.iter().position(|b| *b == b'\n') {
                Some(end) => rest = &rest[end + 1..],
                None => continue,
            }
        }
        let tail = tail_of(rest);
        if tail.head.is_some() || start == 0 {
            return Ok(Some(tail));
        }
    }
    Ok(None)
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

/// The log's files that lie beside it: `audit.log.1`, `audit.log-20260131`, … and of those
/// that are compressed each that has not its plain file beside it: until that is gone it is
/// still being written.
pub(super) fn rotated(path: &Path) -> Result<Vec<PathBuf>> {
    let parent = publish::parent(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    let entries = match parent.read_dir() {
        // The listener passes through octo-exec's directory, and lists nothing there.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(numbered(path)),
        entries => if_there(parent, entries)?,
    };
    for entry in entries.into_iter().flatten() {
        let entry = entry.map_err(|e| Error::io(parent, &e))?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let rest = other.strip_prefix(&name).unwrap_or_default();
        if (rest.starts_with('.') || rest.starts_with('-'))
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            found.push(entry.path());
        }
    }
    found.sort();
    let all: HashSet<PathBuf> = found.iter().cloned().collect();
    found.retain(|path| {
        compressed::program(path).is_none() || !all.contains(&path.with_extension(""))
    });
    Ok(found)
}

/// Those of logrotate's usual names, for who can't see which there are.
fn numbered(path: &Path) -> Vec<PathBuf> {
    let name = |number: u32| {
        let plain = PathBuf::from(format!("{}.{number}", path.display()));
        let names = compressed::names(&plain).collect::<Vec<_>>();
        [plain].into_iter().chain(names).find(|path| path.is_file())
    };
    (1..).map_while(name).collect()
}
