//! Connections: from the socket to a session, through the handshake.

use crate::admission::accept::accept;
use crate::admission::pushers::Pushers;
use crate::admission::refused::RefusedPeers;
use crate::admission::strangers::{StrangerPlace, Strangers};
use crate::conversation;
use crate::host::{Host, Peer};
use octo_core::base::error::describe;
use octo_core::trust::{Question, Verb};
use octo_core::{Error, Exit, Thumbprint};
use octo_wire::{Channel, Connection, Failure, Identity};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From the first byte to the end of the handshake, however it drips.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// The stack of a connection's thread; the post-quantum key exchange, unoptimised,
/// takes the most of it.
const STACK: usize = 512 * 1024;

/// The stack of a thread that only accepts.
const ACCEPT_STACK: usize = 128 * 1024;

/// A listener's connections.
pub(crate) struct Listening {
    host: Arc<Host>,
    identity: Mutex<Identity>,
    strangers: Arc<Strangers>,
    refused: Arc<RefusedPeers>,
    pushers: Pushers,
}

/// How the question of the handshake was answered.
type Verdict = Arc<Mutex<Option<(Thumbprint, Result<(), String>)>>>;

impl Listening {
    pub(crate) fn new(host: Arc<Host>, identity: Identity) -> Arc<Listening> {
        let writer = Arc::clone(&host);
        Arc::new(Listening {
            refused: Arc::new(RefusedPeers::new(move |note| writer.record_refusal(note))),
            host,
            identity: Mutex::new(identity),
            strangers: Arc::default(),
            pushers: Pushers::of_this_process(),
        })
    }

    /// From the next connection on, this is who we are.
    pub(crate) fn change_identity(&self, identity: Identity) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// Serves these sockets until one of them fails for good.
    ///
    /// # Errors
    /// That failure, or that of starting a thread.
    pub(crate) fn accept(self: &Arc<Listening>, sockets: Vec<TcpListener>) -> Error {
        let (failed, failure) = std::sync::mpsc::channel();
        for socket in sockets {
            let (listening, failed) = (Arc::clone(self), failed.clone());
            let thread = std::thread::Builder::new().name("accept".into()).stack_size(ACCEPT_STACK);
            let started = thread.spawn(move || {
                let log = listening.host.log;
                let serve = |stream, peer| listening.greet(stream, peer);
                // The receiver is waiting as long as this process is.
                let _ = failed.send(accept(&socket, &log, serve));
            });
            if let Err(error) = started {
                return Error::new(Exit::Io, "thread", describe(&error));
            }
        }
        drop(failed);
        let none = || Error::new(Exit::Io, "accept", "no thread listens any more");
        failure.recv().unwrap_or_else(|_| none())
    }

    /// Gives a new connection a place and a thread.
    fn greet(self: &Arc<Listening>, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let place = self.strangers.admit(peer.ip(), &stream)?;
        let listening = Arc::clone(self);
        let thread = std::thread::Builder::new().name("connection".into()).stack_size(STACK);
        thread.spawn(move || match Channel::tcp(stream) {
            Ok(channel) => listening.serve(channel, Some(peer.ip()), Some(place)),
            // It hung up before it was looked at.
            Err(_) => drop(place),
        })?;
        Ok(())
    }

    /// Serves one connection, to its end.
    pub(crate) fn serve(
        &self,
        mut channel: Channel,
        address: Option<IpAddr>,
        place: Option<StrangerPlace>,
    ) {
        channel.set_deadline(Some(Instant::now() + HANDSHAKE));
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let verdict = Verdict::default();
        let permit = self.permit(address, Arc::clone(&verdict));
        let shaken = octo_wire::TlsStream::serve(&identity, channel, permit);
        drop(place);
        let verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (shaken, verdict) {
            (Ok(session), Some((_, Ok(())))) => {
                let certificate = session.certificate().unwrap_or_default();
                let peer = Peer::new(certificate, identity.thumbprint(), address);
                self.converse(&mut Connection::new(session), &peer);
            }
            (_, Some((thumbprint, Err(reason)))) => {
                self.refused.note(address, Some(thumbprint), &reason);
            }
            (Err(failure), verdict) => {
                let reason = match failure {
                    Failure::TimedOut => "no handshake within 10 s".to_string(),
                    Failure::Truncated => "it hung up before the handshake was over".to_string(),
                    other => other.to_string(),
                };
                self.refused.note(address, verdict.map(|(thumbprint, _)| thumbprint), &reason);
            }
            (Ok(_), None) => self.refused.note(address, None, "it presented no certificate"),
        }
    }

    /// Asks the trust file, as it now is, inside the handshake.
    fn permit(&self, address: Option<IpAddr>, verdict: Verdict) -> Box<octo_wire::verify::Permit> {
        let host = Arc::clone(&self.host);
        Box::new(move |thumbprint| {
            let answer = may_connect(&host, *thumbprint, address);
            let permitted = answer.is_ok();
            let mut verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner);
            *verdict = Some((*thumbprint, answer));
            permitted
        })
    }

    fn converse(&self, connection: &mut Connection<octo_wire::TlsStream>, peer: &Peer) {
        let log = self.host.log;
        log.detail(format_args!("{peer}: connected, {}", peer.thumbprint));
        let served = match self.pushers.take(peer.thumbprint) {
            Ok(_place) => conversation::serve(&self.host, peer, connection),
            Err(reason) => {
                log.event(format_args!("{peer}: turned away: {reason}"));
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

fn may_connect(host: &Host, thumbprint: Thumbprint, address: Option<IpAddr>) -> Result<(), String> {
    let trust = match host.trust.load() {
        Ok(trust) => trust,
        // The first pusher of a fresh machine is as unknown as any other.
        Err(_) if host.trust.path().symlink_metadata().is_err() => return Err(String::new()),
        Err(error) => return Err(error.message),
    };
    let now = trust.now();
    let question = Question::new(thumbprint, address, &now, Verb::Connect);
    match trust.decide(&question) {
        Ok(_) => Ok(()),
        Err(_) => Err(trust.passed_over(&question).first().map_or_else(String::new, |over| {
            format!("line {}: {}", over.line.number, over.reason)
        })),
    }
}
