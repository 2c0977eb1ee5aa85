//! `run`: a job, published once under the id that its pusher chose, and started.
//!
//! The body is the spec (`spec=` bytes of it), then the script (`script=`), then
//! the secrets (the rest). Asked again with the same id and spec, it attaches.

use crate::host::{Asked, Host, No, Peer};
use crate::session::{Answer, Ended, Session};
use octo_core::base::no_core;
use octo_core::tentacle::audit::Head;
use octo_core::tentacle::job::{
    JobDirectory, JobRequest, NewJob, Published, Pusher, State, is_pruned,
};
use octo_core::tentacle::spec::{MAXIMUM, MAXIMUM_SCRIPT, MAXIMUM_SECRETS, Script, Spec};
use octo_core::tentacle::store::Who;
use octo_core::trust::{Grant, RunQuestion, Verb};
use octo_core::{Digest, JobId, LockName, Refusal};
use octo_wire::{Duplex, Failure, Fields};

/// The longest claim of who asks, in bytes.
const MAXIMUM_BY: usize = 256;

/// A run's body, taken apart and checked against itself.
struct JobBody {
    spec: Spec,
    digest: Digest,
    bytes: Vec<u8>,
    script: usize,
    secrets: usize,
}

pub(crate) fn run<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let id: JobId = request.need("job")?;
    let by: &str = request.get("by").unwrap_or_default();
    if by.len() > MAXIMUM_BY {
        return Err(Failure::Malformed(format!("by is longer than {MAXIMUM_BY} bytes")).into());
    }
    // Whoever may run nothing at all need not send it. What else its line says
    // comes later: a job that is there is attached to at any time.
    let grant = host.judge(peer, Verb::Connect, Asked::default()).map_err(Ended::Hopeless)?;
    if !grant.allow.covers(Verb::Run) {
        host.judge(peer, Verb::Run, Asked::default()).map_err(Ended::Hopeless)?;
    }
    let body = receive(session, request)?;

    if let Some(answer) = attach(host, peer, &id, &body)? {
        return Ok(answer);
    }
    let (grant, job, head) = publish(host, peer, &id, by, &body)?;
    let what = describe(&body.spec);
    host.log.event(format_args!("{peer}: {}: run {id} {what}: accepted", grant.name));
    // It is published, durably: the pusher need not wait for a fork.
    let told = session.say(&Answer::ok(Verb::Run, head).with("job", &id).fields);
    host.start(&job);
    told?;
    Err(Ended::Told)
}

fn receive<S: Duplex>(session: &mut Session<'_, S>, request: &Fields) -> Result<JobBody, Ended> {
    let length = request.body();
    let spec = request.get("spec").unwrap_or(length);
    let script = request.get("script").unwrap_or(0);
    let secrets = spec.checked_add(script).and_then(|front| length.checked_sub(front));
    let secrets =
        secrets.ok_or_else(|| Failure::Malformed("spec and script are longer than body".into()))?;
    for (what, length, maximum) in [
        ("spec", spec, MAXIMUM),
        ("script", script, MAXIMUM_SCRIPT),
        ("secrets", secrets, MAXIMUM_SECRETS),
    ] {
        if length > maximum {
            let reason = format!("{what}: {length} bytes, {maximum} at most");
            return Err(Ended::Hopeless(No::new(Refusal::Limit, reason)));
        }
    }
    if secrets > 0 {
        no_core::of_us();
    }
    let bytes = session.connection.read_body(length, MAXIMUM + MAXIMUM_SCRIPT + MAXIMUM_SECRETS)?;
    // All three are below their maximum, and so below usize's.
    Ok(JobBody::of(bytes, spec as usize, script as usize)?)
}

impl JobBody {
    fn of(bytes: Vec<u8>, script: usize, length: usize) -> Result<JobBody, No> {
        let secrets = script + length;
        let spec =
            Spec::parse(&bytes[..script]).map_err(|error| No::new(error.refusal, error.reason))?;
        let digest = Digest::of(&bytes[..script]);
        let body = JobBody { spec, digest, bytes, script, secrets };
        let announced = match &body.spec.script {
            Script::Sent { digest, .. } => Some(*digest),
            _ => None,
        };
        if body.script().map(Digest::of) != announced {
            return Err(No::new(Refusal::Mismatch, "the script is not the one of its spec"));
        }
        if body.secrets().map(Digest::of) != body.spec.secrets_digest {
            return Err(No::new(Refusal::Mismatch, "the secrets are not those of the spec"));
        }
        Ok(body)
    }

    fn spec(&self) -> &[u8] {
        &self.bytes[..self.script]
    }

