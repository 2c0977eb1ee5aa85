//! What root hands to the listener that it becomes: the identity and the sockets, as
//! descriptors in one message over standard input. They travel inside the kernel, so that
//! neither the disk nor the environment ever has the key.

use super::systemd::MOST;
use octo_core::base::descriptors;
use octo_core::base::error::describe;
use octo_core::{Error, Exit, Result};
use octo_wire::Identity;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::stdio::stdin;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use zeroize::Zeroizing;

/// Says, as `1`, that standard input hands things over. Root sets it for the program that
/// it becomes; nobody else has a use for it.
pub(crate) const VARIABLE: &str = "OCTO_LISTEN_HANDED";

/// What comes before the number of sockets.
const GREETING: &str = "octo-listen ";

/// What was handed over.
pub(super) struct Handed {
    pub(super) identity: Zeroizing<Vec<u8>>,
    pub(super) sockets: Vec<TcpListener>,
}

/// Sends them to whoever reads the socket that is returned, to be its standard input.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn send(identity: &[u8], sockets: &[TcpListener]) -> io::Result<UnixStream> {
    let key = sealed(identity)?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut descriptors = vec![key.as_fd()];
    descriptors.extend(sockets.iter().map(AsFd::as_fd));
    let message = SendAncillaryMessage::ScmRights(&descriptors);
    let mut space = vec![MaybeUninit::uninit(); message.size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(message) {
        return Err(io::ErrorKind::ArgumentListTooLong.into());
    }
    let text = format!("{GREETING}{}", sockets.len());
    sendmsg(&ours, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::empty())?;
    Ok(theirs)
}

/// A file without a name that holds these bytes and can't be changed any more.
fn sealed(bytes: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("identity", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

/// What this process was handed, if it was; standard input is /dev/null from then on.
///
/// # Errors
/// Exit 78 where it was said to be, and wasn't.
pub(super) fn receive() -> Result<Option<Handed>> {
    if std::env::var_os(VARIABLE).is_none() {
        return Ok(None);
    }
    let wrong = |reason: &str| {
        let reason = format!("{reason}: only octo-listen -u sets {VARIABLE}");
        Error::new(Exit::Configuration, "standard input", reason)
    };
    let (said, descriptors) = read().map_err(|e| wrong(&describe(&e)))?;
    let mut descriptors = descriptors.into_iter();
    let count = said.strip_prefix(GREETING).and_then(|count| count.parse().ok());
    let (Some(key), true) = (descriptors.next(), count == Some(descriptors.len())) else {
        return Err(wrong("hands nothing over"));
    };
    descriptors::stdin_is_null().map_err(|e| wrong(&describe(&e)))?;
    let identity = Identity::read_open(File::from(key), Path::new("identity"))?;
    Ok(Some(Handed { identity, sockets: descriptors.map(TcpListener::from).collect() }))
}

fn read() -> io::Result<(String, Vec<OwnedFd>)> {
    let mut text = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST + 1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut text)];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(stdin(), &mut into, &mut control, flags)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((String::from_utf8_lossy(&text[..received.bytes]).into_owned(), descriptors))
}
