//! Connections: from the socket to a session, through the handshake.

use crate::admission::accept::{Rest, accept};
use crate::admission::lobby::{Begun, HandshakePlace, Lobby, hung_up, too_late};
use crate::admission::lost::Noting;
use crate::admission::pushers::Pushers;
use crate::admission::refused::RefusedPeers;
use crate::admission::strangers::{Capacity, HANDSHAKE};
use crate::conversation;
use crate::host::{Host, Peer};
use octo_core::base::error::describe;
use octo_core::trust::{Question, Verb};
use octo_core::{Error, Exit, Thumbprint};
use octo_wire::tls::Rejected;
use octo_wire::verify::{Decision, Permit};
use octo_wire::{Channel, Connection, Failure, Identity, TlsStream};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The stack of a connection's thread; the post-quantum key exchange, unoptimised,
/// takes the most of it.
const STACK: usize = 512 * 1024;

/// The stack of a thread that only accepts, or starts others.
const ACCEPT_STACK: usize = 128 * 1024;

/// A listener's connections.
pub(crate) struct Listening {
    host: Arc<Host>,
    identity: Mutex<Identity>,
    lobby: Arc<Lobby>,
    /// How many are being told why they were refused, and how many may be at once.
    farewells: (AtomicUsize, usize),
    refused: Arc<RefusedPeers>,
    noting: Noting,
    pushers: Pushers,
}

/// A connection of somebody who was let in.
type Known = (Connection<TlsStream>, Peer);

/// How the question of the handshake was answered.
type Verdict = Arc<Mutex<Option<(Thumbprint, Answer)>>>;

/// What was decided, and why, for the log alone.
type Answer = (Decision, String);

impl Listening {
    /// Nobody is connected yet.
    ///
    /// # Errors
    /// Exit 74 where a thread or a descriptor can't be had.
    pub(crate) fn new(host: Arc<Host>, identity: Identity) -> Result<Arc<Listening>, Error> {
        let failed = |error: io::Error| Error::new(Exit::Io, "listener", describe(&error));
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let capacity = Capacity::of(descriptors);
        let writer = Arc::clone(&host);
        let refused = Arc::new(RefusedPeers::new(move |note| writer.record_refusal(note)));
        Ok(Arc::new(Listening {
            noting: Noting::start(Arc::clone(&refused)).map_err(failed)?,
            refused,
            host,
            identity: Mutex::new(identity),
            lobby: Lobby::new(capacity).map_err(failed)?,
            farewells: (AtomicUsize::new(0), capacity.farewells),
            pushers: Pushers::beside(&capacity, descriptors),
        }))
    }

    /// From the next connection on, this is who we are.
    pub(crate) fn change_identity(&self, identity: Identity) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// Records what was only counted so far. For who ends, and may be short of time: what
    /// pushers did comes first, since there may be any number of strangers.
    pub(crate) fn flush(&self) {
        self.host.chatter.flush();
        self.refused.flush();
    }

    /// Begins to serve these sockets, and says which failure ends that, if one does.
    ///
    /// # Errors
    /// Exit 74 where a thread can't be had.
    pub(crate) fn accept(
        self: &Arc<Listening>,
        sockets: Vec<TcpListener>,
    ) -> Result<Receiver<Error>, Error> {
        let (failed, failure) = std::sync::mpsc::channel();
        let mut threads: Vec<Box<dyn FnOnce() -> Error + Send>> = Vec::new();
        let listening = Arc::clone(self);
        threads.push(Box::new(move || listening.attend()));
        for socket in sockets {
            let listening = Arc::clone(self);
            threads.push(Box::new(move || {
                let log = listening.host.log;
                accept(&socket, &log, |stream, peer| listening.greet(stream, peer))
            }));
        }
        for work in threads {
            let failed = failed.clone();
            let thread = std::thread::Builder::new().name("accept".into()).stack_size(ACCEPT_STACK);
            // The receiver is waiting as long as this process is.
            let started = thread.spawn(move || drop(failed.send(work())));
            started.map_err(|error| Error::new(Exit::Io, "thread", describe(&error)))?;
        }
        Ok(failure)
    }

    /// Lets a new connection wait.
    fn greet(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let address = peer.ip();
        let is_named = self.host.trust.load().is_ok_and(|trust| trust.expects(address));
        self.noting.note(self.lobby.admit(stream, address, is_named)?);
        Ok(())
    }

    /// Gives those whose turn it is a thread.
    fn attend(self: &Arc<Listening>) -> Error {
        let mut rest = Rest::default();
        loop {
            // Each is tried, whatever came of the one before.
            let begin = |begun: Vec<Begun>| {
                begun.into_iter().map(|one| self.begin(one)).fold(Ok(()), Result::and)
            };
            let attended = self.lobby.attend().and_then(|(begun, lost)| {
                self.noting.note(lost);
                begin(begun)
            });
            match attended {
                Ok(()) => rest.is_over(),
                Err(error) => rest.take(&self.host.log, &error),
            }
        }
    }

