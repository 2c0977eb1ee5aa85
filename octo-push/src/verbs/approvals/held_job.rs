//! A held job as a tentacle shows it. What its pusher has signed is verified here, and what
//! would be approved is computed here; the rest is the tentacle's word.

use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use octo_core::base::error::{Error, Exit};
use octo_core::base::names::JobId;
use octo_core::base::record::Record;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::approval::{self, Approvals, SHOWN};
use octo_core::tentacle::changes::Changes;
use octo_core::tentacle::signature;
use octo_core::tentacle::spec::{Script, Spec};
use octo_core::tentacle::statement::{Asks, Statement};
use octo_core::trust::Verb;
use octo_core::{Digest, Refusal};
use octo_wire::{Fields, Request};

/// A held job.
#[derive(Debug, Clone)]
pub(super) struct HeldJob {
    /// The tentacle that showed it.
    pub(super) tentacle: Thumbprint,
    /// What its pusher has signed, verified.
    pub(super) request: Statement,
    pub(super) spec: Spec,
    /// The script that was sent, byte for byte what the spec says.
    pub(super) script: Option<Vec<u8>>,
    /// Its standard input, as the spec says it.
    pub(super) stdin: Option<Vec<u8>>,
    /// What is to be approved: computed here.
    pub(super) digest: Digest,
    /// The digest of an installed script, by the tentacle's word.
    pub(super) installed: Option<Digest>,
    /// The line that lets it run, by the tentacle's word.
    pub(super) line: Option<String>,
    /// So many must approve it, by the tentacle's word.
    pub(super) needs: usize,
    /// Who has approved it, by the tentacle's word.
    pub(super) approved: Vec<String>,
    /// What it would change there, by the tentacle's word.
    pub(super) changes: Option<Changes>,
}

/// The parts of a reply, in their order.
struct Parts<'a>([&'a [u8]; SHOWN.len()]);

impl HeldJob {
    /// Asks for it on this connection; `None` where no such job waits there.
    ///
    /// # Errors
    /// As [`Client::ask`](crate::target::connection::client::Client::ask); exit 65 for a job
    /// that is not what its pusher has signed.
    pub(super) fn ask(
        client: &mut TlsClient<'_>,
        job: &JobId,
    ) -> Result<(Option<HeldJob>, Option<Fields>), ClientError> {
        let reply = match client.ask(&Request::new(Verb::Show).with("job", job), b"") {
            Ok(reply) => reply,
            Err(ClientError::Refused(Refusal::Missing, ..)) => return Ok((None, None)),
            Err(error) => return Err(error),
        };
        let body = client.body(&reply)?;
        let tentacle = client.peer();
        let parts = Parts::of(&reply, &body);
        let held = parts.and_then(|parts| parts.verified(job, tentacle));
        let held = held.map_err(|reason| {
            let error = Error::new(Exit::Data, format!("job {job}"), reason);
            ClientError::Local(error.hint("its pusher, and the target's admin, should know"))
        })?;
        Ok((Some(held), Some(reply)))
    }

    /// Would a person see the same?
    pub(super) fn is_like(&self, other: &HeldJob) -> bool {
        let timeless = |held: &HeldJob| {
            let (at, of) = (String::new(), None);
            held.changes.clone().map(|changes| Changes { at, held: of, ..changes })
        };
        let said = |held: &HeldJob| {
            let (by, pusher) = (held.request.by.clone(), held.request.pusher);
            (by, pusher, held.line.clone(), held.needs, held.approved.clone(), held.installed)
        };
        self.spec == other.spec && said(self) == said(other) && timeless(self) == timeless(other)
    }
}

impl<'a> Parts<'a> {
    fn of(reply: &Fields, body: &'a [u8]) -> Result<Parts<'a>, String> {
        let mut rest = body;
        let mut parts = [&b""[..]; SHOWN.len()];
        for (part, (key, _, most)) in parts.iter_mut().zip(SHOWN) {
            let length = reply.get::<u64>(key).unwrap_or(0);
            let length = Some(length).filter(|length| *length <= most);
            let length = length.and_then(|length| usize::try_from(length).ok());
            let split = length.and_then(|length| rest.split_at_checked(length));
            (*part, rest) = split.ok_or_else(|| format!("its {key} is longer than it can be"))?;
        }
        match rest.is_empty() {
            true => Ok(Parts(parts)),
            false => Err("it is longer than its parts".into()),
        }
    }

    /// Every step that octo-exec takes, but whether its pusher is trusted there.
    fn verified(&self, job: &JobId, tentacle: Option<Thumbprint>) -> Result<HeldJob, String> {
        let Parts([request, signature, certificate, spec, script, stdin, held, approved, changes]) =
            *self;
        let tentacle = tentacle.ok_or("the tentacle showed no certificate")?;
        signature::verify(certificate, request, signature)?;
        let request = Statement::parse(request).ok_or("its statement is not of the form")?;
        if request.pusher != Thumbprint::of_certificate(certificate) {
            return Err("its statement is of another pusher than its certificate".into());
        }
        if request.job != *job {
            return Err(format!("its statement is about another job, {}", request.job));
        }
        if request.tentacle != tentacle {
            return Err(format!("its statement is for another tentacle, {}", request.tentacle));
        }
        let digest = Digest::of(spec);
        if request.asks != Asks::Request(digest) {
            return Err("its statement is about another spec than what is shown".into());
        }
        let spec = Spec::recorded(spec).map_err(|error| error.reason)?;
        let record = |bytes: &[u8], what: &str| {
            Record::parse(bytes).map_err(|_| format!("its {what} is not of the form"))
        };
        let held = record(held, "record of what is held")?;
        let (sent, shown) = script_of(&spec, script, &held)?;
        if spec.stdin.is_some_and(|(digest, _)| Digest::of(stdin) != digest) {
            return Err("its standard input is not the one that was signed".into());
        }
        let line = held.first("line").map(str::to_string);
        let subject = approval::subject(job, &spec, &digest, shown, line.as_deref());
        let approvals = Approvals::of(&record(approved, "list of approvals")?);
        Ok(HeldJob {
            tentacle,
            request,
            script: sent.then(|| script.to_vec()),
            stdin: spec.stdin.map(|_| stdin.to_vec()),
            installed: shown.filter(|_| matches!(spec.script, Script::Named(_))),
            digest: approval::digest(&subject),
            line,
            needs: approval::needed(&held),
            approved: approvals
                .map(|all| all.given.iter().map(|given| given.by.shown()).collect())
                .unwrap_or_default(),
            changes: Some(changes).filter(|bytes| !bytes.is_empty()).and_then(|bytes| {
                // What isn't of the form is as good as what isn't there.
                Changes::parse(bytes).ok()
            }),
            spec,
        })
    }
}

/// Was a script sent, and what is approved of it? Only that of an installed one is the
/// tentacle's word.
fn script_of(spec: &Spec, script: &[u8], held: &Record) -> Result<(bool, Option<Digest>), String> {
    match &spec.script {
        Script::Sent { digest, .. } if Digest::of(script) == *digest => Ok((true, Some(*digest))),
        Script::Sent { .. } => Err("its script is not the one that was signed".into()),
        Script::Command(text) => Ok((false, Some(Digest::of(text.as_bytes())))),
        Script::Named(_) => Ok((false, held.first("script").and_then(Digest::parse))),
        Script::Order(_) => Err("it names nothing to run".into()),
    }
}
