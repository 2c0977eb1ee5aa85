//! HUP reads the identity again, where it is ours to read. TERM and INT end the listener at
//! once, as anything may, but for the line that says what was counted of late.

use crate::admission::connections::Listening;
use crate::host::Host;
use crate::startup::identity::{Source, check_own};
use octo_core::base::error::describe;
use octo_core::{Error, Exit, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::{emulate_default_handler, pipe};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const STACK: usize = 256 * 1024;

/// How long a disk may take, at the end, for what was only counted.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Starts a thread that sleeps until a signal comes.
pub(crate) fn heed(listening: &Arc<Listening>, host: &Arc<Host>, source: Source) -> Result<()> {
    let failed = |e: std::io::Error| Error::new(Exit::Io, "signals", describe(&e));
    let (mut receiver, sender) = UnixStream::pair().map_err(failed)?;
    // The handlers note which one ends it and write a byte: the rest is done by the thread.
    let last = Arc::new(AtomicUsize::new(0));
    for signal in [SIGTERM, SIGINT] {
        flag::register_usize(signal, Arc::clone(&last), signal as usize).map_err(failed)?;
        pipe::register(signal, sender.try_clone().map_err(failed)?).map_err(failed)?;
    }
    pipe::register(SIGHUP, sender).map_err(failed)?;
    let (listening, host) = (Arc::clone(listening), Arc::clone(host));
    let thread = std::thread::Builder::new().name("signals".into()).stack_size(STACK);
    let started = thread.spawn(move || {
        let mut byte = [0];
        while receiver.read(&mut byte).is_ok_and(|count| count > 0) {
            match i32::try_from(last.load(Ordering::SeqCst)) {
                Ok(0) | Err(_) => reload(&listening, &host, &source),
                Ok(signal) => end(&listening, signal),
            }
        }
    });
    started.map(drop).map_err(failed)
}

/// Records what was only counted so far, if the disk lets us, and lets the signal do what
/// it does.
fn end(listening: &Arc<Listening>, signal: i32) {
    let (done, is_done) = std::sync::mpsc::channel();
    let listening = Arc::clone(listening);
    let flush = move || {
        listening.flush();
        // Nobody may wait any more.
        let _ = done.send(());
    };
    let thread = std::thread::Builder::new().name("end".into()).stack_size(STACK);
    if thread.spawn(flush).is_ok() {
        let _ = is_done.recv_timeout(LAST_WORDS);
    }
    // It doesn't return for these two.
    let _ = emulate_default_handler(signal);
}

fn reload(listening: &Listening, host: &Host, source: &Source) {
    let identity = source.load().and_then(|identity| {
        check_own(&host.places, &identity)?;
        Ok(identity)
    });
    match identity {
        Ok(identity) => {
            let thumbprint = identity.thumbprint();
            listening.change_identity(identity);
            // Not before: whoever reads this may connect at once.
            host.log.event(format_args!("identity read again: {thumbprint}"));
        }
        Err(error) => {
            host.log.error(&error);
            host.log.event("the identity stays as it was");
        }
    }
    host.log.ok(host.trust.load());
}
