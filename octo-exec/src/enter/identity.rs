//! Whose a job's processes are.

use octo_core::base::error::{Error, Exit, Result, describe};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// A user by numbers, and what setgroups(2) is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// Makes this process that user's, for good. Nothing where it is already; groups are
/// then those that we were started with. The calls are of one thread: there is no other.
pub(super) fn take_on(identity: &Identity) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    if geteuid() == uid {
        return Ok(());
    }
    let groups: Vec<Gid> = identity.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    // Groups first and the user last: each takes the right to do those before it.
    set_thread_groups(&groups).map_err(|error| failed("groups", error))?;
    set_thread_res_gid(gid, gid, gid).map_err(|error| failed("group", error))?;
    set_thread_res_uid(uid, uid, uid).map_err(|error| failed("user", error))?;
    // Under securebits(7) that keep capabilities the calls succeed and leave root's power.
    if set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok() {
        let reason = "it could become root again";
        return Err(Error::new(Exit::NotExecutable, "can't become the job's user", reason));
    }
    Ok(())
}

fn failed(what: &str, error: Errno) -> Error {
    let action = format!("can't take on the job's {what}");
    Error::new(Exit::NotExecutable, action, describe(&error.into()))
}
