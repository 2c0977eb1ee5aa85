//! Where targets come from: CONFIG/targets and what is in CONFIG/targets.d, or a file that is
//! named instead.

use super::parse::Lines;
use super::thumbprints::are_asked_for;
use super::{LARGEST, Targets, Thumbprints, kept, program};
use crate::base::cli::standard_input;
use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{Places, check_trusted, if_there, open_trusted, read_bounded};
use crate::base::printed::Bounds;
use crate::base::problem::Problem;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// So many programs run at once.
const AT_ONCE: usize = 8;

/// A file of targets that was named instead of CONFIG's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetsFile {
    /// A file, or a pipe.
    Path(PathBuf),
    /// Standard input.
    Input,
}

impl TargetsFile {
    /// What `--targets` says, else `OCTO_TARGETS`; `-` is standard input.
    pub fn of(said: Option<String>) -> Option<TargetsFile> {
        let value = said.map(OsString::from).or_else(|| std::env::var_os("OCTO_TARGETS"))?;
        if value.is_empty() {
            return None;
        }
        Some(if value == "-" { TargetsFile::Input } else { TargetsFile::Path(value.into()) })
    }

    /// Whether this is what is open already, and no file that has a name of its own.
    pub fn is_open(path: &Path) -> bool {
        let text = path.as_os_str().as_bytes();
        let number = text.strip_prefix(b"/dev/fd/").or(text.strip_prefix(b"/proc/self/fd/"));
        text == b"/dev/stdin" || number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
    }
}

impl Targets {
    /// All targets, each with the thumbprint that is known of it. Only root or this user could
    /// have written any of the files.
    ///
    /// # Errors
    /// Exit 65 where there is none of the files, or a program fails; 78 where one is unsound:
    /// the first wrong line is the message, the line itself a hint.
    pub fn load(places: &Places, named: Option<&TargetsFile>) -> Result<Targets> {
        Targets::load_within(places, named, program::BOUNDS.time)
    }

    /// As [`Targets::load`]; each program has only so much time.
    ///
    /// # Errors
    /// As there.
    pub fn load_within(
        places: &Places,
        named: Option<&TargetsFile>,
        time: Duration,
    ) -> Result<Targets> {
        let mut said = Vec::new();
        let lines = match named {
            Some(TargetsFile::Input) => {
                let place = Path::new("standard input");
                let bytes = read_bounded(&mut standard_input()?, place, LARGEST)?;
                vec![Lines { file: place.into(), bytes }]
            }
            Some(TargetsFile::Path(path)) => vec![read(path, open_named(path)?)?],
            None => configured(places, Bounds { time, ..program::BOUNDS }, &mut said)?,
        };
        let mut targets = Targets::parse_all(&lines).map_err(|wrong| Problem::error(&wrong))?;
        targets.said = said;
        if are_asked_for(&targets) {
            known(&places.thumbprints())?.join(&mut targets);
        }
        Ok(targets)
    }
}

/// CONFIG/targets, then what is in CONFIG/targets.d, by name.
fn configured(places: &Places, bounds: Bounds, said: &mut Vec<String>) -> Result<Vec<Lines>> {
    let (file, directory) = (places.targets(), places.targets_directory());
    let members = members(&directory)?;
    let mut all = Vec::new();
    if members.is_empty() || if_there(&file, file.symlink_metadata())?.is_some() {
        let opened = open_trusted(&file).map_err(|error| {
            if file.exists() {
                return error;
            }
            error.hint(format!(
                "octo-targets(5): echo 'web1 192.0.2.11 THUMBPRINT TAG' >> {}",
                file.display()
            ))
        })?;
        all.push(read(&file, opened)?);
    }
    let mut found: Vec<Option<Result<(Lines, String)>>> = Vec::new();
    for some in members.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                some.iter().map(|member| scope.spawn(move || lines_of(member, bounds))).collect();
            // One that panics is none that can be believed.
            found.extend(running.into_iter().map(|thread| thread.join().ok()));
        });
    }
    for (member, lines) in members.iter().zip(found) {
        let unread = || Error::new(Exit::Data, member.display(), "can't be read");
        let (lines, words) = lines.ok_or_else(unread)??;
        if !words.is_empty() {
            said.push(format!("{}: {words}", printable(member.as_os_str().as_bytes())));
        }
        all.push(lines);
    }
    Ok(all)
}

/// What is in the directory, in the order of names. Only what editors leave there is passed
/// over: a file that isn't read is a part of the fleet that is missing.
fn members(directory: &Path) -> Result<Vec<PathBuf>> {
    let Some(entries) = if_there(directory, std::fs::read_dir(directory))? else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| Error::io(directory, &error))?.file_name();
        let is_left =
            |name: &OsStr| name.as_bytes().starts_with(b".") || name.as_bytes().ends_with(b"~");
        if !is_left(&name) {
            all.push(directory.join(name));
        }
    }
    all.sort();
    Ok(all)
}

impl Targets {
    /// The bytes of a file of targets, or what it prints, where it is a program; and the path
    /// that messages name.
    ///
    /// # Errors
    /// As [`Targets::load`].
    pub fn member(path: &Path) -> Result<(Arc<Path>, Vec<u8>)> {
        lines_of(path, program::BOUNDS).map(|(lines, _)| (lines.file, lines.bytes))
    }
}

/// The lines of a file, or of what a program prints, and what that said besides.
fn lines_of(member: &Path, bounds: Bounds) -> Result<(Lines, String)> {
    let file = open_trusted(member)?;
    let metadata = file.metadata().map_err(|error| Error::io(member, &error))?;
    if metadata.permissions().mode() & 0o111 == 0 {
        return Ok((read(member, file)?, String::new()));
    }
    let (bytes, words) = kept::output(member, &metadata, bounds)?;
    let mut shown = member.as_os_str().to_os_string();
    shown.push(" (what it prints)");
    Ok((Lines { file: PathBuf::from(shown).into(), bytes }, words))
}

fn read(path: &Path, mut file: File) -> Result<Lines> {
    Ok(Lines { file: path.into(), bytes: read_bounded(&mut file, path, LARGEST)? })
}

/// A file as CONFIG's, or a named pipe that only we could write to and replace; or what is open
/// already, as `<(…)` is, if nobody else could write to it.
fn open_named(path: &Path) -> Result<File> {
    let is_open = TargetsFile::is_open(path);
    let failed = |error| Error::io(path, &error);
    let kind = std::fs::metadata(path).map_err(failed)?;
    if !is_open {
        if !kind.file_type().is_fifo() {
            return open_trusted(path);
        }
        check_trusted(path)?;
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    let unsound = |reason: String| Error::new(Exit::Configuration, path.display(), reason);
    if owner != 0 && owner != us {
        return Err(unsound(format!("is owned by uid {owner}, not by root or uid {us}")));
    }
    // A terminal's group may write messages on it, which nobody reads here.
    let may_be_written = metadata.is_file() || metadata.file_type().is_fifo();
    if may_be_written && metadata.permissions().mode() & 0o022 != 0 {
        return Err(unsound("others can write it".into()));
    }
    Ok(file)
}

/// CONFIG/thumbprints; nothing is known where there is none.
fn known(path: &Path) -> Result<Thumbprints> {
    if if_there(path, path.symlink_metadata())?.is_none() {
        return Ok(Thumbprints::default());
    }
    let bytes = read_bounded(&mut open_trusted(path)?, path, LARGEST)?;
    Thumbprints::parse(path, &bytes).map_err(|wrong| Problem::error(&wrong))
}
