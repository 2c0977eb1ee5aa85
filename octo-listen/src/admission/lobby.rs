//! Where strangers wait until their first record is there. One thread looks after all of
//! them: a connection that says nothing costs a descriptor.

use crate::admission::lost::Lost;
use crate::admission::strangers::{Capacity, Shaking, Strangers, Waiting};
use octo_wire::tls::{FirstRecord, first_record};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{RecvFlags, recv};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many of the first bytes say what a peer speaks.
const TELLING: usize = 16;

/// The number that no connection has: of what wakes the thread.
const WAKE: u64 = u64::MAX;

/// While somebody waits for his turn, it is looked so often whether that has come.
const TURN: Duration = Duration::from_millis(100);

/// Who waits, and who is in a handshake.
#[derive(Debug)]
pub(crate) struct Lobby {
    strangers: Mutex<Strangers<Visitor>>,
    epoll: OwnedFd,
    wake: OwnedFd,
}

/// A connection that nothing is known about.
#[derive(Debug)]
struct Visitor {
    stream: TcpStream,
    address: IpAddr,
}

/// Whose handshake is to begin.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) stream: TcpStream,
    pub(crate) address: IpAddr,
    /// When it came.
    pub(crate) since: Instant,
    pub(crate) place: HandshakePlace,
}

/// A place in a handshake, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct HandshakePlace {
    lobby: Arc<Lobby>,
    shaking: Shaking,
    was_let_in: Option<bool>,
}

/// What a look at a connection shows.
enum Seen {
    /// Not enough yet.
    Silent,
    Ready,
    Lost(String),
}

impl Lobby {
    /// An empty one.
    ///
    /// # Errors
    /// Where a descriptor can't be had.
    pub(crate) fn new(capacity: Capacity) -> io::Result<Arc<Lobby>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
        let strangers = Mutex::new(Strangers::new(capacity));
        Ok(Arc::new(Lobby { strangers, epoll, wake }))
    }

    /// Lets a newcomer wait; says who was hung up on for him. `is_named`: does the trust
    /// file name his network?
    ///
    /// # Errors
    /// Where the kernel has no memory for that.
    pub(crate) fn admit(
        &self,
        stream: TcpStream,
        address: IpAddr,
        is_named: bool,
    ) -> io::Result<Option<Lost>> {
        let mut strangers = self.strangers();
        let was_empty = strangers.next_deadline().is_none();
        // Each arrival of bytes is one event: whoever drips causes no more than he sends.
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        // Before anybody loses his place to one who can't be let wait.
        epoll::add(&self.epoll, &stream, EventData::new_u64(strangers.next_number()), flags)?;
        let visitor = Visitor { stream, address };
        let (_, loser) = strangers.admit(address, is_named, visitor, Instant::now());
        drop(strangers);
        if was_empty {
            self.wake();
        }
        Ok(loser.map(|loser| (loser.connection.address, "others needed its place".into())))
    }

    /// Waits until something is to be done: whose handshake is to begin, and who was lost.
    ///
    /// # Errors
    /// Where the kernel has no memory for that.
    pub(crate) fn attend(self: &Arc<Lobby>) -> io::Result<(Vec<Begun>, Vec<Lost>)> {
        let until = self.next_look();
        let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut buffer = [const { MaybeUninit::uninit() }; 64];
        let events = match epoll::wait(&self.epoll, &mut buffer, timeout.as_ref()) {
            Ok((events, _)) => &*events,
            Err(Errno::INTR) => &[],
            Err(error) => return Err(error.into()),
        };
        let mut lost = Vec::new();
        let mut strangers = self.strangers();
        for event in events {
            let (flags, number) = (event.flags, event.data.u64());
            match number {
                WAKE => drop(rustix::io::read(&self.wake, &mut [0; 8])),
                _ => lost.extend(look(&mut strangers, number, flags)),
            }
        }
        let now = Instant::now();
        let overdue = strangers.overdue(now).into_iter();
        lost.extend(overdue.map(|w| (w.connection.address, too_late())));
        let mut begun = Vec::new();
        while let Some((waiting, shaking)) = strangers.begin(now) {
            begun.push(self.begun(waiting, shaking));
        }
        Ok((begun, lost))
    }

    fn begun(self: &Arc<Lobby>, waiting: Waiting<Visitor>, shaking: Shaking) -> Begun {
        let Visitor { stream, address } = waiting.connection;
        // It was there, and is open still.
        let _ = epoll::delete(&self.epoll, &stream);
        let place = HandshakePlace { lobby: Arc::clone(self), shaking, was_let_in: None };
        Begun { stream, address, since: waiting.since, place }
    }

    fn next_look(&self) -> Option<Instant> {
        let strangers = self.strangers();
        let turn = strangers.has_ready().then(|| Instant::now() + TURN);
        strangers.next_deadline().into_iter().chain(turn).min()
    }

    fn wake(&self) {
        // Where it is full, the thread is being woken already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers<Visitor>> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a handshake is ended with that takes too long.
pub(crate) fn too_late() -> String {
    "no handshake within 10 s".into()
}

/// What a peer is ended with that went away.
pub(crate) fn hung_up() -> String {
    "it hung up before the handshake was over".into()
}

impl HandshakePlace {
    /// Gives it back after a handshake that let somebody in, or didn't.
    pub(crate) fn over(mut self, was_let_in: bool) {
        self.was_let_in = Some(was_let_in);
    }
}

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        let mut strangers = self.lobby.strangers();
        strangers.over(self.shaking, self.was_let_in, Instant::now());
        let somebody_waits = strangers.has_ready();
        drop(strangers);
        if somebody_waits {
            self.lobby.wake();
        }
    }
}

