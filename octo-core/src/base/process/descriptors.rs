//! Open files: a program that is given to somebody else keeps three.

use rustix::fs::{Mode, OFlags};
use rustix::stdio::dup2_stdin;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::RawFd;

/// Standard input is /dev/null from here on.
///
/// # Errors
/// Where there is no such device.
pub fn stdin_is_null() -> io::Result<()> {
    Ok(dup2_stdin(File::open("/dev/null")?)?)
}

/// Standard input is this file from here on, at its beginning, for reading only.
///
/// # Errors
/// Where it can't be opened, or is a link.
pub fn stdin_is(path: &CStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(dup2_stdin(rustix::fs::open(path, flags, Mode::empty())?)?)
}

/// Closes all but the three: whoever started a listener may have had a file of root's
/// open. After it, nothing that this process holds may be read or written, nor closed
/// once more: what it owns must have been dropped before.
///
/// # Errors
/// Where /proc doesn't say which are open: a guess could miss one.
pub fn close_others() -> io::Result<()> {
    // All of them before the first is closed: the directory is read by one of them.
    let mut open: Vec<RawFd> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        open.push(number.ok_or(io::ErrorKind::InvalidData)?);
    }
    for number in open.into_iter().filter(|number| *number > 2) {
        // The directory's is closed already; of another error the kernel closes it, too.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}
