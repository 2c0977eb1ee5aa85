//! Results on standard output; printing never panics.

use crate::base::error::{Error, Exit, Result, describe};
use rustix::io::{Errno, write};
use rustix::stdio::stdout;
use std::io;

/// Prints a result to standard output.
///
/// # Errors
/// Exit 74 where it can't be written (a full disk). A reader that has gone
/// (`| head`) is no error: it has what it wanted.
pub fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// As [`print()`], for bytes.
///
/// # Errors
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    // Past the buffer of the standard library: it looks for lines, and copies the last one.
    let mut rest = bytes;
    while !rest.is_empty() {
        match write(stdout(), rest) {
            Ok(0) => {
                let reason = describe(&io::ErrorKind::WriteZero.into());
                return Err(Error::new(Exit::Io, "standard output", reason));
            }
            Ok(count) => rest = &rest[count..],
            Err(Errno::INTR) => {}
            Err(Errno::PIPE) => return Ok(()),
            Err(error) => {
                let reason = describe(&io::Error::from(error));
                return Err(Error::new(Exit::Io, "standard output", reason));
            }
        }
    }
    Ok(())
}
