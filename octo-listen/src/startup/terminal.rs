//! Leaving the terminal of whoever started us: a user who has it as the terminal of his
//! session can have characters read there as if they were typed (TIOCSTI, ioctl_tty(2)).

use octo_core::base::error::describe;
use octo_core::{Error, Exit, Result};
use rustix::io::Errno;
use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};
use rustix::termios::isatty;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

/// Leaves the session, and keeps of a terminal that is standard output or error what it
/// takes to write there. `user` is who goes on.
///
/// # Errors
/// Exit 78 where we can't leave it: a leader of a group of processes stays in its session.
pub(super) fn leave(user: &str) -> Result<()> {
    let has_one =
        || OpenOptions::new().read(true).custom_flags(NO_CONTROL).open("/dev/tty").is_ok();
    match setsid() {
        Ok(_) => {}
        Err(Errno::PERM) if !has_one() => {}
        Err(_) => {
            let reason = format!("is started in a terminal, and {user} could type there");
            return Err(Error::new(Exit::Configuration, "octo-listen", reason)
                .hint("start it by setsid(1), or by a service manager"));
        }
    }
    let failed = |e: std::io::Error| Error::new(Exit::Io, "octo-listen", describe(&e));
    if isatty(stdout()) {
        dup2_stdout(writable(1).map_err(failed)?).map_err(|e| failed(e.into()))?;
    }
    if isatty(stderr()) {
        dup2_stderr(writable(2).map_err(failed)?).map_err(|e| failed(e.into()))?;
    }
    Ok(())
}

const NO_CONTROL: i32 = rustix::fs::OFlags::NOCTTY.bits() as i32;

/// The same terminal, opened anew so that nothing can be read from it.
fn writable(descriptor: i32) -> std::io::Result<File> {
    let path = format!("/proc/self/fd/{descriptor}");
    OpenOptions::new().write(true).custom_flags(NO_CONTROL).open(path)
}
