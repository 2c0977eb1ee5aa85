//! `follow`: a job's states, output and end, live and afterwards.
//!
//! While nothing happens this sleeps in poll(2) over the job's files and the
//! connection; every 15 s it ticks and asks the trust file again.

use super::job_id;
use crate::host::{Asked, No};
use crate::session::{Ended, Reply, Session};
use octo_core::JobId;
use octo_core::tentacle::job::{Event, Follower, JobDirectory, State};
use octo_core::trust::Verb;
use octo_wire::connection::Heard;
use octo_wire::pace::TICK_EVERY;
use octo_wire::{Duplex, Failure, Message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// The largest file of values that a job hands back, in bytes.
const MAXIMUM_VALUES: u64 = 2 << 20;

/// A held job that is followed is looked at this often: octo-exec ends it when it
/// was held for too long, or when its line is gone.
const LOOK_AT_HELD: Duration = Duration::from_secs(3600);

/// Pieces of output are gathered up to this much for one write.
const GATHERED: usize = 64 * 1024;

pub(crate) fn follow<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Message,
) -> Result<Reply, Ended> {
    let id = job_id(request)?;
    let offset = request.number("offset")?.unwrap_or(0);
    let (host, caller) = (session.host, session.caller);
    let line = host.judge(caller, Verb::Follow, Asked::default())?;
    let job = host.visible(&line, &id)?;
    let mut follower = Follower::new(&job, offset).map_err(|e| No::failed(host, &e))?;
    let head = host.record_or_log(caller, &line, "follow", &[("job", id.as_str())]);
    session.connection.send(&Reply::ok(head).message, b"")?;

    let mut judged = Instant::now();
    let mut told = judged;
    let mut looked = judged;
    let mut out = Vec::new();
    loop {
        let event = follower.next_event().map_err(|e| No::failed(host, &e))?;
        if judged.elapsed() >= TICK_EVERY {
            still_trusted(session, &id)?;
            judged = Instant::now();
        }
        match event {
            Some(Event::Output(chunk)) => {
                let message = Message::new(chunk.stream.word()).with("body", chunk.bytes.len());
                out.extend(message.encode()?);
                out.extend(chunk.bytes);
                if out.len() < GATHERED {
                    continue;
                }
            }
            Some(Event::State(state)) => {
                if state == State::Lost {
                    mend(session, &job, &state);
                }
                out.extend(state_message(&state).encode()?);
                continue;
            }
            Some(Event::End(end)) => {
                session.connection.send_bytes(&out)?;
                let values = job.read("outputs", MAXIMUM_VALUES);
                if let Some(values) = values.map_err(|e| No::failed(host, &e))? {
                    let message = Message::new("outputs").with("body", values.len());
                    session.connection.send(&message, &values)?;
                }
                let mut message = Message::new("end")
                    .with("kind", end.kind.word())
                    .with("code", end.kind.code())
                    .with("at", &end.at)
                    .with("log", end.log);
                if let Some(reason) = &end.reason {
                    message = message.with("reason", reason);
                }
                if end.truncated {
                    message = message.with("truncated", "yes");
                }
                if !end.strays.is_empty() {
                    message = message.with("strays", end.strays.join("\n"));
                }
                return Ok(Reply::of(message, head));
            }
            None => {}
        }
        if !out.is_empty() {
            session.connection.send_bytes(&out)?;
            out.clear();
            told = Instant::now();
            continue;
        }
        if told.elapsed() >= TICK_EVERY {
            session.tick()?;
            told = Instant::now();
            // Whatever was to start it may have failed for a while.
            match job.state() {
                Ok(State::Held) if looked.elapsed() < LOOK_AT_HELD => {}
                Ok(state) => {
                    mend(session, &job, &state);
                    looked = Instant::now();
                }
                Err(_) => {}
            }
        }
        wait(session, &follower, told.min(judged) + TICK_EVERY)?;
    }
}

/// Sleeps until something may be new, or until this moment.
fn wait<S: Duplex>(
    session: &mut Session<'_, S>,
    follower: &Follower,
    until: Instant,
) -> Result<(), Ended> {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).ok();
    let spoke = {
        let input = session.connection.stream().input();
        let files = follower.wait_on().collect::<Vec<_>>();
        let mut fds: Vec<PollFd<'_>> = files
            .iter()
            .copied()
            .chain(input)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Failure::Io(error.into()).into()),
        }
        fds.len() > files.len() && fds.last().is_some_and(|fd| !fd.revents().is_empty())
    };
    if !spoke && !session.connection.has_buffered() {
        return Ok(());
    }
    // While a stream runs the pusher is silent: it can only have left.
    match session.connection.heard()? {
        Heard::Nothing => Ok(()),
        Heard::Farewell => Err(Ended::Over),
        Heard::Bytes => Err(Failure::Malformed("a request while a stream runs".into()).into()),
    }
}

fn still_trusted<S: Duplex>(session: &mut Session<'_, S>, id: &JobId) -> Result<(), Ended> {
    let judged = session.host.judge(session.caller, Verb::Follow, Asked::default());
    match judged.and_then(|line| session.host.visible(&line, id)) {
        Ok(_) => Ok(()),
        Err(no) => {
            let reason = format!("no longer: {}", no.reason);
            Err(Ended::Hopeless(No { reason, ..no }))
        }
    }
}

/// What should have been started, or is to be ended, is given another push.
fn mend<S: Duplex>(session: &Session<'_, S>, job: &JobDirectory, state: &State) {
    if matches!(state, State::Queued | State::Held | State::Lost)
        && let Err(error) = session.host.starter.start(job)
    {
        session.host.log.error(&error);
    }
}

fn state_message(state: &State) -> Message {
    let message = Message::new("state").with("is", state.word());
    match state {
        State::Waiting(Some(holder)) => message.with("holder", holder),
        _ => message,
    }
}
