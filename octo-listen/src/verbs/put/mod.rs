//! `put`: a package into the store, from where an earlier try broke off.
//!
//! ```text
//! put size= name=                  is there one of this size, which may be it?
//! put size= name= offset= body=    the beginning, while its sender hashes it
//! put sha256= size= name= bases=   the package, and what is left of it
//! ```

mod base;
mod output;
mod parts;
pub(crate) mod turns;

use crate::host::{Asked, Host, No, Peer};
use crate::session::{Answer, Ended, Session};
use base::Base;
use octo_core::base::units::human_size;
use octo_core::tentacle::store::{Ahead, Begin, Limits, ReceiveError, Upload};
use octo_core::trust::{Grant, Verb};
use octo_core::{Digest, Refusal};
use octo_wire::{Duplex, Failure, Fields};
use parts::Parts;
use std::io;
use std::time::{Duration, Instant};

/// How long the same package on another connection of the same pusher may stand
/// still before this one is told that it is busy.
const STANDSTILL: Duration = Duration::from_secs(60);

/// How often that other upload is looked at: each look reads the whole store, so
/// that who waits long looks seldom.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_AT_LEAST: Duration = Duration::from_secs(1);

pub(crate) fn put<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let (size, name) = (request.need("size")?, request.need("name")?);
    match (request.get("offset"), request.body(), request.get("sha256")) {
        (None, 0, Some(digest)) => {
            let bases = request.get::<&str>("bases").unwrap_or_default();
            let bases: Vec<_> = bases.split(',').filter_map(Digest::parse).collect();
            whole(session, digest, size, name, &bases)
        }
        (None, 0, None) => same_size(session, size),
        (Some(offset), body, None) => {
            ahead(session, size, name, offset, body).map_err(|ended| match ended {
                Ended::No(no) if body > 0 => Ended::Hopeless(no),
                other => other,
            })
        }
        _ => Err(Failure::Malformed("put has sha256, or offset and body".into()).into()),
    }
}

/// Has this pusher put one of this size? To send the beginning of one that is there costs
/// more than to hash it first.
fn same_size<S: Duplex>(session: &mut Session<'_, S>, size: u64) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let asked = Asked { size: Some(size), ..Asked::default() };
    let grant = host.judge(peer, Verb::Put, asked)?;
    // What octo-exec has taken over a listener of another user can't list: it isn't looked at.
    let found = host.log.ok(host.store.has_of_size(size, grant.who())) == Some(true);
    let answer = Answer::ok(Verb::Put, None);
    Ok(if found { answer.with("same-size", "yes") } else { answer })
}

/// The beginning of a file: kept until its sha256 comes, or anything else.
fn ahead<S: Duplex>(
    session: &mut Session<'_, S>,
    size: u64,
    name: &[u8],
    offset: u64,
    length: u64,
) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let before = session.ahead.take();
    let asked = Asked { size: Some(size), ..Asked::default() };
    let grant = host.judge(peer, Verb::Put, asked)?;
    let (ahead, head) = if offset == 0 {
        drop(before);
        let coming = host.spooled(peer, &grant.name).map_err(|e| No::failed(host, &e))?;
        let limits = Limits { coming: Some(&coming), ..grant.limits() };
        let ahead = session.ticking(|| host.store.ahead(size, &grant.name, limits))?;
        let ahead = ahead.map_err(No::from)?;
        let shown = String::from_utf8_lossy(name);
        let fields = [("size", &*size.to_string()), ("file", &*shown)];
        (ahead, host.must_record(peer, &grant, "put", &fields)?)
    } else {
        let goes_on =
            |ahead: &Ahead<'_>| ahead.is_of(size, &grant.name) && ahead.offset() == offset;
        let ahead = before.filter(goes_on);
        let wrong = || Failure::Malformed(format!("the {offset} bytes before did not come here"));
        (ahead.ok_or_else(wrong)?, None)
    };
    if length > size - offset {
        return Err(Failure::Malformed("more than size says".into()).into());
    }
    let received = receive(session, length, |read| ahead.receive(length, read))?;
    session.ahead = Some(received);
    Ok(Answer::ok(Verb::Put, head))
}

