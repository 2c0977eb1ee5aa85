//! A job by hand, started and followed to its end.

use crate::job::prepare::{secrets, stdin};
use crate::job::watch::is_readable;
use crate::start;
use octo_core::base::cli::{Tool, print_bytes};
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::operator;
use octo_core::base::paths::Places;
use octo_core::base::signals::Ignored;
use octo_core::tentacle::job::{End, EndKind, Event, Follower, JobDirectory, State, Stream};
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Starts a job, shows its output, and asks for its cancellation at Ctrl-C.
pub(super) fn to_end(tool: &Tool, places: &Places, job: &JobDirectory) -> Result<End> {
    // Held to the end: where all signals are ignored, nobody else has the other half.
    let (interrupts, _theirs) =
        interrupts().map_err(|e| Error::new(Exit::Io, object(job), describe(&e)))?;
    // Before it is started: nothing of it is missed.
    let mut follower = Follower::new(None, places, job, 0)?;
    let mut following = JobByHand {
        tool,
        places,
        job,
        interrupts,
        program: None,
        cancelling: false,
        output: Ok(()),
    };
    following.start()?;
    loop {
        if let Some(end) = following.show_news(&mut follower)? {
            return following.output.map(|()| end);
        }
        if following.program.as_ref().is_some_and(Program::is_over) {
            following.look_after()?;
        } else {
            following.wait(&follower)?;
        }
    }
}

/// A job that can't be started here must not be started by somebody else later:
/// that is what 75 says. Where it is not ours any more, its end is not known.
pub(super) fn withdraw(job: &JobDirectory, error: Error) -> Error {
    match withdrawn(job, &error) {
        Ok(true) => error,
        _ => error.exit(Exit::UnknownEnd).hint(format!("octo-exec show {}", job.id())),
    }
}

fn withdrawn(job: &JobDirectory, error: &Error) -> Result<bool> {
    let Some(_held) = job.try_hold()? else { return Ok(false) };
    if job.end()?.is_some() || job.open("started")?.is_some() {
        return Ok(false);
    }
    let end = End::unstarted(EndKind::Denied(Exit::Temporary.code()), &error.message);
    secrets::unlink(job)?;
    stdin::remove(job);
    // Of a job by hand, whose end nobody is told from afar.
    job.publish_end(&end, None, None)?;
    Ok(true)
}

struct JobByHand<'a> {
    tool: &'a Tool,
    places: &'a Places,
    job: &'a JobDirectory,
    /// Readable when somebody pressed Ctrl-C.
    interrupts: UnixStream,
    /// What brings the job forward, as long as it has to be looked after.
    program: Option<Program>,
    cancelling: bool,
    output: Result<()>,
}

impl JobByHand<'_> {
    fn start(&mut self) -> Result<()> {
        let started = Program::start(self.places, self.job);
        self.program = Some(started.map_err(|error| withdraw(self.job, error))?);
        Ok(())
    }

    /// Shows what is new; the end, once there is one.
    fn show_news(&mut self, follower: &mut Follower) -> Result<Option<End>> {
        while let Some(event) = follower.next_event()? {
            match event {
                Event::Output(chunk) if self.output.is_ok() => {
                    self.output = show(chunk.stream, &chunk.bytes);
                }
                Event::State(State::Waiting(holder)) => {
                    let holder = holder.unwrap_or_default();
                    let object = object(self.job);
                    self.tool.say(format!("{object}: waits for a lock, held by {holder}"));
                }
                Event::Output(_) | Event::State(_) => {}
                Event::End(end) => return Ok(Some(end)),
            }
        }
        Ok(None)
    }

    /// The program is over, and there is no end yet.
    fn look_after(&mut self) -> Result<()> {
        self.program = None;
        match self.job.state()? {
            // It died before the end: once more, to settle it.
            State::Lost => self.start(),
            State::Over(_) | State::Running | State::Waiting(_) => Ok(()),
            State::Queued | State::Held => {
                Err(Error::new(Exit::UnknownEnd, object(self.job), "was not started")
                    .hint("octo-exec start"))
            }
        }
    }

    fn wait(&mut self, follower: &Follower) -> Result<()> {
        let over = self.program.as_ref().map(|program| program.over.as_fd());
        let others = over.into_iter().chain([self.interrupts.as_fd()]);
        let mut fds: Vec<PollFd<'_>> = follower
            .wait_on()
            .chain(others)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let _ = poll(&mut fds, None);
        if !matches!((&self.interrupts).read(&mut [0; 64]), Ok(woken) if woken > 0) {
            return Ok(());
        }
        if self.cancelling {
            let reason = "left while it was being cancelled";
            return Err(Error::new(Exit::UnknownEnd, object(self.job), reason)
                .hint(format!("octo-exec show {}", self.job.id())));
        }
        self.cancelling = true;
        let object = object(self.job);
        self.tool.say(format!("{object}: cancelling; once more to leave at once"));
        self.job.cancel(&operator::at_host())
    }
}

fn object(job: &JobDirectory) -> String {
    format!("job {}", job.id())
}

/// Readable when somebody pressed Ctrl-C, or asked us to end.
fn interrupts() -> io::Result<(UnixStream, UnixStream)> {
    let (interrupts, theirs) = UnixStream::pair()?;
    interrupts.set_nonblocking(true)?;
    let ignored = Ignored::by_us();
    // In the background of a shell, Ctrl-C is not meant for us.
    for signal in [SIGINT, SIGTERM].into_iter().filter(|signal| !ignored.contains(*signal)) {
        pipe::register(signal, theirs.try_clone()?)?;
    }
    Ok((interrupts, theirs))
}

/// `octo-exec job`, started, and a descriptor that ends with it.
struct Program {
    over: OwnedFd,
}

impl Program {
    fn start(places: &Places, job: &JobDirectory) -> Result<Program> {
        let failed = |e: io::Error| Error::new(Exit::Temporary, object(job), describe(&e));
        let (over, theirs) = io::pipe().map_err(failed)?;
        let mut child = start::program(places, job)?;
        std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || {
                let _tells = theirs;
                let _ = child.wait();
            })
            .map_err(failed)?;
        Ok(Program { over: over.into() })
    }

    fn is_over(&self) -> bool {
        is_readable(self.over.as_fd())
    }
}

fn show(stream: Stream, bytes: &[u8]) -> Result<()> {
    if stream == Stream::Out {
        return print_bytes(bytes);
    }
    // A closed standard error is no reason to stop.
    let _ = io::stderr().lock().write_all(bytes);
    Ok(())
}
