//! HUP reads the identity again, where it is ours to read. TERM and INT end the listener at
//! once, as anything may, but for the line that says what was counted of late.

use crate::admission::connections::Listening;
use crate::host::Host;
use crate::startup::identity::{Source, check_own};
use octo_core::base::error::describe;
use octo_core::base::service::notify;
use octo_core::{Error, Exit, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::{emulate_default_handler, pipe};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const STACK: usize = 256 * 1024;

/// How long a disk may take, at the end, for what was only counted.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Heeds them from now on. HUP has a thread of its own: reading the identity again may hang,
/// on a disk or a log that stands still, and the end waits for nobody.
pub(crate) fn heed(listening: &Arc<Listening>, host: &Arc<Host>, source: Source) -> Result<()> {
    let failed = |e: io::Error| Error::new(Exit::Io, "signals", describe(&e));
    let last = Arc::new(AtomicUsize::new(0));
    for signal in [SIGTERM, SIGINT] {
        // First of all: whoever is woken reads which one it was.
        flag::register_usize(signal, Arc::clone(&last), signal as usize).map_err(failed)?;
    }
    let ending = Arc::clone(listening);
    let which = move || i32::try_from(last.load(Ordering::SeqCst)).unwrap_or(SIGTERM);
    on(&[SIGTERM, SIGINT], move || end(&ending, which())).map_err(failed)?;
    let (listening, host) = (Arc::clone(listening), Arc::clone(host));
    on(&[SIGHUP], move || reload(&listening, &host, &source)).map_err(failed)
}

/// Starts a thread that sleeps until one of these signals comes, and then does this.
fn on(signals: &[i32], act: impl Fn() + Send + 'static) -> io::Result<()> {
    let (mut receiver, sender) = UnixStream::pair()?;
    for signal in signals {
        pipe::register(*signal, sender.try_clone()?)?;
    }
    let thread = std::thread::Builder::new().name("signals".into()).stack_size(STACK);
    let started = thread.spawn(move || {
        while receiver.read(&mut [0]).is_ok_and(|count| count > 0) {
            act();
        }
    });
    started.map(drop)
}

/// Records what was only counted so far, if the disk lets us, and lets the signal do what
/// it does.
fn end(listening: &Arc<Listening>, signal: i32) {
    let (done, is_done) = std::sync::mpsc::channel();
    let listening = Arc::clone(listening);
    let flush = move || {
        let _ = notify::stopping();
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
    tell(host, notify::reloading());
    let identity = source.load().and_then(|identity| {
        check_own(&host.places, &identity)?;
        Ok(identity)
    });
    let status = match identity {
        Ok(identity) => {
            let status = format!("identity read again: {}", identity.thumbprint());
            listening.change_identity(identity);
            // Not before: whoever reads this may connect at once.
            host.log.event(&status);
            status
        }
        Err(error) => {
            host.log.error(&error);
            let status = "the identity stays as it was";
            host.log.failure(status);
            status.to_string()
        }
    };
    host.log.ok(host.trust.load());
    // Also where the old one stays: it serves.
    tell(host, notify::ready(&status));
}

/// systemd, which otherwise waits in vain.
pub(crate) fn tell(host: &Host, told: io::Result<()>) {
    if let Err(error) = told {
        host.log.failure(format_args!("{}: {}", notify::VARIABLE, describe(&error)));
    }
}
