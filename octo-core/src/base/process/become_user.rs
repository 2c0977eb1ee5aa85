//! Becoming another user for good.

use crate::base::error::describe;
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Makes this process, root's, that user's, in these groups, for good. The calls are of one
/// thread: there must be no other.
///
/// # Errors
/// In words, why not: what was changed until then stays so.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> Result<(), String> {
    let failed = |what: &str, error: Errno| format!("{what}: {}", describe(&error.into()));
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    // Groups first and the user last: each takes the right to do those before it.
    set_thread_groups(&groups).map_err(|error| failed("its groups", error))?;
    set_thread_res_gid(gid, gid, gid).map_err(|error| failed("its group", error))?;
    set_thread_res_uid(uid, uid, uid).map_err(|error| failed("its user", error))?;
    // Under securebits(7) that keep capabilities the calls succeed and leave root's power.
    match set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT) {
        Ok(()) => Err("it could become root again".into()),
        Err(_) => Ok(()),
    }
}
