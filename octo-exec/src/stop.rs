//! Told to end by a signal while something is under way that is then undone.

use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::signals::Ignored;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NAMES: [(i32, &str); 3] = [(SIGHUP, "SIGHUP"), (SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")];

/// Whether this process has been told to end.
#[derive(Clone)]
pub(crate) struct Stop {
    last: Arc<AtomicUsize>,
    /// What is under way, for messages.
    verb: &'static str,
}

impl Stop {
    /// From now on TERM, INT and HUP end nothing by themselves; one that whoever started
    /// us ignores stays ignored.
    ///
    /// # Errors
    /// Exit 74, where the kernel refuses.
    pub(crate) fn heeded(verb: &'static str) -> Result<Stop> {
        let last = Arc::new(AtomicUsize::new(0));
        let ignored = Ignored::by_us();
        for (signal, name) in NAMES {
            if !ignored.contains(signal) {
                signal_hook::flag::register_usize(signal, last.clone(), signal as usize)
                    .map_err(|e| Error::io(Path::new(name), &e))?;
            }
        }
        Ok(Stop { last, verb })
    }

    /// # Errors
    /// Exit 130, naming the signal, if there was one.
    pub(crate) fn check(&self) -> Result<()> {
        let last = self.last.load(Ordering::Relaxed);
        match NAMES.iter().find(|(signal, _)| *signal as usize == last) {
            Some((_, name)) => {
                Err(Error::new(Exit::Cancelled, self.verb, format!("ended by {name}")))
            }
            None => Ok(()),
        }
    }

    /// Was there a signal?
    pub(crate) fn is_told(&self) -> bool {
        self.last.load(Ordering::Relaxed) != 0
    }
}
