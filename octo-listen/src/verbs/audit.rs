//! `audit`: is a head that this tentacle once gave still in its chain?

use crate::host::{Asked, No};
use crate::session::{Answer, Ended, Session};
use octo_core::Refusal;
use octo_core::tentacle::audit::{Head, Proof};
use octo_core::trust::Verb;
use octo_wire::{Duplex, Failure, Fields};

pub(crate) fn audit<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Audit, Asked::default())?;
    let seq = request.get::<u64>("seq").filter(|seq| *seq > 0);
    let seq = seq.ok_or_else(|| Failure::Malformed("seq is missing or 0".into()))?;
    let asked = Head { seq, hash: request.need("head")? };
    let audit = match request.get::<&str>("chain") {
        None => &host.audit,
        Some("exec") => &host.exec_audit,
        Some(_) => return Err(Failure::Malformed("chain is not exec".into()).into()),
    };
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
