//! STATE/doorbell: a Unix socket that is connected to and closed, and says nothing but
//! that the spool has something new.

use super::again::Pause;
use octo_core::base::appended;
use octo_core::base::argv::quote;
use octo_core::base::cli::Tool;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::publish::TEMPORARY_PREFIX;
use octo_core::base::service::journal::Priority;
use octo_core::tentacle::layout;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Instant;

/// So many rings are taken off before the spool is looked at again.
const AT_ONCE: usize = 128;

/// The socket, and that it is ours alone.
pub(super) struct Doorbell {
    socket: UnixListener,
    /// It can't be answered.
    rest: Pause,
    _alone: File,
}

impl Doorbell {
    /// Hangs it up, for the listener's group; one a state directory.
    ///
    /// # Errors
    /// Exit 75 where another answers already, 73 where it can't be made.
    pub(super) fn new(places: &Places) -> Result<Doorbell> {
        let path = places.doorbell();
        let failed = |e: io::Error| {
            Error::new(
                Exit::CannotCreate,
                path.display(),
                format!("can't create: {}", describe(&e)),
            )
        };
        let alone = layout::lock_file(places, "serve")?;
        if !appended::lock_alone(&alone, &path)? {
            let reason = "another octo-exec serve uses this state directory";
            let lock = layout::lock_path(places, "serve");
            let holder = format!("fuser -v {}", quote(&lock.to_string_lossy()));
            return Err(Error::new(Exit::Temporary, places.state.display(), reason).hint(holder));
        }
        // It appears with its group and mode: who rings before is told that nobody answers.
        let staged = places.state.join(format!("{TEMPORARY_PREFIX}doorbell"));
        let _ = std::fs::remove_file(&staged);
        let socket = UnixListener::bind(&staged).map_err(failed)?;
        let listener = layout::listener(places);
        let group = Some(listener.gid).filter(|gid| *gid != layout::Owner::this_process().gid);
        std::os::unix::fs::chown(&staged, None, group).map_err(failed)?;
        std::fs::set_permissions(&staged, std::fs::Permissions::from_mode(0o660))
            .map_err(failed)?;
        std::fs::rename(&staged, &path).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Doorbell { socket, rest: Pause::default(), _alone: alone })
    }

    /// Takes off what has rung, and says whether anything may have: nothing is read, so that
    /// nothing is believed. One that rings without end keeps us from nothing: what is left
    /// wakes us again.
    pub(super) fn clear(&mut self, tool: &Tool) -> bool {
        if self.rest.is_on() {
            return false;
        }
        for taken in 0..AT_ONCE {
            let Err(error) = self.socket.accept() else { continue };
            if is_of_others(&error) {
                self.rest.end();
                return taken > 0;
            }
            // It stays in the queue, and would wake us at once: poll(2) has to leave it out
            // for a while.
            if self.rest.begin() {
                let resting = format!("doorbell: {}, resting", describe(&error));
                tool.say_at(Priority::Error, resting);
            }
            return true;
        }
        true
    }

    /// What to wait for: nothing, as long as it rests.
    pub(super) fn descriptor(&self) -> PollFd<'_> {
        let flags = if self.rest.is_on() { PollFlags::empty() } else { PollFlags::IN };
        PollFd::new(&self.socket, flags)
    }

    /// Until when it rests.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rest.until()
    }
}

/// That nobody rings, or that who did is gone: all but a lack of descriptors or memory.
fn is_of_others(error: &io::Error) -> bool {
    let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_none_or(|error| !lacks.contains(&error))
}
