//! Starting octo-exec as a program of its own, where the listener's user owns STATE.
//!
//! The job belongs to the machine, not to this process: octo-exec makes its own
//! session, decides again by itself, and outlives the listener.

use crate::log::Log;
use octo_core::base::paths::Places;
use octo_core::base::publish::SWEEP;
use octo_core::base::service::notify;
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::{self, JobDirectory, State, refuse};
use octo_core::tentacle::layout::Side;
use octo_core::tentacle::spool::{EntryName, Spool, TRIES};
use octo_core::{Error, Exit, JobId, Result};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// The stack of a thread that only waits for a child, and of one that looks after it.
const WAITING: usize = 32 * 1024;
const LOOKING: usize = 512 * 1024;

/// One that is killed again and again (no memory is left) keeps nobody busy.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What fails for an entry may pass in a moment; its pusher is waiting.
const TRY_AFTER: Duration = Duration::from_millis(250);

/// Where octo-exec is.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    places: Places,
    octo_exec: Option<PathBuf>,
    log: Log,
}

/// An octo-exec that was started for what is not in the spool yet: it waits for the end of
/// its input, also where that comes by our death. Dropped, it ends, and has done nothing.
#[derive(Debug)]
pub(crate) struct Ahead {
    program: Program,
    job: JobId,
    waiting: Option<(Child, Option<ChildStdin>)>,
}

impl Ahead {
    /// It is in the spool.
    pub(crate) fn go(mut self) {
        if let Some((child, input)) = self.waiting.take() {
            drop(input);
            self.program.reap(child, &self.job, 1);
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some((mut child, _input)) = self.waiting.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Program {
    /// Finds octo-exec: the one named, else beside this program, else on PATH.
    pub(super) fn find(places: &Places, named: Option<String>, log: Log) -> Program {
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
        Program { places: places.clone(), octo_exec, log }
    }

    /// Is it there? A binary that was removed since starts nothing.
    pub(super) fn check(&self) -> Result<()> {
        self.octo_exec().map(drop)
    }

    fn octo_exec(&self) -> Result<&Path> {
        self.octo_exec.as_deref().filter(|path| is_program(path)).ok_or_else(|| {
            Error::new(Exit::Unavailable, "octo-exec", "not found, no job can be started")
                .hint("install it beside octo-listen or on PATH, or name it with --exec")
        })
    }

    /// Starts `octo-exec take JOB`; whether there is something to take or to run, and
    /// whether somebody runs it already, it finds out by itself.
    pub(super) fn start(&self, job: &JobId) {
        self.try_to_start(job, 1);
    }

    /// Starts it for what is about to be spooled; `None` where it has to be started later.
    pub(super) fn ahead(&self, job: &JobId) -> Option<Ahead> {
        let mut child = self.spawn(job, &["--announced"], Stdio::piped()).ok()?;
        let input = child.stdin.take();
        let waiting = Some((child, input));
        Some(Ahead { program: self.clone(), job: job.clone(), waiting })
    }

    fn try_to_start(&self, job: &JobId, tries: u32) {
        match self.spawn(job, &[], Stdio::null()) {
            Ok(child) => self.reap(child, job, tries),
            Err(error) => self.in_thread("starter", LOOKING, {
                let (program, job) = (self.clone(), job.clone());
                move || program.look_after(&job, &error.to_string(), false, tries)
            }),
        }
    }

    fn spawn(&self, job: &JobId, options: &[&str], input: Stdio) -> Result<Child> {
        let program = self.octo_exec()?;
        let errors = if self.log.is_silent() { Stdio::null() } else { Stdio::inherit() };
        Command::new(program)
            .arg("--config")
            .arg(&self.places.config)
            .arg("--state")
            .arg(&self.places.state)
            .arg("take")
            .args(options)
            .arg(job.as_str())
            .current_dir("/")
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(errors)
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .env_remove("CREDENTIALS_DIRECTORY")
            .env_remove(notify::VARIABLE)
            .spawn()
            .map_err(|e| Error::doing("start", program, &e))
    }

    /// Waits for a child, so that no zombie stays, and looks after what it has left.
    fn reap(&self, mut child: Child, job: &JobId, tries: u32) {
        let (program, job) = (self.clone(), job.clone());
        self.in_thread("reaper", WAITING, move || {
            let Ok(status) = child.wait() else { return };
            if !status.success() {
                let is_killed = status.signal().is_some();
                program.clone().in_thread("starter", LOOKING, move || {
                    program.look_after(&job, &status.to_string(), is_killed, tries);
                });
            }
        });
    }

    /// Without a thread a child stays a zombie until this process ends: a line of ps. What
    /// it has left is looked after by whoever follows the job, or by the next listener.
    fn in_thread(&self, name: &str, stack: usize, work: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().name(name.into()).stack_size(stack);
        if thread.spawn(work).is_err() {
            self.log.failure("a job's octo-exec can't be looked after: no more threads");
        }
    }

    /// What an octo-exec that failed, was killed or never began has left is tried again:
    /// an entry some times, and then its pusher is told.
    fn look_after(&self, id: &JobId, how: &str, is_killed: bool, tries: u32) {
        if is_killed {
            // What it was making may hold secrets, and is half made.
            self.log.ok(job::sweep(&self.places, SWEEP));
        }
        let names = [EntryName::request(id), EntryName::cancel(id)];
        let spool = Spool::at(&self.places);
        let waits = |name: &&EntryName| spool.holds(name) && !name.is_done(&self.places);
        let directory = JobDirectory::of(&self.places, id);
        let stands = is_killed
            && directory.exists()
            && matches!(directory.state(), Ok(State::Queued | State::Lost));
        let left: Vec<&EntryName> = names.iter().filter(waits).collect();
        if left.is_empty() && !stands {
            return;
        }
        self.log.failure(format_args!("job {id}: its octo-exec failed: {how}"));
        if left.is_empty() || tries < TRIES {
            std::thread::sleep(if left.is_empty() { AGAIN_AFTER } else { TRY_AFTER });
            return self.try_to_start(id, tries + 1);
        }
        let why = format!("octo-exec could not take it over in {TRIES} tries: {how}");
        for name in left {
            self.log.ok(self.give_up(&spool, name, &why));
        }
    }

    /// There is no octo-exec that could note this; the audit log of octo-exec stays its own.
    fn give_up(&self, spool: &Spool, name: &EntryName, why: &str) -> Result<()> {
        let (entry, code) = (name.to_string(), Exit::Unavailable.code().to_string());
        let fields = [("entry", entry.as_str()), ("code", &code), ("reason", why)];
        refuse(&self.places, &entry, &spool.given_up(name, why))?;
        self.log.ok(Audit::of(Side::Listener, &self.places).append("refused", &fields));
        Ok(())
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
