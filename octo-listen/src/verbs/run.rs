//! `run`: a job, handed over once under the id that its pusher chose.
//!
//! The body is the statement (`request=` bytes of it), its signature (`signature=`), the
//! spec (`spec=`), the script (`script=`, or `frame=` where it comes as one frame of
//! Zstandard), the standard input (`stdin=`), and the secrets (the rest). Asked again with the same id and spec, it attaches.

use super::statement::{self, SignedBody};
use crate::host::{Asked, Host, No, Peer};
use crate::session::{Answer, Ended, Session};
use crate::starter::Ahead;
use crate::submission::{Purpose, Submission};
use octo_core::base::no_core;
use octo_core::patch::{self, LARGEST_SEGMENT, longest_frame};
use octo_core::tentacle::audit::Head;
use octo_core::tentacle::job::{JobDirectory, Refused, is_pruned};
use octo_core::tentacle::spec::sent::SentParts;
use octo_core::tentacle::spec::{MAXIMUM, MAXIMUM_SCRIPT, MAXIMUM_SECRETS, Script, Spec, stdin};
use octo_core::tentacle::spool::{Entry, EntryName};
use octo_core::tentacle::statement::{Asks, Statement};
use octo_core::trust::{Grant, RunQuestion, Verb};
use octo_core::{Digest, JobId, Refusal};
use octo_wire::pace::TICK_EVERY;
use octo_wire::{Duplex, Failure, Fields};

/// So large a script is decoded at any time; a larger one waits for its turn, with packages.
const SMALL: usize = 1 << 20;

/// A run's body, taken apart and checked against itself.
struct JobBody<'a> {
    signed: SignedBody<'a>,
    statement: Statement,
    sent: SentParts<'a>,
}

/// How long the parts behind the statement are.
struct Lengths {
    spec: usize,
    /// The script's own length.
    script: usize,
    /// That of its frame, where it came as one.
    frame: Option<usize>,
    stdin: usize,
}

pub(crate) fn run<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let id: JobId = request.need("job")?;
    may_at_all(host, peer)?;
    host.starter.get_ready();
    let (bytes, lengths) = receive(session, request)?;
    // As long as the script is in memory: few bytes make 8 MiB, of a job that is accepted, too.
    let turn = match lengths.frame {
        Some(_) if lengths.script > SMALL => Some(host.turns.take(TICK_EVERY, || session.tick())?),
        _ => None,
    };
    let mut room = Vec::new();
    let body = JobBody::of(request, &bytes, &lengths, &mut room)?;

    if let Some(answer) = attach(host, peer, &id, &body)? {
        return Ok(answer);
    }
    let (grant, head, ahead) = spool(host, peer, &id, &body)?;
    let what = describe(&body.sent.spec);
    host.log.event(format_args!("{peer}: {}: run {id} {what}: accepted", grant.name));
    let has_package = body.sent.spec.package.is_some();
    // Not while a pusher is told, who may read slowly.
    drop(body);
    drop((room, turn));
    // It is handed over, durably: the pusher need not wait for its start.
    let answer = Answer::ok(Verb::Run, head).with("job", &id).fields;
    let told = session.say(&answer.maybe("audit-exec", host.exec_head()));
    ahead.map_or_else(|| host.start(&id), Ahead::go);
    if has_package {
        host.janitor.expect_package(&JobDirectory::of(&host.places, &id));
    }
    session.ran = Some(id);
    told?;
    Err(Ended::Told)
}

/// Whoever may run nothing at all need not send a body. What else its line says comes
/// later: a job that is there is attached to at any time.
pub(super) fn may_at_all(host: &Host, peer: &Peer) -> Result<(), Ended> {
    let grant = host.judge(peer, Verb::Connect, Asked::default()).map_err(Ended::Hopeless)?;
    if ![Verb::Run, Verb::Freeze, Verb::Approve].iter().any(|verb| grant.allow.covers(*verb)) {
        host.judge(peer, Verb::Run, Asked::default()).map_err(|no| {
            let neither = "may neither run scripts nor freeze applications";
            let reason = no.reason.replace("may not run scripts", neither);
            Ended::Hopeless(No { reason, ..no })
        })?;
    }
    Ok(())
}