    fn begin(self: &Arc<Listening>, begun: Begun) -> io::Result<()> {
        let listening = Arc::clone(self);
        let thread = std::thread::Builder::new().name("connection".into()).stack_size(STACK);
        thread.spawn(move || {
            let Begun { stream, address, since, place } = begun;
            // Else it hung up before it was looked at.
            let Ok(channel) = Channel::tcp(stream) else { return };
            if let Some(known) = listening.shake(channel, Some(address), since, Some(place)) {
                listening.go_on(known);
            }
        })?;
        Ok(())
    }

    /// The key exchange has used more of its stack than all that comes: who stays for hours
    /// does it on another.
    fn go_on(self: &Arc<Listening>, known: Known) {
        let (listening, known) = (Arc::clone(self), Arc::new(Mutex::new(Some(known))));
        let converse = {
            let known = Arc::clone(&known);
            move || {
                let taken = known.lock().unwrap_or_else(PoisonError::into_inner).take();
                taken.into_iter().for_each(|known| listening.converse(known));
            }
        };
        let thread = std::thread::Builder::new().name("pusher".into()).stack_size(STACK);
        if thread.spawn(converse.clone()).is_err() {
            converse();
        }
    }

    /// Serves one connection, which came at that moment, to its end.
    pub(crate) fn serve(&self, channel: Channel, address: Option<IpAddr>, since: Instant) {
        if let Some(known) = self.shake(channel, address, since, None) {
            self.converse(known);
        }
    }

    /// Lets a peer in, or not.
    fn shake(
        &self,
        mut channel: Channel,
        address: Option<IpAddr>,
        since: Instant,
        place: Option<HandshakePlace>,
    ) -> Option<Known> {
        channel.set_deadline(Some(since + HANDSHAKE));
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let verdict = Verdict::default();
        let permit = self.permit(address, Arc::clone(&verdict));
        let shaken = TlsStream::answer(&identity, channel, permit);
        let verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner).take();
        let was_let_in = shaken.is_ok() && matches!(verdict, Some((_, (Decision::Permitted, _))));
        if let Some(place) = place {
            place.over(was_let_in);
        }
        let thumbprint = verdict.as_ref().map(|(thumbprint, _)| *thumbprint);
        match (shaken, verdict) {
            (Ok(session), Some((_, (Decision::Permitted, _)))) => {
                let certificate = session.certificate().unwrap_or_default();
                let peer = Peer::new(certificate, identity.thumbprint(), address);
                return Some((Connection::new(session), peer));
            }
            (shaken, Some((_, (Decision::Refused | Decision::Undecided, reason)))) => {
                self.refused.note(address, thumbprint, &reason);
                shaken.err().into_iter().for_each(|rejected| self.say_farewell(rejected));
            }
            (Err(rejected), _) => {
                let reason = match &rejected.failure {
                    Failure::TimedOut => too_late(),
                    Failure::Truncated => hung_up(),
                    other => other.to_string(),
                };
                self.refused.note(address, thumbprint, &reason);
                self.say_farewell(rejected);
            }
            (Ok(_), None) => self.refused.note(address, None, "it presented no certificate"),
        }
        None
    }

    /// Waits until a peer has heard why it was refused, unless many others do.
    fn say_farewell(&self, rejected: Rejected) {
        let (now, most) = &self.farewells;
        if now.fetch_add(1, Ordering::Relaxed) < *most {
            rejected.hang_up();
        }
        now.fetch_sub(1, Ordering::Relaxed);
    }

    /// Asks the trust file, as it now is, inside the handshake.
    fn permit(&self, address: Option<IpAddr>, verdict: Verdict) -> Box<Permit> {
        let host = Arc::clone(&self.host);
        Box::new(move |thumbprint| {
            let answer = may_connect(&host, *thumbprint, address);
            let decision = answer.0;
            let mut verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner);
            *verdict = Some((*thumbprint, answer));
            decision
        })
    }

    fn converse(&self, (mut connection, peer): Known) {
        let (connection, peer) = (&mut connection, &peer);
        let log = self.host.log;
        log.detail(format_args!("{peer}: connected, {}", peer.thumbprint));
        let served = match self.pushers.take(peer.thumbprint) {
            Ok(_place) => conversation::serve(&self.host, peer, connection),
            Err(reason) => {
                self.host.say_turned_away(peer, &reason);
                conversation::turn_away(&self.host, peer, connection, &reason)
            }
        };
        self.host.record_accepted(peer);
        match served {
            Ok(()) => log.detail(format_args!("{peer}: left")),
            Err(failure) => log.detail(format_args!("{peer}: {failure}")),
        }
    }
}

fn may_connect(host: &Host, thumbprint: Thumbprint, address: Option<IpAddr>) -> Answer {
    let trust = match host.trust.load() {
        Ok(trust) => trust,
        // The first pusher of a fresh machine is as unknown as any other.
        Err(_) if host.trust.path().symlink_metadata().is_err() => {
            return (Decision::Refused, String::new());
        }
        Err(error) => return (Decision::Undecided, error.message),
    };
    let now = trust.now();
    let question = Question::new(thumbprint, address, &now, Verb::Connect);
    match trust.decide(&question) {
        Ok(_) => (Decision::Permitted, String::new()),
        Err(_) => {
            let over = trust.passed_over(&question);
            let why =
                over.first().map(|over| format!("line {}: {}", over.line.number, over.reason));
            (Decision::Refused, why.unwrap_or_default())
        }
    }
}