    /// An empty script is a script, where one is announced.
    fn script(&self) -> Option<&[u8]> {
        let is_sent = matches!(self.spec.script, Script::Sent { .. });
        (is_sent || self.script < self.secrets).then(|| &self.bytes[self.script..self.secrets])
    }

    fn secrets(&self) -> Option<&[u8]> {
        (self.secrets < self.bytes.len()).then(|| &self.bytes[self.secrets..])
    }
}

/// The reply if this job is there already.
fn attach(host: &Host, peer: &Peer, id: &JobId, body: &JobBody) -> Result<Option<Answer>, Ended> {
    if !JobDirectory::of(&host.places, id).exists() {
        let gone = is_pruned(&host.places, id).map_err(|e| No::failed(host, &e))?;
        if gone {
            let reason = format!("the job {id} ran and was pruned");
            return Err(No::new(Refusal::Gone, reason).into());
        }
        return Ok(None);
    }
    // What runs already needs no window and no quota.
    let grant = host.judge(peer, Verb::Follow, Asked::default())?;
    let job = host.visible(&grant, id)?;
    let there = job.spec_bytes().map_err(|e| No::failed(host, &e))?;
    if there != body.spec() {
        let reason = format!("the job {id} is there with another spec");
        return Err(No::new(Refusal::Conflict, reason).into());
    }
    // Who published it may have been killed before its name was durable.
    octo_core::base::publish::sync_directory(&host.places.jobs())
        .map_err(|e| No::failed(host, &e))?;
    if matches!(job.state(), Ok(State::Queued | State::Lost)) {
        host.start(&job);
    }
    let head = host.record_or_log(peer, &grant, "attach", &[("job", id.as_str())]);
    Ok(Some(Answer::ok(Verb::Run, head).with("job", id).with("attached", "yes")))
}

fn publish(
    host: &Host,
    peer: &Peer,
    id: &JobId,
    by: &str,
    body: &JobBody,
) -> Result<(Grant, JobDirectory, Option<Head>), Ended> {
    let failed = |error: octo_core::Error| No::failed(host, &error);
    // A job that nothing can start is better refused than queued.
    host.launcher.argv().map_err(failed)?;
    // From here to the end the package stays where it is.
    let _kept = host.store.keep().map_err(failed)?;
    let named = match &body.spec.script {
        Script::Named(name) => Some(name.as_str()),
        _ => None,
    };
    let locks: Vec<LockName> = body.spec.locks.iter().map(|lock| lock.name.clone()).collect();
    let ask = |starting: bool, jobs: Option<u64>| {
        let started_by = host.starts_as();
        let run = Some(RunQuestion { named, locks: &locks, starting, started_by });
        let size = Some(body.bytes.len() as u64);
        host.judge(peer, Verb::Run, Asked { size, jobs, run })
    };
    let grant = ask(false, None)?;
    let submission = host.submit(&grant.name).map_err(failed)?;
    // What an operator is to approve starts when he does, and is judged then.
    let grant = ask(!grant.hold, Some(submission.jobs))?;
    if let Some((package, _)) = &body.spec.package {
        let who = if grant.allow.any { Who::Any } else { Who::Pusher(&grant.name) };
        if host.store.holds(package, who).map_err(failed)?.is_none() {
            let reason = format!("no package {package} of {} here", grant.name);
            return Err(No::new(Refusal::Missing, reason).into());
        }
    }
    let what = describe(&body.spec);
    let digest = body.digest.to_string();
    let fields = [("job", id.as_str()), ("spec", &digest), ("what", &what), ("by", by)];
    let head = host.must_record(peer, &grant, "run", &fields)?;
    let pusher =
        Pusher { thumbprint: peer.thumbprint, name: grant.name.clone(), address: peer.address };
    let request = JobRequest {
        pusher: Some(pusher),
        by: by.to_string(),
        received: octo_core::base::cli::utc_now(),
    };
    let (script, secrets) = (body.script(), body.secrets());
    let new = NewJob { id, request: &request, spec: body.spec(), script, secrets };
    match new.publish(&host.places).map_err(failed)? {
        Published::New(job) => Ok((grant, job, head)),
        // Another connection was faster with the same id: it is asked for again.
        Published::Exists(_) => {
            Err(No::new(Refusal::Busy, format!("the job {id} came just now: repeat")).into())
        }
        Published::Pruned => {
            Err(No::new(Refusal::Gone, format!("the job {id} ran and was pruned")).into())
        }
    }
}

/// What runs, in a few words for the log.
fn describe(spec: &Spec) -> String {
    match &spec.script {
        Script::Sent { digest, name } => format!("script {name} {digest}"),
        Script::Named(name) => format!("name {name}"),
        Script::Command(text) => format!("command {}", text.chars().take(200).collect::<String>()),
    }
}
