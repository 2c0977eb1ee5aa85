//! Signals, as octo-exec and its scripts are to have them, whoever starts it.

use octo_core::error::{Error, Exit, Result, describe};
use octo_core::signals::is_ignored;
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;
use std::sync::Arc;

/// The last of the real-time signals, signal(7).
const LAST: i32 = 64;

/// Under `ulimit -f` a log that is full is an error of one write: the signal would
/// end us, and the job were lost. A handler, since scripts would inherit "ignored".
///
/// # Errors
/// Where the kernel refuses that.
pub(crate) fn outlive_file_size_limits() -> Result<()> {
    let registered = flag::register(SIGXFSZ, Arc::default());
    registered.map(drop).map_err(|e| Error::new(Exit::Io, "signals", describe(&e)))
}

/// What our starter ignores, our scripts do not inherit: one that a listener in the
/// background of a shell has started would else be deaf to INT and QUIT, and a shell
/// can't change that. A handler of ours ends with the script's exec(2), and is to us
/// as if it were ignored still.
pub(crate) fn heed_in_scripts() {
    for signal in (1..=LAST).filter(|signal| is_ignored(*signal)) {
        if !signal_hook::consts::FORBIDDEN.contains(&signal) {
            // Those that the C library keeps for itself (32, 33) stay as they are.
            let _ = flag::register(signal, Arc::default());
        }
    }
}
