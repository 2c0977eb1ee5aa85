//! The program that this process runs.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where it is: one that was replaced meanwhile, as by an upgrade, is the one to run.
///
/// # Errors
/// Where /proc is not there to say it.
pub fn own() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    if program.exists() {
        return Ok(program);
    }
    // What proc(5) puts behind a name that is gone.
    let bytes = program.as_os_str().as_bytes();
    let replaced = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Ok(PathBuf::from(OsStr::from_bytes(replaced)))
}
