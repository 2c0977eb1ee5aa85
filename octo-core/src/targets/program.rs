//! A program of CONFIG/targets.d: it prints lines, as a file there would hold them.

use crate::base::error::{Error, Result};
use crate::base::last_words::LastWords;
use crate::base::own_program;
use crate::base::printed::Bounds;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// So long it may take: an inventory asks others.
const TIME: Duration = Duration::from_secs(60);

/// What it prints, and the last that it said on standard error; run without an argument, in its
/// directory, as whoever asks and with his environment.
///
/// # Errors
/// Exit 78 where others could have written it or it can't be run; 65 where it fails, takes too
/// long or prints too much, with the last that it said.
pub(super) fn output(path: &Path, most: u64) -> Result<(Vec<u8>, String)> {
    own_program::check(path).map_err(|error| match error.hints.is_empty() {
        true => error.hint(format!("chmod -x {}, if it holds the lines itself", path.display())),
        false => error,
    })?;
    let absolute = std::path::absolute(path).map_err(|error| Error::io(path, &error))?;
    let (mut words, errors) = LastWords::listen().map_err(|error| Error::io(path, &error))?;
    let mut command = Command::new(&absolute);
    command.current_dir(absolute.parent().unwrap_or(Path::new("/"))).stderr(errors);
    let bytes = usize::try_from(most).unwrap_or(usize::MAX);
    let printed = own_program::output(path, command, Bounds { time: TIME, bytes });
    words.finish();
    let told = words.told();
    match printed {
        Ok(bytes) => Ok((bytes, told)),
        Err(error) if told.is_empty() => Err(error),
        Err(error) => Err(Error { message: format!("{}: {told}", error.message), ..error }),
    }
}
