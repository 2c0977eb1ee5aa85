//! Jobs on their way to the disk: what a pusher has under way, and how much of the disk it
//! takes, also while several of its requests are judged at once.

use crate::host::{Host, No, Peer};
use octo_core::tentacle::account::{Coming, Kept, of_new_job};
use octo_core::tentacle::store::check_room;
use octo_core::trust::Grant;
use octo_core::{JobId, PusherName, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A job on its way to the disk. Until this is dropped it is among its pusher's.
pub(crate) struct Submission<'a> {
    host: &'a Host,
    pusher: PusherName,
    id: JobId,
    /// Where it is registered; a question is not.
    coming: Option<Arc<Mutex<Coming>>>,
    /// Of this one, in bytes.
    size: u64,
    /// How many others the pusher has.
    pub(crate) jobs: u64,
    /// All that it keeps, what is on its way among it.
    kept: Kept,
}

impl<'a> Submission<'a> {
    /// The pusher's other jobs that are not over, on the disk and on their way there; of
    /// this one's parts there are so many bytes. It is among them from
    /// here on, unless it is only asked about.
    ///
    /// # Errors
    /// Where STATE can't be read.
    pub(crate) fn new(
        host: &'a Host,
        peer: &Peer,
        pusher: &PusherName,
        id: &JobId,
        lengths: [u64; 4],
        purpose: Purpose,
    ) -> Result<Submission<'a>> {
        let size = of_new_job(lengths);
        let submitting = submitting_of(host, pusher);
        let mut registered = locked(&submitting);
        // In the order in which a job passes through: where it is not any more, it is seen
        // in the next.
        let mut coming = registered.clone();
        coming.extend(host.spooled(peer, pusher)?);
        coming.remove(id);
        let kept = host.store.kept(pusher, &coming, &[])?;
        let jobs = kept.under_way.iter().filter(|job| *job != id).count() as u64;
        if purpose == Purpose::Run {
            registered.insert(id.clone(), size);
        }
        drop(registered);
        let coming = (purpose == Purpose::Run).then_some(submitting);
        let (pusher, id) = (pusher.clone(), id.clone());
        Ok(Submission { host, pusher, id, coming, size, jobs, kept })
    }

    /// Is there room for it, by the pusher's line and on the disk?
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_room(&self, grant: &Grant) -> std::result::Result<(), No> {
        let host = self.host;
        host.store.left_beside(&self.pusher, grant.limits(), &self.kept).check(self.size)?;
        // They may be on two disks.
        check_room(&host.places.spool(), self.size)?;
        Ok(check_room(&host.places.jobs(), self.size)?)
    }
}

impl Drop for Submission<'_> {
    fn drop(&mut self) {
        if let Some(coming) = &self.coming {
            locked(coming).remove(&self.id);
        }
    }
}

/// Why a job is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is handed over, if it may be.
    Run,
    /// It is only asked whether it might: it is nobody's job, and in nobody's way.
    Question,
}

fn submitting_of(host: &Host, pusher: &PusherName) -> Arc<Mutex<Coming>> {
    let mut all = locked(&host.submitting);
    // What nobody else holds is empty.
    all.retain(|_, coming| Arc::strong_count(coming) > 1);
    Arc::clone(all.entry(pusher.clone()).or_default())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host_in;

    #[test]
    fn a_question_is_in_nobodys_way_and_nobody_in_anothers() {
        let top = tempfile::tempdir().expect("tempdir");
        let (host, peer) = host_in(top.path(), "");
        let name = |text| PusherName::parse(text).expect("a name");
        let (ci, other) = (name("ci"), name("other"));
        let ids: Vec<JobId> = (0..3).map(|_| JobId::generate().expect("an id")).collect();
        let judge = |pusher: &PusherName, id: usize, purpose| {
            let lengths = [10, 0, 0, 0];
            Submission::new(&host, &peer, pusher, &ids[id], lengths, purpose).expect("judged")
        };
        let question = judge(&ci, 0, Purpose::Question);
        let run = judge(&ci, 1, Purpose::Run);
        assert_eq!((question.jobs, run.jobs), (0, 0));
        // Asked about by a connection whose run went on: it stays what is to come.
        drop(judge(&ci, 1, Purpose::Question));
        drop(question);
        assert_eq!(judge(&ci, 2, Purpose::Run).jobs, 1);
        // While what one keeps is looked at, another's run is judged.
        let submitting = submitting_of(&host, &ci);
        let looking = locked(&submitting);
        assert_eq!(judge(&other, 2, Purpose::Run).jobs, 0);
        drop(looking);
        drop(run);
        assert_eq!(judge(&ci, 2, Purpose::Run).jobs, 0);
        drop(submitting);
        drop(submitting_of(&host, &other));
        assert_eq!(locked(&host.submitting).len(), 1);
    }
}
