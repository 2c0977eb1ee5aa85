//! What all workers share.

use crate::cli::options::Common;
use crate::target::connection::client_config::ClientConfig;
use crate::target::package::counters::UploadCounters;
use crate::target::retry::Bounds;
use crate::target::stop::Stop;
use octo_core::base::error::Result;
use octo_core::targets::Target;

/// One call of octo-push: who asks, what was said, whom it means.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) client_config: ClientConfig,
    pub(crate) common: Common,
    /// The selected targets.
    pub(crate) targets: Vec<Target>,
    pub(crate) stop: Stop,
    pub(crate) counters: UploadCounters,
}

impl Context {
    /// For a call with these options, which means these targets.
    pub(crate) fn new(common: Common, targets: Vec<Target>) -> Result<Context> {
        let (identity, transport) = (common.identity.clone(), common.transport.clone());
        let client_config = ClientConfig::load(&common.places, identity, transport)?;
        let (stop, counters) = (Stop::default(), UploadCounters::default());
        Ok(Context { client_config, common, targets, stop, counters })
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