fn receive<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<(Vec<u8>, Lengths), Ended> {
    let (length, signed) = (request.body(), statement::lengths(request)?.0);
    let spec = request.get("spec").unwrap_or(length.saturating_sub(signed));
    let script = request.get("script").unwrap_or(0);
    let frame: Option<u64> = request.get("frame");
    let stdin = request.get("stdin").unwrap_or(0);
    let parts = [spec, frame.unwrap_or(script), stdin];
    let front = parts.iter().try_fold(signed, |sum, part| sum.checked_add(*part));
    let secrets = front.and_then(|front| length.checked_sub(front));
    let secrets =
        secrets.ok_or_else(|| Failure::Malformed("its parts are longer than body".into()))?;
    for (what, length, maximum) in [
        ("spec", spec, MAXIMUM),
        ("script", script, MAXIMUM_SCRIPT),
        ("stdin", stdin, stdin::MAXIMUM),
        ("secrets", secrets, MAXIMUM_SECRETS),
    ] {
        if length > maximum {
            let reason = format!("{what}: {length} bytes, {maximum} at most");
            return Err(Ended::Hopeless(No::new(Refusal::Limit, reason)));
        }
    }
    if let Some(frame) = frame
        && (script > LARGEST_SEGMENT as u64 || frame > longest_frame(script as usize) as u64)
    {
        let reason = format!("a script of {script} bytes does not come as a frame of {frame}");
        return Err(Failure::Malformed(reason).into());
    }
    if secrets > 0 {
        no_core::of_us();
    }
    let most = signed + MAXIMUM + MAXIMUM_SCRIPT + stdin::MAXIMUM + MAXIMUM_SECRETS;
    let bytes = session.connection.read_body(length, most)?;
    // All are below their maximum, and so below usize's.
    let frame = frame.map(|frame| frame as usize);
    let [spec, script, stdin] = [spec, script, stdin].map(|length| length as usize);
    Ok((bytes, Lengths { spec, script, frame, stdin }))
}

impl<'a> JobBody<'a> {
    /// What was received; `room` gets the script, where that came as a frame.
    fn of(
        request: &Fields,
        bytes: &'a [u8],
        lengths: &Lengths,
        room: &'a mut Vec<u8>,
    ) -> Result<JobBody<'a>, Ended> {
        let (signed, rest) = SignedBody::split(request, bytes)?;
        let (spec, rest) = rest.split_at(lengths.spec);
        let (came, rest) = rest.split_at(lengths.frame.unwrap_or(lengths.script));
        let (stdin, secrets) = rest.split_at(lengths.stdin);
        let script = match lengths.frame {
            None => came,
            Some(_) => {
                // What is as large is given back when it is free; and as small, it is no larger than
                // the script would have come: without a turn, all who are connected have it.
                *room = match lengths.script > SMALL {
                    true => patch::room(),
                    false => vec![0; lengths.script],
                };
                let script = &mut room[..lengths.script];
                let decoded = patch::decode(b"", came, script);
                decoded.map_err(|reason| Failure::Malformed(format!("the script: {reason}")))?;
                script
            }
        };
        let sent = SentParts::check(spec, script, stdin, secrets).map_err(No::from)?;
        let statement = signed.parse()?;
        Ok(JobBody { signed, statement, sent })
    }
}

/// The reply if this job is there already.
fn attach(
    host: &Host,
    peer: &Peer,
    id: &JobId,
    body: &JobBody<'_>,
) -> Result<Option<Answer>, Ended> {
    let Some((grant, job)) = there(host, peer, id, body.sent.digest)? else { return Ok(None) };
    // Who handed it over may have been killed before its name was durable.
    host.spool.sync().map_err(|error| No::failed(host, &error))?;
    if let Ok(state) = host.state(&job) {
        host.push_on(id, &state);
    }
    let head = host.record_question(peer, &grant, "attach", id.as_str());
    Ok(Some(Answer::ok(Verb::Run, head).with("job", id).with("attached", "yes")))
}

/// The job of this id and spec, if it is there: in the spool, as a job, as one that was
/// refused, or pruned.
pub(super) fn there(
    host: &Host,
    peer: &Peer,
    id: &JobId,
    digest: Digest,
) -> Result<Option<(Grant, JobDirectory)>, Ended> {
    let failed = |error: octo_core::Error| No::failed(host, &error);
    let Some(there) = spec_of(host, id).map_err(failed)? else {
        if is_pruned(&host.places, id).map_err(failed)? {
            let reason = format!("the job {id} ran and was pruned");
            return Err(No::new(Refusal::Gone, reason).into());
        }
        return Ok(None);
    };
    // What runs already needs no window and no quota.
    let grant = host.judge(peer, Verb::Follow, Asked::default())?;
    let job = host.visible(peer, &grant, id)?;
    if there != Some(digest) {
        let reason = format!("the job {id} is there with another spec");
        return Err(No::new(Refusal::Conflict, reason).into());
    }
    Ok(Some((grant, job)))
}

