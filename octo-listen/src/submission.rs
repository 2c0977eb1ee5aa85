//! Jobs on their way to the disk: what a pusher has under way, and how much of the disk it
//! takes, also while several of its requests are judged at once.

use crate::host::{Host, No, Peer};
use octo_core::tentacle::account::{self, Kept, of_new_job};
use octo_core::tentacle::store::check_room;
use octo_core::trust::Grant;
use octo_core::{JobId, PusherName, Result};
use std::sync::PoisonError;

/// A job on its way to the disk. Until this is dropped it is among its pusher's.
pub(crate) struct Submission<'a> {
    host: &'a Host,
    pusher: PusherName,
    id: JobId,
    /// Of this one, in bytes.
    size: u64,
    /// How many others the pusher has.
    pub(crate) jobs: u64,
    /// All that it keeps, what is on its way among it.
    kept: Kept,
}

impl<'a> Submission<'a> {
    /// The pusher's other jobs that are not over, on the disk and on their way there; of
    /// this one's spec, script and secrets there are so many bytes.
    ///
    /// # Errors
    /// Where STATE can't be read.
    pub(crate) fn new(
        host: &'a Host,
        peer: &Peer,
        pusher: &PusherName,
        id: &JobId,
        lengths: [u64; 3],
    ) -> Result<Submission<'a>> {
        let size = of_new_job(lengths);
        let mut submitting = host.submitting.lock().unwrap_or_else(PoisonError::into_inner);
        // In the order in which a job passes through: where it is not any more, it is seen
        // in the next.
        let mut coming = submitting.get(pusher).cloned().unwrap_or_default();
        coming.extend(host.spooled(peer, pusher)?);
        coming.remove(id);
        let kept = account::kept(&host.places, pusher, &coming)?;
        let jobs = kept.under_way.iter().filter(|job| *job != id).count() as u64;
        submitting.entry(pusher.clone()).or_default().insert(id.clone(), size);
        let (pusher, id) = (pusher.clone(), id.clone());
        Ok(Submission { host, pusher, id, size, jobs, kept })
    }

    /// Is there room for it, by the pusher's line and on the disk?
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_room(&self, grant: &Grant) -> std::result::Result<(), No> {
        let host = self.host;
        let left = host.store.left_beside(&self.pusher, grant.limits(), &self.kept);
        let left = left.map_err(|error| No::failed(host, &error))?;
        left.check(self.size)?;
        // They may be on two disks.
        check_room(&host.places.spool(), self.size)?;
        Ok(check_room(&host.places.jobs(), self.size)?)
    }
}

impl Drop for Submission<'_> {
    fn drop(&mut self) {
        let mut submitting = self.host.submitting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = submitting.get_mut(&self.pusher) {
            jobs.remove(&self.id);
            if jobs.is_empty() {
                submitting.remove(&self.pusher);
            }
        }
    }
}
