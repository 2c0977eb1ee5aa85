//! HUP reads the identity again, where it is ours to read. TERM and INT are left as they are: they end the
//! listener at once, as anything may.

use crate::admission::connections::Listening;
use crate::host::Host;
use crate::startup::identity::{Source, check_own};
use octo_core::base::error::describe;
use octo_core::{Error, Exit, Result};
use signal_hook::consts::SIGHUP;
use signal_hook::low_level::pipe;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

const STACK: usize = 256 * 1024;

/// Starts a thread that sleeps until a HUP comes.
pub(crate) fn reload_on_hangup(
    listening: &Arc<Listening>,
    host: &Arc<Host>,
    source: Source,
) -> Result<()> {
    let failed = |e: std::io::Error| Error::new(Exit::Io, "signals", describe(&e));
    let (mut receiver, sender) = UnixStream::pair().map_err(failed)?;
    // The handler does nothing but write a byte: the rest is done by the thread.
    pipe::register(SIGHUP, sender).map_err(failed)?;
    let (listening, host) = (Arc::clone(listening), Arc::clone(host));
    let thread = std::thread::Builder::new().name("signals".into()).stack_size(STACK);
    let started = thread.spawn(move || {
        let mut byte = [0];
        while receiver.read(&mut byte).is_ok_and(|count| count > 0) {
            reload(&listening, &host, &source);
        }
    });
    started.map(drop).map_err(failed)
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
