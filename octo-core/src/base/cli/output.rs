//! Results on standard output; printing never panics.

use crate::base::error::{Error, Exit, Result, describe};
use std::io::{self, Write};

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
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Exit::Io, "standard output", describe(&error)))
        }
        _ => Ok(()),
    }
}
