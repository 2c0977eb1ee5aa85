//! `show`: a held job as its pusher sent and signed it, so that whoever approves it verifies
//! that himself; and what octo-exec says of it.

use crate::host::{Asked, No};
use crate::session::{Answer, Ended, Session};
use octo_core::tentacle::approval::SHOWN;
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::trust::Verb;
use octo_core::{Error, JobId, Refusal};
use octo_wire::pace::TICK_EVERY;
use octo_wire::{Duplex, Fields};

/// A script or an input that is larger waits for its turn: it is in memory until it is sent.
const SMALL: u64 = 1 << 20;

pub(crate) fn show<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let id: JobId = request.need("job")?;
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Show, Asked::default())?;
    let job = JobDirectory::of(&host.places, &id);
    let is_held = job.exists() && matches!(job.state(), Ok(State::Held));
    if !is_held {
        // Of jobs that don't wait for approval nothing is told, not even that they are there.
        return Err(
            No::new(Refusal::Missing, format!("no job {id} waits for approval here")).into()
        );
    }
    let head = host.record_or_log(peer, &grant, "show", &[("job", id.as_str())]);
    let is_large = |name| job.file(name).metadata().is_ok_and(|file| file.len() > SMALL);
    let is_large = ["script", "stdin"].into_iter().any(is_large);
    let turn = match is_large {
        true => Some(host.turns.take(TICK_EVERY, || session.tick())?),
        false => None,
    };
    let parts = parts(&job).map_err(|error| No::failed(host, &error))?;
    let mut answer = Answer::ok(Verb::Show, head);
    for ((key, ..), bytes) in SHOWN.iter().zip(&parts) {
        answer = answer.with(key, bytes.len());
    }
    let answer = answer.with("body", parts.iter().map(Vec::len).sum::<usize>());
    session.connection.send_line(answer.fields.message())?;
    for bytes in &parts {
        session.connection.send_bytes(bytes)?;
    }
    drop(turn);
    Err(Ended::Told)
}

/// What is not there is empty: a command has no script, and not each job changes something.
fn parts(job: &JobDirectory) -> Result<Vec<Vec<u8>>, Error> {
    SHOWN.iter().map(|(_, file, most)| Ok(job.read(file, *most)?.unwrap_or_default())).collect()
}
