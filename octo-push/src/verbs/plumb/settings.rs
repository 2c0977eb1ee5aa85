//! CONFIG/deploy/APP: how an application is deployed, as the long names of options. What
//! they are, the pipeline knows; here is the form of the file, and who may have written it.

use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::{Places, if_there, open_trusted, read_bounded};
use std::path::Path;

/// The largest file that is read, in bytes.
const MAXIMUM: u64 = 64 << 10;

/// `settings`: a line each of PLACE, NAME and, where there is a value, =VALUE, with a tab
/// between them. A file that isn't there says nothing.
pub(super) fn settings(said: &Said, _: &Places) -> Result<u8> {
    let mut lines = String::new();
    for file in said.counted(1..=usize::MAX)? {
        let path = Path::new(file);
        if if_there(path, std::fs::symlink_metadata(path))?.is_none() {
            continue;
        }
        // Its commands are run here.
        let bytes = read_bounded(&mut open_trusted(path)?, path, MAXIMUM)?;
        let place = printable(file.as_bytes());
        lines += &read(&bytes, &place)
            .map_err(|(at, reason)| Error::new(Exit::Configuration, at, reason))?;
    }
    print(&lines)?;
    Ok(0)
}

/// The lines of a file.
///
/// # Errors
/// Where it is wrong, and why.
fn read(bytes: &[u8], place: &str) -> std::result::Result<String, (String, String)> {
    let mut lines = String::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let at = format!("{place}, line {number}");
        let Ok(line) = std::str::from_utf8(line) else {
            return Err((at, "is not UTF-8".into()));
        };
        let line = line.strip_suffix('\r').unwrap_or(line).trim_matches(' ');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The pipeline reads fields and lines.
        if line.chars().any(char::is_control) {
            return Err((at, "has a control character".into()));
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, format!("\t={value}")),
            None => (line, String::new()),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            let shown = printable(name.as_bytes());
            return Err((
                at,
                format!("'{shown}' is not the long name of an option, as in batch=1"),
            ));
        }
        lines += &format!("{at}\t{name}{value}\n");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_option() {
        let read = |text: &[u8]| read(text, "shop");
        let said = "# how\n\nbatch=1,20%\r\n  skip-deployed\nhealth-url=http://%a/?a=b \nnotify=";
        let lines = "shop, line 3\tbatch\t=1,20%\nshop, line 4\tskip-deployed\n\
                     shop, line 5\thealth-url\t=http://%a/?a=b\nshop, line 6\tnotify\t=\n";
        assert_eq!(read(said.as_bytes()).as_deref(), Ok(lines));
        for (text, at, reason) in [
            (&b"Batch=1"[..], "shop, line 1", "'Batch' is not the long name"),
            (b"\n=1", "shop, line 2", "'' is not the long name"),
            (b"batch = 1", "shop, line 1", "'batch ' is not the long name"),
            (b"batch=\x1b[2J", "shop, line 1", "control"),
            (b"a=\xff", "shop, line 1", "UTF-8"),
        ] {
            let (place, said) = read(text).expect_err(at);
            assert!(place == at && said.contains(reason), "{place}: {said}");
        }
    }
}
