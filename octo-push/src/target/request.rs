//! The job that `run` asks for, as one target is sent it. Everything is read and
//! checked before the first target hears of it.

use crate::target::package::upload::Package;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use octo_core::patch::{self, LARGEST_SEGMENT};
use octo_core::targets::Target;
use octo_core::tentacle::spec::draft::{Destination, Draft};
use std::sync::{Arc, OnceLock};

/// A shorter script goes as it is: it is in one packet with the rest.
const SMALLEST: usize = 1024;

/// The job, as far as it is the same for all targets.
#[derive(Debug)]
pub(crate) struct JobPlan {
    /// Its id, and the rollout's.
    pub(crate) id: JobId,
    /// The package, put before it runs.
    pub(crate) package: Option<Arc<Package>>,
    /// What it is.
    pub(crate) draft: Draft,
    /// Its script as one frame, made when a target is to be sent it; none where that is no
    /// shorter.
    frame: OnceLock<Option<Vec<u8>>>,
}

/// What one target is sent.
#[derive(Debug)]
pub(crate) struct JobPayload<'a> {
    pub(crate) spec: Vec<u8>,
    pub(crate) script: &'a [u8],
    pub(crate) stdin: Option<&'a [u8]>,
    pub(crate) secrets: Vec<u8>,
}

impl JobPayload<'_> {
    /// How long all of it is.
    pub(crate) fn size(&self) -> usize {
        let stdin = self.stdin.map_or(0, <[u8]>::len);
        self.spec.len() + self.script.len() + stdin + self.secrets.len()
    }
}

impl JobPlan {
    /// A plan of these.
    pub(crate) fn new(id: JobId, package: Option<Arc<Package>>, draft: Draft) -> JobPlan {
        JobPlan { id, package, draft, frame: OnceLock::new() }
    }

    /// The frame of the script in a payload, where it is sent as one. Nothing else of a job
    /// is compressed, and nothing together with it: beside what somebody else chose, the length
    /// of a secret would tell what it is.
    pub(crate) fn frame(&self, payload: &JobPayload<'_>) -> Option<&[u8]> {
        let script = payload.script;
        // A target that has it installed is sent none.
        let is_worth_it = (SMALLEST..=LARGEST_SEGMENT).contains(&script.len());
        is_worth_it.then(|| self.frame.get_or_init(|| shorter(script)).as_deref())?
    }

    /// Can each of these targets be sent what it would be?
    ///
    /// # Errors
    /// As [`JobPlan::request`].
    pub(crate) fn check(&self, targets: &[Target]) -> Result<()> {
        let differs = self.draft.differs();
        for target in targets.iter().take(if differs { targets.len() } else { 1 }) {
            self.request(target.name.as_str(), &self.id).map_err(|error| match differs {
                true => error.hint(format!("it is the job of {}", target.name)),
                false => error,
            })?;
        }
        Ok(())
    }

    /// What this target is sent under this id.
    ///
    /// # Errors
    /// A file of its own that can't be read, or a spec that would be refused.
    pub(crate) fn request(&self, target: &str, job: &JobId) -> Result<JobPayload<'_>> {
        let package = self.package.as_ref().map(|p| Ok((p.digest()?, p.name.clone())));
        let there = Destination::Target(target);
        let signature = self.package.as_ref().and_then(|package| package.signature.clone());
        let parts = self.draft.parts(job, there, package.transpose()?, signature)?;
        let script = self.draft.script(there).unwrap_or_default();
        let stdin = self.draft.stdin();
        Ok(JobPayload { spec: parts.spec, script, stdin, secrets: parts.secrets })
    }
}

/// A frame that is shorter than these bytes.
fn shorter(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut frame = vec![0; bytes.len() - 1];
    // What can't be compressed goes as it is, whatever the reason.
    let length = patch::encode(b"", bytes, &mut frame).ok().flatten()?;
    frame.truncate(length);
    frame.shrink_to_fit();
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::base::paths::Places;
    use octo_core::targets::NameSet;
    use octo_core::tentacle::spec::options::{JobOptions, What};
    use octo_core::tentacle::spec::variable_file::Programs;

    #[test]
    fn a_script_is_compressed_once_for_all_who_are_sent_it() {
        let directory = tempfile::tempdir().expect("tempdir");
        let places = Places { config: "/c".into(), state: directory.path().join("s") };
        let script = directory.path().join("s.sh");
        std::fs::write(&script, [b'#'; 5000]).expect("written");
        let script = What::Script(script.to_str().expect("a path").into());
        let mut options = JobOptions::of(script);
        options.installed = NameSet::of(["web1"]).expect("a name");
        let there = ["web1", "web2", "web3"].map(Destination::Target);
        let draft = Draft::read(&places, options, &there, Programs::Run).expect("a draft");
        let plan = JobPlan::new(JobId::generate().expect("an id"), None, draft);
        plan.request("web2", &plan.id).expect("a job");
        assert!(plan.frame.get().is_none(), "nothing is sent yet");
        let [none, one, other] = ["web1", "web2", "web3"].map(|name| {
            let payload = plan.request(name, &plan.id).expect("a job");
            plan.frame(&payload).map(<[u8]>::as_ptr_range)
        });
        // Where it is installed it is not sent, and that says nothing of the others.
        assert!(none.is_none() && one.is_some());
        assert_eq!(one, other);
    }
}
