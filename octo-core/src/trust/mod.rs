//! CONFIG/trusted: who may push to this machine, and what they may do.
//! octo-trust(5) describes the file.
//!
//! The first line of a pusher's thumbprint whose conditions hold decides alone;
//! whoever no line names is refused. A file with one error, or one that somebody
//! else could have written, lets nobody in. Whoever decides about a pusher, now
//! or hypothetically, calls [`Trust::decide`].

mod claimed;
mod decide;
pub mod edit;
pub mod environment;
pub mod file;
mod grant;
mod network;
mod options;
pub mod scripts;
mod shadow;
pub mod signed;
mod values;
mod verb;
mod warn;
mod window;

pub use decide::{Denial, PassedOver, Question, RunQuestion, StartedBy};
pub use file::{Line, Lines};
pub use grant::{Cited, Grant, Resources};
pub use network::Network;
pub use options::{Options, TrustOption};
pub use shadow::Unreachable;
pub use values::Allow;
pub use verb::{AllowWord, RequestRow, Verb};
pub use window::Windows;

use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{open_trusted, read_expected};
use crate::base::problem::Problem;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The largest trust file, in bytes.
pub const LARGEST: u64 = 1 << 20;

/// A sound trust file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its lines that name a pusher, in order.
    pub lines: Lines,
}

impl Trust {
    /// Reads a trust file that only root or this user could have written.
    ///
    /// # Errors
    /// Exit 78 if it is missing or unsound: then nobody may be let in.
    pub fn load(path: &Path) -> Result<Trust> {
        let bytes = read(path)?;
        Trust::parse(path, &bytes).map_err(|problems| Problem::error(&problems))
    }

    /// Does a line name this address's network in its from=? That grants nothing: it says
    /// from where pushers are to be expected.
    pub fn expects(&self, address: IpAddr) -> bool {
        self.lines.expect(address)
    }

    /// The time, for a question to this file. The zone of the machine is read
    /// only if a window asks for it: it takes milliseconds to find.
    pub fn now(&self) -> jiff::Zoned {
        if self.lines.has_windows {
            jiff::Zoned::now()
        } else {
            jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC)
        }
    }
}

/// The bytes of a trust file that only root or this user could have written.
///
/// # Errors
/// Exit 78, also where it is missing.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_all(&mut open(path)?, path)
}

fn open(path: &Path) -> Result<File> {
    open_trusted(path).map_err(|error| {
        if path.exists() {
            return error.exit(Exit::Configuration);
        }
        Error::new(Exit::Configuration, path.display(), "there is no trust file: nobody is let in")
            .hint("octo-keys trust THUMBPRINT NAME")
    })
}

fn read_all(file: &mut File, path: &Path) -> Result<Vec<u8>> {
    let length = file.metadata().map_or(0, |file| file.len());
    read_expected(file, path, length, LARGEST).map_err(|error| error.exit(Exit::Configuration))
}
