//! A target is connected to over the first of its ways that leads there.
//!
//! A way that leads to nobody is passed over. One that leads to somebody else is not: another
//! machine at an address of ours is news, whatever the next way would have said.

use crate::target::connection::client::{Client, TlsClient};
use crate::target::connection::client_config::ClientConfig;
use crate::target::connection::client_error::ClientError;
use crate::target::connection::dial::{Link, Way, dial};
use crate::target::connection::first_contact::Introduction;
use crate::target::connection::transport::Transport;
use crate::target::connection::via::Via;
use octo_core::base::error::{Error, Exit, describe};
use octo_core::base::units::human_duration;
use octo_core::targets::Target;
use octo_wire::pace::LOST_AFTER;
use octo_wire::{Channel, Duplex, Failure, TlsStream};
use std::time::{Duration, Instant};

/// How long connecting may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// One way.
    pub(crate) wait: Duration,
    /// All of them together.
    pub(crate) until: Option<Instant>,
}

/// What was learned of a target's ways.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    /// Which one led there last: the next connection begins with it.
    pub(crate) road: usize,
    /// Why others, tried before the one that leads there, do not.
    pub(crate) passed: Vec<Error>,
}

/// Connects and shakes hands.
///
/// # Errors
/// No connection by any way, or nobody whom we know at its other end.
pub(crate) fn open<'a>(
    config: &'a ClientConfig,
    target: &'a Target,
    patience: Patience,
    learned: &mut Learned,
) -> Result<TlsClient<'a>, ClientError> {
    learned.passed.clear();
    if let Some(command) = &config.transport {
        return over(config, Via { target, road: None }, Way::Program(command), patience.wait);
    }
    let roads = target.roads.all();
    let mut failed: Option<ClientError> = None;
    // The one that led there last, then the others as the line has them.
    let first = learned.road.min(roads.len() - 1);
    let others = (0..roads.len()).filter(|index| *index != first);
    for index in std::iter::once(first).chain(others) {
        let road = &roads[index];
        let left = patience.until.map(|until| until.saturating_duration_since(Instant::now()));
        let wait = left.map_or(patience.wait, |left| left.min(patience.wait));
        if wait.is_zero() && failed.is_some() {
            break;
        }
        match over(config, Via { target, road: Some(road) }, Way::of(road), wait) {
            Ok(client) => {
                learned.road = index;
                return Ok(client);
            }
            Err(error) if leads_nowhere(&error) => {
                learned.passed.push(error.error().clone());
                failed = Some(worse(failed.take(), error));
            }
            Err(error) => return Err(error),
        }
    }
    let passed = std::mem::take(&mut learned.passed);
    let error = failed.expect("a target has a way at least, and the first is always tried");
    Err(if passed.len() > 1 { all_of_them(error, passed) } else { error })
}

/// Whether nobody was met there, so that another way may do.
fn leads_nowhere(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Unreachable(_)
            | ClientError::Ended(_)
            | ClientError::Lost(_)
            | ClientError::Protocol(_)
    )
}

/// Of two ways that failed, the one whose class says most about trying again: a program that
/// ends may be a login that is refused, which must not be tried often, whatever is beside it.
fn worse(before: Option<ClientError>, now: ClientError) -> ClientError {
    let rank = |error: &ClientError| match error {
        ClientError::Ended(_) => 3,
        ClientError::Lost(_) => 2,
        ClientError::Unreachable(_) => 1,
        _ => 0,
    };
    match before {
        Some(before) if rank(&before) >= rank(&now) => before,
        _ => now,
    }
}

/// One error of several: each way with its reason, in the order in which they were tried.
fn all_of_them(class: ClientError, passed: Vec<Error>) -> ClientError {
    let messages: Vec<String> = passed.iter().map(|error| error.message.clone()).collect();
    let mut hints: Vec<String> = Vec::new();
    for hint in passed.into_iter().flat_map(|error| error.hints) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    class.with(Error { message: messages.join("; "), hints, exit: Exit::Unavailable })
}

/// Over this way, within `wait`.
fn over<'a>(
    config: &'a ClientConfig,
    via: Via<'a>,
    way: Way,
    wait: Duration,
) -> Result<TlsClient<'a>, ClientError> {
    let introduction = &config.introduction;
    let until = Instant::now() + wait;
    let (channel, mut transport) = match dial(via, way, wait)? {
        Link::Tcp(stream) => (Channel::tcp(stream), None),
        Link::Program(stream, program) => (Channel::new(stream.into(), None), Some(program)),
    };
    let mut channel =
        channel.map_err(|error| ClientError::Local(Error::new(Exit::Io, via, describe(&error))))?;
    channel.set_deadline(Some(until));
    let trust = &via.target.trust;
    let host = via.target.roads.address().map_or("", |address| address.host());
    let stream = TlsStream::connect(&config.identity, channel, trust, host);
    let mut stream = stream.map_err(|failure| {
        let error = no_handshake(introduction, via, failure, wait);
        match transport.as_mut() {
            Some(program) => before_a_handshake(via, program, error),
            None => error,
        }
    })?;
    stream.set_idle(Some(LOST_AFTER));
    let mut client = Client::over(introduction, via, stream);
    client.transport = transport;
    client.throttle = config.throttle.as_deref();
    Ok(client)
}

/// Why there was no handshake.
fn no_handshake(
    introduction: &Introduction,
    via: Via,
    failure: Failure,
    wait: Duration,
) -> ClientError {
    if !matches!(failure, Failure::TimedOut) {
        return ClientError::of_failure(introduction, via, failure);
    }
    let reason = format!("no TLS handshake within {}", human_duration(wait));
    let error = Error::new(Exit::Unavailable, via, reason);
    ClientError::Lost(error.hint("something listens there, but doesn't answer: is it octo-listen?"))
}

/// What it means for the program that should have been the connection. One that has ended
/// would end so again: a login that was refused, tried for minutes, locks an account.
fn before_a_handshake(via: Via, program: &mut Transport, error: ClientError) -> ClientError {
    match error {
        ClientError::Lost(error) => match program.end() {
            Some(end) => {
                let error = Error::new(Exit::Unavailable, via, end);
                ClientError::Ended(error.hint(format!("by hand: {}", program.to_type())))
            }
            None => ClientError::Lost(program.still_runs(error)),
        },
        ClientError::Protocol(error) => ClientError::Protocol(program.explain(error)),
        error => error,
    }
}