/// Looks what a connection has sent; says whether it is lost.
fn look(strangers: &mut Strangers<Visitor>, number: u64, flags: EventFlags) -> Option<Lost> {
    let visitor = &strangers.find(number)?.connection;
    match see(&visitor.stream, flags) {
        Seen::Silent => None,
        Seen::Ready => {
            strangers.is_ready(number);
            None
        }
        Seen::Lost(reason) => {
            let visitor = strangers.remove(number)?.connection;
            Some((visitor.address, reason))
        }
    }
}

fn see(stream: &TcpStream, flags: EventFlags) -> Seen {
    let mut first = [0; TELLING];
    let peeked = recv(stream, &mut first, RecvFlags::PEEK | RecvFlags::DONTWAIT);
    let count = match peeked {
        Ok((count, _)) => count,
        Err(Errno::AGAIN | Errno::INTR) => return Seen::Silent,
        Err(_) => return Seen::Lost(hung_up()),
    };
    let there = ioctl_fionread(stream).ok().and_then(|count| usize::try_from(count).ok());
    let is_gone = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
    match first_record(&first[..count], there.unwrap_or(count)) {
        FirstRecord::Foreign(what) => {
            // A socket that is closed with unread bytes in it resets its peer.
            let _ = recv(stream, &mut [0; 4096], RecvFlags::DONTWAIT);
            Seen::Lost(what)
        }
        _ if count == 0 || is_gone => Seen::Lost(hung_up()),
        FirstRecord::Whole => Seen::Ready,
        FirstRecord::Partial => Seen::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        (client, listener.accept().expect("accept").0)
    }

    #[test]
    fn nobody_loses_his_place_to_one_who_gets_none() {
        let lobby = Lobby::new(Capacity { waiting: 1, ..Capacity::of(1024) }).expect("a lobby");
        let (client, server) = pair();
        let address = client.local_addr().expect("address").ip();
        lobby.admit(server, address, false).expect("admitted");
        // What the kernel can't wait for.
        let file = TcpStream::from(OwnedFd::from(tempfile::tempfile().expect("a file")));
        lobby.admit(file, address, false).expect_err("no socket");
        assert!(lobby.strangers().find(0).is_some(), "he waits no more");
    }

    #[test]
    fn a_handshake_begins_with_the_first_record_and_not_before() {
        let lobby = Lobby::new(Capacity::of(1024)).expect("a lobby");
        let (mut client, server) = pair();
        let address = client.local_addr().expect("address").ip();
        assert_eq!(lobby.admit(server, address, false).expect("admitted"), None);
        let attend = || lobby.attend().expect("attended");
        attend();
        // A record of three bytes, in two parts.
        client.write_all(&[0x16, 3, 1, 0, 3, 1]).expect("written");
        let (begun, lost) = attend();
        assert!(begun.is_empty() && lost.is_empty());
        client.write_all(&[2, 3]).expect("written");
        let (begun, lost) = attend();
        assert_eq!((begun.len(), lost.len()), (1, 0));
        assert_eq!(lobby.next_look(), None);
        drop(begun);

        for (said, reason) in [(&b"GET / HTTP/1.1\r\n"[..], "plain HTTP"), (b"", "hung up")] {
            let (mut client, server) = pair();
            lobby.admit(server, address, false).expect("admitted");
            attend();
            client.write_all(said).expect("written");
            if said.is_empty() {
                drop(client);
            }
            let (begun, lost) = attend();
            assert_eq!((begun.len(), lost.len()), (0, 1));
            assert!(lost[0].1.contains(reason), "{lost:?}");
        }
    }
}
