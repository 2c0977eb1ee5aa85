//! `get`: a job's artifacts; without `artifact=`, the list of them.

use crate::host::{Asked, No};
use crate::session::{Answer, Ended, Session};
use octo_core::base::beneath;
use octo_core::base::encoding::printable;
use octo_core::base::names::is_file_name;
use octo_core::base::units::human_size;
use octo_core::tentacle::job::JobDirectory;
use octo_core::trust::Verb;
use octo_core::{Error, JobId, Refusal, Result};
use octo_wire::{Duplex, Failure, Fields};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The artifacts that a list names at most.
const LISTED: usize = 10_000;

pub(crate) fn get<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> std::result::Result<Answer, Ended> {
    let id: JobId = request.need("job")?;
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Get, Asked::default())?;
    let job = host.visible(peer, &grant, &id)?;
    let head = host.record_or_log(peer, &grant, "get", &[("job", id.as_str())]);
    let Some(artifact) = request.get::<&[u8]>("artifact") else {
        let listed = list(&job).map_err(|e| No::failed(host, &e))?;
        return Ok(Answer::ok(Verb::Get, head).listing(&listed)?);
    };
    let missing = || {
        let name = printable(artifact);
        No::new(Refusal::Missing, format!("no artifact {name} of {id} here"))
    };
    let opened = open(&job, artifact).map_err(|e| No::failed(host, &e))?;
    let (file, size) = opened.ok_or_else(missing)?;
    if size > grant.max_size {
        let (size, most) = (human_size(size), human_size(grant.max_size));
        let reason = format!("the artifact has {size}, max-size is {most}");
        return Err(No::new(Refusal::Limit, reason).into());
    }
    let answer = Answer::ok(Verb::Get, head).with("body", size);
    session.connection.send_line(answer.fields.message())?;
    send(session, file, size)?;
    Err(Ended::Told)
}

fn send<S: Duplex>(
    session: &mut Session<'_, S>,
    mut file: File,
    size: u64,
) -> std::result::Result<(), Ended> {
    let mut piece = vec![0; size.min(64 * 1024) as usize];
    let mut left = size;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        // A file that became shorter leaves its promise broken: so is the connection.
        match file.read(&mut piece[..wanted]).map_err(Failure::Io)? {
            0 => return Err(Ended::Broken(Failure::Truncated)),
            count => {
                session.connection.send_bytes(&piece[..count])?;
                left -= count as u64;
            }
        }
    }
    Ok(())
}

/// The directory of the artifacts.
fn directory(job: &JobDirectory) -> Result<Option<File>> {
    let path = job.file("artifacts");
    match beneath::directory(&path) {
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(Error::io(&path, &error.into())),
        Ok(directory) => Ok(Some(File::from(directory))),
    }
}

/// Opens an artifact of the job.
fn open(job: &JobDirectory, name: &[u8]) -> Result<Option<(File, u64)>> {
    match directory(job)? {
        Some(directory) => {
            open_in(&directory, name).map_err(|e| Error::io(&job.file("artifacts"), &e))
        }
        None => Ok(None),
    }
}

/// Opens an artifact: a regular file in the directory itself, of the directory's
/// owner, reached through no link.
fn open_in(directory: &File, name: &[u8]) -> std::io::Result<Option<(File, u64)>> {
    if !is_file_name(name) {
        return Ok(None);
    }
    let file = match beneath::open(directory, Path::new(OsStr::from_bytes(name))) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::XDEV | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    let own = metadata.is_file() && metadata.uid() == directory.metadata()?.uid();
    Ok(own.then_some((file, metadata.len())))
}

fn list(job: &JobDirectory) -> Result<Vec<Fields>> {
    let mut listed = Vec::new();
    let Some(directory) = directory(job)? else { return Ok(listed) };
    let path = job.file("artifacts");
    let entries =
        rustix::fs::Dir::read_from(&directory).map_err(|e| Error::io(&path, &e.into()))?;
    for entry in entries.take(LISTED) {
        let entry = entry.map_err(|e| Error::io(&path, &e.into()))?;
        let name = entry.file_name().to_bytes();
        let size = match open_in(&directory, name) {
            Ok(opened) => opened.map(|(_, size)| size),
            // One that is closed to us must not hide the others.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
            Err(error) => return Err(Error::io(&path, &error)),
        };
        if let Some(size) = size {
            let item = Fields::item(Verb::Get).with_bytes("name", name).with("size", size);
            listed.push(item);
        }
    }
    listed.sort_by(|a, b| a.get::<&[u8]>("name").cmp(&b.get("name")));
    Ok(listed)
}
