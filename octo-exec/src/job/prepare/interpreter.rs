//! What runs a script: we read its `#!` ourselves and run the interpreter with
//! the file, so that a script runs from a STATE that is mounted noexec.

use octo_core::base::encoding::printable;
use rustix::fs::{Access, access};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The kernel reads so much of a file to find its interpreter (BINPRM_BUF_SIZE).
const HEAD: usize = 256;

/// Why a script can't run: an exit status of the shell's, and the words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CantRun {
    pub(crate) code: u8,
    pub(crate) reason: String,
}

/// The words to put before the script's arguments.
///
/// # Errors
/// 127 where the interpreter is missing, 126 where it or the file can't be run.
pub(crate) fn command(file: &Path, head: &[u8]) -> Result<Vec<OsString>, CantRun> {
    let path = || file.as_os_str().to_os_string();
    if head.starts_with(b"\x7fELF") {
        return Ok(vec![path()]);
    }
    let Some(line) = head.strip_prefix(b"#!") else {
        if head[..head.len().min(HEAD)].contains(&0) {
            let reason = "is neither a script nor a program of this machine".to_string();
            return Err(CantRun { code: 126, reason });
        }
        return Ok(vec!["/bin/sh".into(), path()]);
    };
    let line = &line[..line.len().min(HEAD)];
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii_start();
    let end = line.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(line.len());
    let (interpreter, argument) = (&line[..end], line[end..].trim_ascii());
    check(interpreter)?;
    let mut words = vec![OsStr::from_bytes(interpreter).to_os_string()];
    if !argument.is_empty() {
        words.push(OsStr::from_bytes(argument).to_os_string());
    }
    words.push(path());
    Ok(words)
}

fn check(interpreter: &[u8]) -> Result<(), CantRun> {
    let shown = printable(interpreter);
    let cant = |code, reason: String| Err(CantRun { code, reason });
    let path = Path::new(OsStr::from_bytes(interpreter));
    if !path.is_absolute() {
        return cant(127, format!("its interpreter '{shown}' is not an absolute path"));
    }
    if !path.exists() {
        let hint = match interpreter.strip_suffix(b"\r") {
            Some(_) => " (hint: the script has DOS line ends, sed -i 's/\\r$//' mends it)",
            None => "",
        };
        return cant(127, format!("its interpreter {shown} is not on this machine{hint}"));
    }
    if path.is_dir() || access(path, Access::EXEC_OK).is_err() {
        return cant(126, format!("its interpreter {shown} is not executable"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(head: &[u8]) -> Result<Vec<String>, CantRun> {
        let words = command(Path::new("/s"), head)?;
        Ok(words.into_iter().map(|w| w.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn the_first_line_says_what_runs_it() {
        let is = |head: &[u8], wanted: &[&str]| assert_eq!(words(head).expect("runs"), wanted);
        is(b"echo", &["/bin/sh", "/s"]);
        is(b"", &["/bin/sh", "/s"]);
        is(b"#!/bin/sh\necho", &["/bin/sh", "/s"]);
        is(b"#! /usr/bin/env  python3 -u \n", &["/usr/bin/env", "python3 -u", "/s"]);
        is(b"#!/bin/sh", &["/bin/sh", "/s"]);
        is(b"\x7fELF\x02", &["/s"]);
    }

    #[test]
    fn what_cant_run_says_why() {
        for (head, code, said) in [
            (&b"#!/bin/sh\r\necho"[..], 127, "DOS line ends"),
            (b"#!/no/such\n", 127, "/no/such"),
            (b"#!/etc/passwd\n", 126, "not executable"),
            (b"#!sh\n", 127, "absolute"),
            (b"#!\n", 127, "absolute"),
            (b"\x89PNG\0", 126, "neither"),
        ] {
            let error = words(head).expect_err("can't run");
            assert_eq!(error.code, code, "{}", error.reason);
            assert!(error.reason.contains(said), "{}", error.reason);
        }
    }
}