/// The sha256 of the spec under which this id is taken; `None` where it is free.
fn spec_of(host: &Host, id: &JobId) -> octo_core::Result<Option<Option<Digest>>> {
    let spooled = host.spool.statement(&EntryName::request(id));
    if let Some(Asks::Request(spec)) = spooled.map(|statement| statement.asks) {
        return Ok(Some(Some(spec)));
    }
    let job = JobDirectory::of(&host.places, id);
    if job.exists() {
        return Ok(Some(Some(Digest::of(&job.spec_bytes()?))));
    }
    Ok(Refused::of(&host.places, id)?.map(|refused| refused.spec))
}

/// Judges the request, and hands it over.
fn spool(
    host: &Host,
    peer: &Peer,
    id: &JobId,
    body: &JobBody<'_>,
) -> Result<(Grant, Option<Head>, Option<Ahead>), Ended> {
    let failed = |error: octo_core::Error| No::failed(host, &error);
    let (sent, spec) = (&body.sent, &body.sent.spec);
    statement::check(peer, &body.statement, id, Asks::Request(sent.digest))?;
    host.starter.check().map_err(failed)?;
    // From here to the end the package stays in our store. In that of octo-exec's user, where
    // that is another, its prune leaves what the spool names.
    let _kept = host.store.keep().map_err(failed)?;
    let (grant, _submission) = judge(host, peer, id, spec, sent.lengths(), Purpose::Run)?;
    if let Some((package, _)) = &spec.package
        && host.package(package, &grant).map_err(failed)?.is_none()
    {
        let reason = format!("no package {package} of {} here", grant.name);
        return Err(No::new(Refusal::Missing, reason).into());
    }
    let ahead = host.starter.ahead(id);
    let what = describe(spec);
    let (digest, by) = (sent.digest.to_string(), &body.statement.by);
    let fields = [("job", id.as_str()), ("spec", &digest), ("what", &what), ("by", by)];
    let head = host.must_record(peer, &grant, "run", &fields)?;
    let entry = Entry {
        address: peer.address,
        signed: body.signed.by(peer),
        spec: sent.bytes,
        script: sent.script.unwrap_or_default(),
        stdin: sent.stdin.unwrap_or_default(),
        secrets: sent.secrets.unwrap_or_default(),
    };
    match host.spool.put(&EntryName::request(id), &entry).map_err(failed)? {
        true => Ok((grant, head, ahead)),
        // Another connection was faster with the same id: it is asked for again.
        false => Err(No::new(Refusal::Busy, format!("the job {id} came just now: repeat")).into()),
    }
}

/// May this job run, of whose parts there are so many bytes? One that is to run
/// is among those that are under way until the second part of a yes is dropped.
pub(super) fn judge<'a>(
    host: &'a Host,
    peer: &Peer,
    id: &JobId,
    spec: &Spec,
    lengths: [u64; 4],
    purpose: Purpose,
) -> Result<(Grant, Submission<'a>), Ended> {
    let size = lengths.iter().sum();
    let verb = spec.verb();
    let ask = |starting: bool, jobs: Option<u64>| {
        let run = || RunQuestion::of(spec, starting, host.started_by.clone());
        let run = (verb == Verb::Run).then(run);
        host.judge(peer, verb, Asked { size: Some(size), jobs, run })
    };
    let grant = ask(false, None)?;
    if let Script::Order(order) = &spec.script {
        order.check(jiff::Timestamp::now()).map_err(No::from)?;
    }
    let submission = Submission::new(host, peer, &grant.name, id, lengths, purpose);
    let submission = submission.map_err(|error| No::failed(host, &error))?;
    // What an operator is to approve starts when he does, and is judged then.
    let grant = ask(grant.hold == 0, Some(submission.jobs))?;
    submission.check_room(&grant)?;
    Ok((grant, submission))
}

/// What runs, in a few words for the log.
fn describe(spec: &Spec) -> String {
    match &spec.script {
        Script::Sent { digest, name } => format!("script {name} {digest}"),
        Script::Named(name) => format!("name {name}"),
        Script::Command(text) => format!("command {}", text.chars().take(200).collect::<String>()),
        Script::Order(order) => format!("{} {order}", order.word()),
    }
}
