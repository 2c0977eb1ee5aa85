//! Lowering our privileges to those of a job.

use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::users::{PATH, User};
use rustix::process::geteuid;
use rustix::thread::set_no_new_privs;
use std::ffi::OsString;
use std::path::Path;

/// The words that do it, to be put before the job's own. What needs no program is
/// done at once, for this process and all that it starts.
///
/// # Errors
/// Exit 78 where there is no setpriv(1).
pub(crate) fn lowered(user: &User, sudo: bool) -> Result<Vec<OsString>> {
    if !geteuid().is_root() {
        if !sudo {
            set_no_new_privs(true)
                .map_err(|e| Error::new(Exit::Io, "no-new-privs", describe(&e.into())))?;
        }
        return Ok(Vec::new());
    }
    let mut words: Vec<OsString> = Vec::new();
    if user.uid != 0 {
        words.push(format!("--reuid={}", user.uid).into());
        words.push(format!("--regid={}", user.gid).into());
        words.push("--init-groups".into());
    }
    if !sudo {
        words.push("--no-new-privs".into());
    }
    if !words.is_empty() {
        words.insert(0, setpriv()?);
        words.push("--".into());
    }
    Ok(words)
}

/// setpriv(1), by its whole path: the job's PATH is not where we look.
fn setpriv() -> Result<OsString> {
    let found = PATH.split(':').map(|d| Path::new(d).join("setpriv")).find(|p| p.is_file());
    found.map(Into::into).ok_or_else(|| {
        let reason = "not on this machine, and jobs of another user need it";
        Error::new(Exit::Configuration, "setpriv", reason).hint("install util-linux")
    })
}
