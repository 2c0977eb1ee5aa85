//! What all workers share.

use crate::cli::options::Common;
use crate::records::heads::store::HeadStore;
use crate::target::connection::client_config::ClientConfig;
use crate::target::connection::client_error::ClientError;
use crate::target::connection::throttle::Throttle;
use crate::target::package::counters::UploadCounters;
use crate::target::retry::Bounds;
use crate::target::stop::Stop;
use octo_core::base::error::{Error, Result};
use octo_core::targets::Target;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One call of octo-push: who asks, what was said, whom it means.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) client_config: ClientConfig,
    pub(crate) common: Common,
    /// The selected targets.
    pub(crate) targets: Vec<Target>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) counters: UploadCounters,
    /// What is known of the targets' audit logs.
    pub(crate) heads: HeadStore,
    /// Locked while the journal is brought to the disk; why it could not be.
    unwritten: Mutex<Option<Error>>,
}

impl Context {
    /// For a call with these options, which means these targets.
    pub(crate) fn new(common: Common, targets: Vec<Target>) -> Result<Context> {
        let (identity, transport) = (common.identity.clone(), common.transport.clone());
        let stop = Arc::new(Stop::default());
        let throttle = match common.rates {
            None => None,
            Some(rates) => {
                let senders = common.fanout.min(targets.len());
                rates.check(senders)?;
                Some(Arc::new(Throttle::new(rates, senders, Arc::clone(&stop))))
            }
        };
        let client_config = ClientConfig::load(&common.places, identity, transport)?;
        let client_config = ClientConfig { throttle, ..client_config };
        let counters = UploadCounters::default();
        let (heads, unwritten) = (HeadStore::at(&common.places), Mutex::default());
        Ok(Context { client_config, common, targets, stop, counters, heads, unwritten })
    }

    /// Keeps all who call [`Context::written`] waiting, for as long as it is held.
    pub(crate) fn unwritten(&self) -> MutexGuard<'_, Option<Error>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the disk has what the journal says is begun: before that a target may be
    /// connected to, and is asked for nothing.
    ///
    /// # Errors
    /// Where the disk doesn't take it.
    pub(crate) fn written(&self) -> std::result::Result<(), ClientError> {
        self.unwritten().clone().map_or(Ok(()), |error| Err(ClientError::Local(error)))
    }

    /// How long and how often a target is tried.
    pub(crate) fn bounds(&self) -> Bounds {
        let Common { wait, outage, retries, limit, .. } = self.common;
        Bounds { wait, outage, retries, limit }
    }

    /// The name of a target, by its place in the selection.
    pub(crate) fn name(&self, target: usize) -> &str {
        self.targets[target].name.as_str()
    }

    /// All names, in the selection's order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.targets.iter().map(|target| target.name.to_string()).collect()
    }
}
