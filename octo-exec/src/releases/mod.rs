//! What a job released, copied to where a listener reads it: when the job is over, also when
//! it is lost. octo-release says where it works by `releases=BASE/APP` in the file of
//! `$OCTO_OUTPUT`; what lies there is the job's user's, and is looked at as that user.

pub(crate) mod asking;
pub(crate) mod look;

use crate::job::prepare::directories::VALUES;
use crate::job::prepare::user;
use asking::ask;
use octo_core::base::cli::utc;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Result, describe};
use octo_core::base::paths::{Places, read_bounded};
use octo_core::base::users::User;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::releases::{self, Change, Directory, Facts, Looked, Released};
use rustix::process::geteuid;
use std::os::unix::fs::MetadataExt;

/// The largest file of values that is read.
const MAXIMUM: u64 = 1 << 20;
/// So many directories of a job are looked at.
const LOOKED_AT: usize = 100;
/// So much is said about what can't be, in characters: the room for an end is bounded.
const SAID: usize = 400;

/// Copies what the job released; says what couldn't be looked at. It takes no longer than
/// [`asking::PATIENCE`], and changes nothing about how the job ended.
pub(crate) fn keep(places: &Places, job: &JobDirectory) -> Option<String> {
    let said = match keep_all(places, job) {
        Ok(said) => said?,
        Err(error) => error.message,
    };
    Some(format!("its releases: {}", said.chars().take(SAID).collect::<String>()))
}

fn keep_all(places: &Places, job: &JobDirectory) -> Result<Option<String>> {
    if job.record("started")?.is_none() {
        return Ok(None);
    }
    let Some(user) = user_of(job)? else { return Ok(None) };
    let directories = named(job, &user)?;
    if directories.is_empty() {
        return Ok(None);
    }
    let began = jiff::Timestamp::now();
    let answers = match ask(places, &user::identity(&user)?, &directories) {
        Ok(answers) => answers,
        Err(error) => vec![Some(Looked::Failed(describe(&error))); directories.len()],
    };
    let mut troubles = Vec::new();
    let mut changes = Vec::new();
    for (directory, answer) in directories.into_iter().zip(answers) {
        let answer = answer.unwrap_or_else(|| Looked::Failed("no answer".into()));
        let blank = Released {
            user: user.name.clone(),
            directory,
            as_of: utc(began),
            looked: began.as_nanosecond(),
            job: job.id().to_string(),
            journal: None,
            is_behind: false,
            facts: Facts::default(),
        };
        changes.push(match answer {
            Looked::Gone => Change::Gone(blank.directory),
            Looked::Found(found) => Change::Seen(Box::new(Released::seen(blank, &found))),
            Looked::Failed(why) => {
                let path = blank.directory.path();
                troubles.push(format!("{}: {}", path.display(), printable(why.as_bytes())));
                Change::Unseen(blank.directory)
            }
        });
    }
    releases::apply(places, &user.name, changes, began.as_nanosecond())?;
    Ok((!troubles.is_empty()).then(|| troubles.join("; ")))
}

/// As whom the job ran; `None` where its record doesn't say: then nothing is looked at, as
/// root least of all.
fn user_of(job: &JobDirectory) -> Result<Option<User>> {
    let Some(grant) = job.record("grant")? else { return Ok(None) };
    let name = grant.first("user");
    if name.is_none() && job.owner()?.is_some() && geteuid().is_root() {
        return Ok(None);
    }
    user::of_job(name).map(Some)
}

/// The directories that it named, once each. A script may have another use for a value of
/// this name: what can't be BASE/APP is passed over.
fn named(job: &JobDirectory, user: &User) -> Result<Vec<Directory>> {
    let Some(mut file) = job.open(VALUES)? else { return Ok(Vec::new()) };
    let is_its_own =
        file.metadata().is_ok_and(|found| found.uid() == user.uid && found.len() <= MAXIMUM);
    if !is_its_own {
        return Ok(Vec::new());
    }
    let bytes = read_bounded(&mut file, &job.file(VALUES), MAXIMUM)?;
    let mut named: Vec<Directory> = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let path = line.strip_prefix(b"releases=").and_then(|path| std::str::from_utf8(path).ok());
        if let Some(directory) = path.and_then(Directory::parse)
            && named.len() < LOOKED_AT
            && !named.contains(&directory)
        {
            named.push(directory);
        }
    }
    Ok(named)
}
