//! Whose a job's processes are.

use octo_core::base::become_user;
use octo_core::base::error::{Error, Exit, Result};
use rustix::process::geteuid;

/// A user by numbers, and what setgroups(2) is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// Makes this process that user's, for good. Nothing where it is already; groups are
/// then those that we were started with. The calls are of one thread: there is no other.
pub(crate) fn take_on(identity: &Identity) -> Result<()> {
    if geteuid().as_raw() == identity.uid {
        return Ok(());
    }
    become_user(identity.uid, identity.gid, &identity.groups)
        .map_err(|reason| Error::new(Exit::NotExecutable, "can't become the job's user", reason))
}