fn whole<S: Duplex>(
    session: &mut Session<'_, S>,
    digest: Digest,
    size: u64,
    name: &[u8],
    bases: &[Digest],
) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let asked = Asked { size: Some(size), ..Asked::default() };
    let grant = host.judge(peer, Verb::Put, asked)?;
    let shown = String::from_utf8_lossy(name).into_owned();
    let what = format!("{peer}: {}: put {digest} ({shown}, {})", grant.name, human_size(size));
    let fields = [("sha256", digest.to_string()), ("size", size.to_string()), ("file", shown)];
    let fields = fields.each_ref().map(|(key, value)| (*key, value.as_str()));

    // Octo-exec has taken it over, whole: nothing is to be sent.
    if host.log.ok(host.taken_package(&digest, &grant)).flatten() == Some(size) {
        session.ahead = None;
        let head = host.must_record(peer, &grant, "put", &fields)?;
        host.log.detail(format_args!("{what}: is there"));
        return Ok(Answer::ok(Verb::Put, head));
    }
    let mut ahead = session.ahead.take().filter(|ahead| ahead.is_of(size, &grant.name));
    let begun = session.ticking(|| begin(host, peer, &grant, &digest, size, &mut ahead))??;
    let Some(upload) = begun else {
        let head = host.must_record(peer, &grant, "put", &fields)?;
        host.log.detail(format_args!("{what}: is there"));
        return Ok(Answer::ok(Verb::Put, head));
    };
    host.must_record(peer, &grant, "put", &fields)?;
    let offset = upload.offset();
    let base = Base::find(host, &grant, bases);
    let named = base.as_ref().map(|base| base.digest);
    session.say(&Fields::ok(Verb::Put).with("offset", offset).maybe("base", named))?;
    let received =
        receive_parts(session, base.as_ref(), size - offset, |read| upload.receive(read));
    let (upload, wire) = received.inspect_err(|ended| {
        if is_mismatch(ended) {
            // What a base that was damaged brought before must not be gone on with.
            host.store.discard(&digest, &grant.name);
        }
    })?;
    // The upload took its time: whoever is no longer trusted publishes nothing.
    let asked = Asked { size: Some(size), ..Asked::default() };
    host.judge(peer, Verb::Put, asked)?;
    session.ticking(|| upload.finish())?.map_err(No::from)?;
    let by = match named {
        Some(base) => format!(", by {} that make it of {base}", human_size(wire)),
        None => String::new(),
    };
    host.log.event(format_args!("{what}: stored{by}"));
    // The package is there, come what may: the record of it is the request's.
    let head = host.record_or_log(peer, &grant, "stored", &fields[..1]);
    Ok(Answer::ok(Verb::Put, head))
}

/// Begins or takes up the upload; `None` if the package is there.
fn begin<'a>(
    host: &'a Host,
    peer: &Peer,
    grant: &Grant,
    digest: &Digest,
    size: u64,
    ahead: &mut Option<Ahead<'a>>,
) -> Result<Option<Box<Upload<'a>>>, No> {
    let mut progress = (0, Instant::now());
    let mut pause = LOOK_FIRST;
    loop {
        let coming = host.spooled(peer, &grant.name).map_err(|e| No::failed(host, &e))?;
        let limits = Limits { coming: Some(&coming), ..grant.limits() };
        match host.store.begin(digest, size, &grant.name, limits, ahead)? {
            Begin::Whole => return Ok(None),
            Begin::Upload(upload) => return Ok(Some(upload)),
            Begin::Busy => {}
        }
        let there = host.store.progress(digest, &grant.name);
        if there != progress.0 {
            progress = (there, Instant::now());
        } else if progress.1.elapsed() >= STANDSTILL {
            return Err(No::new(
                Refusal::Busy,
                "another connection is putting it and stands still",
            ));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LOOK_AT_LEAST);
    }
}

fn is_mismatch(ended: &Ended) -> bool {
    matches!(ended, Ended::Hopeless(no) if no.refusal == Refusal::Mismatch)
}

/// What reads the next bytes for whoever stores them.
type Read<'a> = &'a mut dyn FnMut(&mut [u8]) -> io::Result<usize>;

/// Hands the next bytes of the connection to whoever stores them.
fn receive<S: Duplex, T>(
    session: &mut Session<'_, S>,
    length: u64,
    store: impl FnOnce(Read<'_>) -> Result<T, ReceiveError>,
) -> Result<T, Ended> {
    let mut body = session.connection.body(length);
    stored(|buffer| Ok(body.read(buffer)?), store)
}

/// The same of so many bytes that come in parts; says also how many came in their bodies.
fn receive_parts<S: Duplex, T>(
    session: &mut Session<'_, S>,
    base: Option<&Base>,
    length: u64,
    store: impl FnOnce(Read<'_>) -> Result<T, ReceiveError>,
) -> Result<(T, u64), Ended> {
    let mut parts = Parts::new(session.connection, session.host, base, length);
    let received = stored(|buffer| parts.read(buffer), store)?;
    Ok((received, parts.wire))
}

fn stored<T>(
    mut read: impl FnMut(&mut [u8]) -> Result<usize, Ended>,
    store: impl FnOnce(Read<'_>) -> Result<T, ReceiveError>,
) -> Result<T, Ended> {
    let mut ended = None;
    let received = store(&mut |buffer| {
        read(buffer).map_err(|how| {
            ended = Some(how);
            io::Error::other("the connection failed")
        })
    });
    received.map_err(|error| match (error, ended) {
        (ReceiveError::Store(error), _) => Ended::Hopeless(error.into()),
        (ReceiveError::Sender(_), Some(ended)) => ended,
        (ReceiveError::Sender(error), None) => Ended::Broken(error.into()),
    })
}
