//! `put`: a package into the store, from where an earlier try broke off.

use crate::host::{Asked, Host, No};
use crate::session::{Ended, Reply, Session};
use octo_core::names::is_file_name;
use octo_core::store::{Begin, Limits, ReceiveError, StoreError, Upload};
use octo_core::trust::{Line, Verb};
use octo_core::units::human_size;
use octo_core::{Digest, Refusal};
use octo_wire::{Failure, Message, Stream};
use std::io;
use std::time::{Duration, Instant};

/// How long the same package on another connection of the same pusher may stand
/// still before this one is told that it is busy.
const STANDSTILL: Duration = Duration::from_secs(60);

/// How often that other upload is looked at: each look reads the whole store, so
/// that who waits long looks seldom.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_AT_LEAST: Duration = Duration::from_secs(1);

pub(crate) fn put<S: Stream>(
    session: &mut Session<'_, S>,
    request: &Message,
) -> Result<Reply, Ended> {
    let digest = request.digest("sha256")?;
    let size = request.number("size")?;
    let size = size.ok_or_else(|| Failure::Malformed("size is missing".into()))?;
    let name = request.value("name").unwrap_or_default();
    if !is_file_name(name) {
        return Err(Failure::Malformed("name is not a file name".into()).into());
    }
    let (host, caller) = (session.host, session.caller);
    let asked = Asked { size: Some(size), ..Asked::default() };
    let line = host.judge(caller, Verb::Put, asked)?;
    let shown = String::from_utf8_lossy(name).into_owned();
    let what = format!("{caller}: {}: put {digest} ({shown}, {})", line.name, human_size(size));
    let fields = [("sha256", digest.to_string()), ("size", size.to_string()), ("file", shown)];
    let fields = fields.each_ref().map(|(key, value)| (*key, value.as_str()));

    let begun = session.ticking(|| begin(session.host, &line, &digest, size))??;
    let Some(upload) = begun else {
        let head = host.must_record(caller, &line, "put", &fields)?;
        host.log.detail(format_args!("{what}: is there"));
        return Ok(Reply::ok(head));
    };
    host.must_record(caller, &line, "put", &fields)?;
    let offset = upload.offset();
    session.connection.send(&Message::new("ok").with("offset", offset), b"")?;
    let upload = receive(session, upload, size - offset)?;
    // The upload took its time: whoever is no longer trusted publishes nothing.
    let asked = Asked { size: Some(size), ..Asked::default() };
    host.judge(caller, Verb::Put, asked)?;
    session.ticking(|| upload.finish())?.map_err(refusal)?;
    host.log.event(format_args!("{what}: stored"));
    // The package is there, come what may: the record of it is the request's.
    let head = host.record_or_log(caller, &line, "stored", &fields[..1]);
    Ok(Reply::ok(head))
}

/// Begins or takes up the upload; `None` if the package is there.
fn begin<'a>(
    host: &'a Host,
    line: &Line,
    digest: &Digest,
    size: u64,
) -> Result<Option<Box<Upload<'a>>>, No> {
    let limits = Limits { max_store: line.max_store, any: line.sees_all_jobs() };
    let mut progress = (0, Instant::now());
    let mut pause = LOOK_FIRST;
    loop {
        let begun = host.store.begin(digest, size, &line.name, limits);
        match begun.map_err(refusal)? {
            Begin::Whole => return Ok(None),
            Begin::Upload(upload) => return Ok(Some(upload)),
            Begin::Busy => {}
        }
        let there = host.store.progress(digest, &line.name);
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

fn receive<'a, S: Stream>(
    session: &mut Session<'_, S>,
    upload: Box<Upload<'a>>,
    left: u64,
) -> Result<Upload<'a>, Ended> {
    let mut failure = None;
    let mut body = session.connection.body(left);
    let received = upload.receive(&mut |buffer| {
        body.read(buffer).map_err(|failed| {
            failure = Some(failed);
            io::Error::other("the connection failed")
        })
    });
    received.map_err(|error| match (error, failure) {
        (ReceiveError::Store(error), _) => Ended::Hopeless(refusal(error)),
        (ReceiveError::Sender(_), Some(failure)) => Ended::Broken(failure),
        (ReceiveError::Sender(error), None) => Ended::Broken(error.into()),
    })
}

fn refusal(error: StoreError) -> No {
    No::new(error.refusal, error.reason)
}
