//! Starting jobs: octo-exec as a program of its own, or what CONFIG/start says.
//!
//! The job belongs to the machine, not to this process: octo-exec makes its own
//! session, decides again by itself, and outlives the listener.

use crate::log::Log;
use octo_core::base::argv;
use octo_core::base::paths::{Places, open_trusted, read_bounded};
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::{Error, Exit, Result};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// CONFIG/start is one line.
const MAXIMUM_LINE: u64 = 64 * 1024;

/// The stack of a thread that only waits for a child.
const STACK: usize = 32 * 1024;

/// One that is killed again and again (no memory is left) keeps nobody busy.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How jobs are started here.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    places: Places,
    octo_exec: Option<PathBuf>,
    log: Log,
}

impl Launcher {
    /// Finds octo-exec: the one named, else beside this program, else on PATH.
    pub(crate) fn find(places: &Places, named: Option<String>, log: Log) -> Launcher {
        let beside = || Some(std::env::current_exe().ok()?.parent()?.join("octo-exec"));
        let on_path = || {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).map(|d| d.join("octo-exec")).find(|p| is_program(p))
        };
        let octo_exec = named
            .map(PathBuf::from)
            .or_else(|| beside().filter(|p| is_program(p)))
            .or_else(on_path)
            .filter(|p| is_program(p))
            // Jobs are started in another directory than ours.
            .and_then(|p| std::path::absolute(p).ok());
        Launcher { places: places.clone(), octo_exec, log }
    }

    /// The argv in front of the job's directory, read afresh for each job.
    ///
    /// # Errors
    /// Exit 78 where CONFIG/start is unsound, 69 where there is no octo-exec.
    pub(crate) fn argv(&self) -> Result<Vec<OsString>> {
        if let Some(argv) = configured(&self.places.start())? {
            return Ok(argv.into_iter().map(OsString::from).collect());
        }
        let program = self.octo_exec.as_ref().ok_or_else(|| {
            Error::new(Exit::Unavailable, "octo-exec", "not found, no job can be started")
                .hint("install it beside octo-listen or on PATH, or name it with --exec")
        })?;
        let place = |path: &Path| path.as_os_str().to_os_string();
        Ok(vec![
            program.into(),
            "--config".into(),
            place(&self.places.config),
            "--state".into(),
            place(&self.places.state),
            "job".into(),
        ])
    }

    /// Starts a job that is published; whether it is to run, and whether somebody
    /// runs it already, is found out by octo-exec under the job's lock.
    ///
    /// # Errors
    /// Where nothing could be started; the job then waits for the next occasion.
    pub(crate) fn start(&self, job: &JobDirectory) -> Result<()> {
        let argv = self.argv()?;
        let program = Path::new(&argv[0]);
        let errors = if self.log.is_silent() { Stdio::null() } else { Stdio::inherit() };
        let child = Command::new(program)
            .args(&argv[1..])
            .arg(job.path())
            .env("OCTO_CONFIG", &self.places.config)
            .env("OCTO_STATE", &self.places.state)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .map_err(|e| Error::doing("start", program, &e))?;
        reap(child, job, self);
        Ok(())
    }

    /// Starts what was published and never started, and has ended what was
    /// started and died; for a listener that begins. Says how many.
    ///
    /// # Errors
    /// Where the jobs can't be read, or none can be started.
    pub(crate) fn start_waiting(&self) -> Result<usize> {
        let mut count = 0;
        for job in JobDirectory::all(&self.places)? {
            match job.state() {
                Ok(State::Queued | State::Lost) => {
                    self.start(&job)?;
                    count += 1;
                }
                Ok(_) => {}
                Err(error) => self.log.event(error),
            }
        }
        Ok(count)
    }
}

/// Waits for a child, so that no zombie stays; one that was killed leaves a job
/// that somebody must look after, whether or not anybody follows it.
fn reap(child: Child, job: &JobDirectory, launcher: &Launcher) {
    let (job, launcher, log) = (job.clone(), launcher.clone(), launcher.log);
    let wait = move |mut child: Child| {
        let Ok(status) = child.wait() else { return };
        if status.code() == Some(i32::from(Exit::Configuration.code())) {
            log.event(format_args!("job {}: could not be started, {status}", job.id()));
        }
        if status.signal().is_some() {
            look_after(job, launcher);
        }
    };
    let thread = std::thread::Builder::new().name("reaper".into()).stack_size(STACK);
    // Without a thread the child stays a zombie until this process ends: a line
    // of ps, and nothing else.
    if thread.spawn(move || wait(child)).is_err() {
        log.event("a job's end can't be waited for: no more threads");
    }
}

/// Has a job settled, or started, whose octo-exec was killed; once, since each
/// start is looked after by its own reaper. On a stack that is large enough.
fn look_after(job: JobDirectory, launcher: Launcher) {
    let log = launcher.log;
    let look = move || {
        if matches!(job.state(), Ok(State::Queued | State::Lost)) {
            log.event(format_args!("job {}: its octo-exec was killed", job.id()));
            std::thread::sleep(AGAIN_AFTER);
            log.ok(launcher.start(&job));
        }
    };
    // Without a thread, whoever follows it, or the next listener, does that.
    let _ = std::thread::Builder::new().name("launcher".into()).spawn(look);
}

/// The words of CONFIG/start; `None` without the file.
fn configured(path: &Path) -> Result<Option<Vec<String>>> {
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let mut file = open_trusted(path)?;
    let bytes = read_bounded(&mut file, path, MAXIMUM_LINE)?;
    let wrong = |number: usize, reason: &str| {
        Error::new(Exit::Configuration, format!("{}:{number}", path.display()), reason)
    };
    let text = String::from_utf8(bytes).map_err(|_| wrong(1, "not UTF-8"))?;
    let mut argv = None;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') || line.trim_ascii().is_empty() {
            continue;
        }
        let words = argv::split(line).map_err(|reason| wrong(index + 1, &reason))?;
        if argv.replace(words).is_some() {
            return Err(wrong(index + 1, "one line is the command, this is a second"));
        }
    }
    match argv {
        None => Err(wrong(1, "no command in it")),
        Some(argv) if !argv[0].starts_with('/') => {
            Err(wrong(1, "the command must be an absolute path"))
        }
        argv => Ok(argv),
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_line_is_strict() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("start");
        assert_eq!(configured(&path).expect("no file"), None);
        let with = |text: &str| {
            std::fs::write(&path, text).expect("write");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("mode");
            configured(&path)
        };
        let argv = with("# how\n/usr/bin/sudo -u \"a b\" '' octo-exec job\n").expect("argv");
        assert_eq!(argv.expect("some"), ["/usr/bin/sudo", "-u", "a b", "", "octo-exec", "job"]);
        for (bad, said) in [
            ("", "no command"),
            ("#\"\n", "no command"),
            ("# x\n", "no command"),
            ("sudo x\n", "absolute"),
            ("/a\n\n/b\n", ":3: one line"),
            ("/a \"b\n", "not closed"),
            ("\"/a 'b\n", "not closed"),
        ] {
            let error = with(bad).expect_err(bad);
            assert_eq!(error.exit, Exit::Configuration);
            assert!(error.message.contains(said), "{bad}: {error}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("mode");
        assert!(configured(&path).expect_err("mode").message.contains("writable by others"));
    }
}
