//! Ringing STATE/doorbell: connect and close. Nothing is said there, so that nothing
//! has to be believed.

use crate::base::error::{Error, Exit, Result, describe};
use crate::base::paths::Places;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Tells octo-exec serve that there is something to look at.
///
/// # Errors
/// Exit 69 where nobody answers.
pub fn ring(places: &Places) -> Result<()> {
    let path = places.doorbell();
    // One that is stopped would be waited for by a blocking connect(2); that so many
    // have rung that no more fit tells it as well.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let rung = SocketAddrUnix::new(&path).and_then(|address| {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &address)
    });
    match rung {
        Ok(()) | Err(Errno::AGAIN) => Ok(()),
        Err(error) => {
            let reason = format!("octo-exec doesn't answer: {}", describe(&error.into()));
            Err(Error::new(Exit::Unavailable, path.display(), reason)
                .hint("start it as STATE's owner, or restart it where it runs: octo-exec serve"))
        }
    }
}
