//! A program of CONFIG/targets.d: it prints lines, as a file there would hold them.

use super::LARGEST;
use crate::base::error::{Error, Result};
use crate::base::last_words::LastWords;
use crate::base::own_program;
use crate::base::printed::Bounds;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// So long it may take, as an inventory asks others, and as much print as a file may hold.
pub(super) const BOUNDS: Bounds = Bounds { time: Duration::from_secs(60), bytes: LARGEST as usize };

/// What it prints, and the last that it said on standard error; run without an argument, in its
/// directory, as whoever asks and with his environment.
///
/// # Errors
/// Exit 78 where others could have written it or it can't be run; 65 where it fails, takes too
/// long or prints too much, with the last that it said.
pub(super) fn output(path: &Path, bounds: Bounds) -> Result<(Vec<u8>, String)> {
    own_program::check(path).map_err(|error| match error.hints.is_empty() {
        true => error.hint(format!("chmod -x {}, if it holds the lines itself", path.display())),
        false => error,
    })?;
    let absolute = std::path::absolute(path).map_err(|error| Error::io(path, &error))?;
    let (mut words, errors) = LastWords::listen().map_err(|error| Error::io(path, &error))?;
    let mut command = Command::new(&absolute);
    command.current_dir(absolute.parent().unwrap_or(Path::new("/"))).stderr(errors);
    let printed = own_program::output(path, command, bounds);
    words.finish();
    let told = words.told();
    match printed {
        Ok(bytes) => Ok((bytes, told)),
        Err(error) if told.is_empty() => Err(error),
        Err(error) => Err(Error { message: format!("{}: {told}", error.message), ..error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    /// It asks a cloud that doesn't answer, and what it started outlives nothing.
    #[test]
    fn one_that_takes_too_long_is_ended_and_its_words_are_told() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("inventory");
        let text = "#!/bin/sh\necho 'asking the cloud' >&2\nsleep 600 &\necho $! >child\nwait\n";
        std::fs::write(&path, text).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        // Long enough for a busy machine to start it.
        let bounds = Bounds { time: Duration::from_secs(2), bytes: 1000 };
        let error = output(&path, bounds).expect_err("it never ends");
        assert!(error.message.ends_with("was not over after 2 s: asking the cloud"), "{error}");
        let child = std::fs::read_to_string(directory.path().join("child")).expect("child");
        let lives = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        let until = Instant::now() + Duration::from_secs(60);
        while lives() {
            assert!(Instant::now() < until, "it lives");
            std::thread::yield_now();
        }
    }
}
