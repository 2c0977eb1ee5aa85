//! INT, HUP and TERM, handed to the main thread by a thread that sleeps until one
//! comes.

use crate::fleet::rolling::hook::Departure;
use octo_core::base::signals::Ignored;
use rustix::event::{PollFd, PollFlags, poll};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// What the person, or the terminal, wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C: cancel; again: leave.
    Interrupt,
    /// A closed terminal or TERM: leave, let the jobs run.
    Leave,
}

/// Catches INT, HUP and TERM, but for those that our starter ignores (nohup, a
/// shell's background job), and tells `each` of them.
pub(crate) fn catch(each: impl Fn(Signal) + Send + 'static) -> std::io::Result<()> {
    const CAUGHT: [(i32, Signal); 3] =
        [(2, Signal::Interrupt), (1, Signal::Leave), (15, Signal::Leave)];
    let ignored = Ignored::by_us();
    let mut streams: Vec<(UnixStream, Signal)> = Vec::new();
    for (number, signal) in CAUGHT {
        if !ignored.contains(number) {
            let (read, write) = UnixStream::pair()?;
            signal_hook::low_level::pipe::register(number, write)?;
            streams.push((read, signal));
        }
    }
    if streams.is_empty() {
        return Ok(());
    }
    std::thread::Builder::new().name("signals".into()).stack_size(64 * 1024).spawn(move || {
        loop {
            let mut ready: Vec<PollFd> = streams
                .iter()
                .map(|(s, _)| PollFd::from_borrowed_fd(s.as_fd(), PollFlags::IN))
                .collect();
            if poll(&mut ready, None).is_err() {
                continue;
            }
            let which: Vec<bool> = ready.iter().map(|fd| !fd.revents().is_empty()).collect();
            for ((stream, signal), ready) in streams.iter_mut().zip(which) {
                let mut byte = [0];
                if ready && matches!(stream.read(&mut byte), Ok(1)) {
                    each(*signal);
                }
            }
        }
    })?;
    Ok(())
}

/// Ends the process if the main thread does not get to it: a pager that has
/// stopped reading must not keep us from leaving.
pub(crate) fn leave_soon(departure: &Arc<Departure>, status: u8) {
    let departure = Arc::clone(departure);
    let _ = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        if departure.in_its_place(Duration::from_secs(2)) {
            std::process::exit(status.into());
        }
    });
}
