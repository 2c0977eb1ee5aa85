//! `audit`: is a head that this tentacle once gave still in its chain? And its lines, for
//! a pusher who may copy them.

use crate::host::{Asked, Host, No};
use crate::session::{Answer, Ended, Session};
use octo_core::tentacle::audit::{Audit, Head, Proof};
use octo_core::tentacle::layout::Side;
use octo_core::trust::Verb;
use octo_core::{Exit, Refusal};
use octo_wire::{Duplex, Failure, Fields};

/// The lines of one reply are at most so long, unless it is one.
const MOST: usize = 1 << 20;

pub(crate) fn audit<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let side = match request.get::<&str>("chain") {
        None => Side::Listener,
        Some("exec") => Side::Executor,
        Some(_) => return Err(Failure::Malformed("chain is not exec".into()).into()),
    };
    if let Some(from) = request.get::<u64>("from") {
        return lines(session, side, from);
    }
    session.lines = None;
    let grant = host.judge(peer, Verb::Audit, Asked::default())?;
    let seq = request.get::<u64>("seq").filter(|seq| *seq > 0);
    let seq = seq.ok_or_else(|| Failure::Malformed("seq is missing or 0".into()))?;
    let asked = Head { seq, hash: request.need("head")? };
    let audit = log(host, side);
    // The whole chain is read: megabytes a second, for years of lines.
    let proof = session.ticking(|| audit.proves(asked))?;
    match proof.map_err(|e| No::failed(host, &e))? {
        Proof::Holds => {
            let head = host.record_question(peer, &grant, "audit", "");
            Ok(Answer::ok(Verb::Audit, head))
        }
        Proof::TooOld => {
            let reason = format!("line {seq} is in an older file that is not kept here");
            Err(No::new(Refusal::Missing, reason).into())
        }
        Proof::Unseen(why) => {
            Err(No::new(Refusal::Unseen, format!("can't see line {seq}: {why}")).into())
        }
        Proof::Fails(problem) => {
            host.log.problem("audit: ", &problem);
            Err(No::new(Refusal::Mismatch, format!("the chain is broken: {}", problem.reason))
                .into())
        }
    }
}

fn log(host: &Host, side: Side) -> &Audit {
    match side {
        Side::Listener => &host.audit,
        Side::Executor => &host.exec_audit,
    }
}

/// Lines from this number on. They name other pushers and their jobs: who may connect may
/// not read them for that.
fn lines<S: Duplex>(session: &mut Session<'_, S>, side: Side, from: u64) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Fetch, Asked::default())?;
    if from == 0 {
        return Err(Failure::Malformed("from is 0".into()).into());
    }
    // Before the lines: they reach at least as far as the head that goes with them.
    let head = host.record_question(peer, &grant, "fetch", "");
    let left =
        session.lines.take().filter(|(of, lines)| *of == side && lines.next_number() == from);
    let (given, lines) = session
        .ticking(|| {
            let mut lines = match left {
                Some((_, lines)) => lines,
                None => log(host, side).lines(from)?,
            };
            lines.give(MOST).map(|given| (given, lines))
        })?
        .map_err(|error| match error.exit {
            Exit::Unavailable => No::new(Refusal::Unseen, format!("can't see {}", error.message)),
            Exit::Data => No::new(Refusal::Mismatch, error.message),
            _ => No::failed(host, &error),
        })?;
    let length = given.bytes.len();
    let mut answer = Answer { body: given.bytes, ..Answer::ok(Verb::Audit, head) };
    if given.more {
        session.lines = Some((side, lines));
        answer = answer.with("more", "yes");
    }
    Ok(answer.with("body", length))
}
