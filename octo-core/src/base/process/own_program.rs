//! A file of ours that may be a program: it prints what the file would hold.

use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::open_trusted;
use crate::base::printed::{Bounds, Printed, printed};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// Could only root or this user have written it, and all that leads to it? And is it a
/// program? What is none, though its mode says so, would be run by a shell.
///
/// # Errors
/// Exit 78; without a hint where it is none.
pub fn check(path: &Path) -> Result<()> {
    let mut beginning = Vec::new();
    open_trusted(path)?
        .take(4)
        .read_to_end(&mut beginning)
        .map_err(|error| Error::io(path, &error))?;
    if beginning.starts_with(b"#!") || beginning == b"\x7fELF" {
        return Ok(());
    }
    let reason = "is executable, and neither begins with #! nor is a program";
    Err(Error::new(Exit::Configuration, path.display(), reason))
}

/// What this command, of the program at `path`, prints.
///
/// # Errors
/// Exit 65 if it fails, takes too long or prints too much; 78 where it can't be run.
pub fn output(path: &Path, command: Command, bounds: Bounds) -> Result<Vec<u8>> {
    let wrong = |reason: String| Error::new(Exit::Data, path.display(), reason);
    match printed(command, bounds).map_err(|error| not_run(path, &error))? {
        Printed::Whole(bytes, status) if status.success() => Ok(bytes),
        Printed::Whole(_, status) => Err(wrong(format!("the program failed: {}", end(status)))),
        Printed::TooMuch => Err(wrong(format!("printed more than {} bytes", bounds.bytes))),
        Printed::TooLong => Err(wrong(format!("was not over after {} s", bounds.time.as_secs()))
            .hint("nothing that it starts may keep its standard output open")),
    }
}

/// Where the file is there, what isn't is the program of its first line.
fn not_run(path: &Path, error: &std::io::Error) -> Error {
    let mut beginning = Vec::new();
    if error.kind() == std::io::ErrorKind::NotFound
        && let Ok(file) = std::fs::File::open(path)
        && file.take(200).read_to_end(&mut beginning).is_ok()
    {
        let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let what = match line.starts_with(b"#!") {
            true => format!("its first line, {}, names", printable(line)),
            false => "needs".to_string(),
        };
        let reason = format!("can't run: {what} a program that is not there");
        return Error::new(Exit::Configuration, path.display(), reason);
    }
    Error::doing("run", path, error)
}

fn end(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit {}", status.code().unwrap_or_default()),
    }
}
