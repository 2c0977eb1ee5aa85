//! A pusher 100 ms away is served while strangers open connection after connection.
//! `OCTO_TEST_LONG=1` tries it twenty times each, and prints what came of it.

use crate::fault_proxy::{FaultProxy, Faults, Plan};
use crate::listener::{Side, Tentacle, sides};
use assert_cmd::cargo::cargo_bin;
use octo_core::Thumbprint;
use octo_core::targets::TargetTrust;
use octo_wire::{Channel, Failure, Identity, TlsStream};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How many connections a second there are at most, and where the Nth comes from.
type Source = (u32, fn(u32) -> Ipv4Addr);

/// So many connections are kept open by a flood: the first ones, which have the places for
/// handshakes, and the last. They are more than there are places to wait, so that each
/// newcomer takes one of another's.
const KEPT: usize = 500;
/// So many descriptors the listener has in the short form: 256 places to wait.
const DESCRIPTORS: u32 = 1024;
/// So often a pusher tries it in the short form. Who tried for longer would be let in whoever
/// lost his place: those who are silent all leave after ten seconds.
const TRIES: u32 = 4;

/// What each connection of a flood does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Nothing.
    Silent,
    /// Says what is no TLS.
    Garbage,
    /// Sends a whole ClientHello, and stops.
    Stopped,
    /// A whole handshake, with a certificate that nobody trusts.
    Refused,
}

/// Connects from this address of ours.
fn connect_from(source: Ipv4Addr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(IpAddr::V4(source), 0))?;
    rustix::net::connect(&socket, &server)?;
    Ok(TcpStream::from(socket))
}

/// The bytes of a ClientHello.
fn client_hello(side: &Side) -> Vec<u8> {
    let identity = Identity::load(&side.sandbox.config("identity.pem")).expect("identity");
    let (ours, mut theirs) = UnixStream::pair().expect("pair");
    let channel = Channel::new(ours.into(), None).expect("channel");
    let trust = TargetTrust::Thumbprints(vec![Thumbprint::of_certificate(b"x")]);
    std::thread::spawn(move || TlsStream::connect(&identity, channel, &trust, "x").map(drop));
    let mut head = [0; 5];
    theirs.read_exact(&mut head).expect("a record's head");
    let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    theirs.read_exact(&mut hello).expect("a record");
    [&head[..], &hello].concat()
}

/// A flood, until it is dropped.
struct Flood {
    ended: Arc<AtomicBool>,
    came: Arc<AtomicU32>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Flood {
    /// Begins; `rate` is how many connections a second there are at most.
    fn begin(tentacle: &Tentacle, kind: Kind, rate: u32, from: fn(u32) -> Ipv4Addr) -> Flood {
        let stranger = Side::new(cargo_bin!("octo-listen"));
        let hello = client_hello(&stranger);
        let server: SocketAddr = tentacle.address().parse().expect("an address");
        let (ended, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let identity = Identity::load(&stranger.sandbox.config("identity.pem")).expect("identity");
        // Who makes whole handshakes waits for answers: it takes many.
        let threads = match kind {
            Kind::Refused if is_long() => 48,
            Kind::Refused => 8,
            _ => 1,
        };
        let pause = Duration::from_secs(1) * threads / rate;
        let run = |_| {
            let (ended, came) = (Arc::clone(&ended), Arc::clone(&came));
            let (identity, hello) = (identity.clone(), hello.clone());
            std::thread::spawn(move || {
                let mut kept = Vec::new();
                while !ended.load(Ordering::Relaxed) {
                    let number = came.fetch_add(1, Ordering::Relaxed);
                    if let Ok(stream) = connect_from(from(number), server) {
                        kept.extend(act(kind, stream, &hello, &identity));
                    }
                    if kept.len() > KEPT {
                        kept.remove(KEPT / 2);
                    }
                    std::thread::sleep(pause);
                }
            })
        };
        let threads = (0..threads).map(run).collect();
        Flood { ended, came, threads }
    }
}

/// Does what it does; the connection, if it stays open.
fn act(kind: Kind, mut stream: TcpStream, hello: &[u8], identity: &Identity) -> Option<TcpStream> {
    match kind {
        Kind::Silent => Some(stream),
        Kind::Garbage => stream.write_all(b"GET / HTTP/1.1\r\n\r\n").ok().map(|()| stream),
        Kind::Stopped => stream.write_all(hello).ok().map(|()| stream),
        Kind::Refused => {
            let stays = stream.try_clone().ok()?;
            let mut channel = Channel::tcp(stream).ok()?;
            channel.set_idle(Some(Duration::from_millis(250)));
            let trust = TargetTrust::WebPki;
            // It hangs up with an alert as late as it can: it has its answer by then.
            let shaken: Result<_, Failure> = TlsStream::connect(identity, channel, &trust, "x");
            shaken.is_ok().then_some(stays)
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn one_address(_: u32) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 2)
}

/// Of all networks that there are here.
fn everywhere(n: u32) -> Ipv4Addr {
    Ipv4Addr::new(127, (n * 97) as u8, (n >> 8) as u8, n as u8)
}

fn many_addresses(n: u32) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (n >> 8) as u8, n as u8)
}

/// Floods a tentacle whose trust file has this line of `ci`; how many of how many tries of
/// that pusher were served, each from the address that `pusher` says. On a busy machine
/// some come too late, so that the short form tries again as octo-push does.
fn served(kind: Kind, (rate, from): Source, pusher: fn(u32) -> Ipv4Addr, line: &str) -> [u32; 2] {
    let tries = if is_long() { 20 } else { 5 };
    // Whole handshakes are work for this machine, too.
    let rate = if kind == Kind::Refused && !is_long() { rate.min(100) } else { rate };
    let (here, ci) = sides();
    here.trust(&[(&ci, line)]);
    let tentacle = match is_long() {
        true => Tentacle::start(&here),
        false => Tentacle::with_descriptors(&here, DESCRIPTORS),
    };
    let server: SocketAddr = tentacle.address().parse().expect("an address");
    let flood = Flood::begin(&tentacle, kind, rate, from);
    let run_up = if is_long() { 11 * rate } else { rate };
    crate::support::wait_for("the flood", || flood.came.load(Ordering::Relaxed) >= run_up);
    let far = Faults { delay: Duration::from_millis(50), ..Faults::default() };
    let try_once = |n: u32| {
        let dial = move |_: &str| connect_from(pusher(n), server);
        let proxy = FaultProxy::dialling(tentacle.address(), dial);
        proxy.always(Plan { up: far, down: far });
        let asked = tentacle
            .connect_at(&proxy.address.to_string(), &ci)
            .and_then(|mut pusher| pusher.ask("status", b""));
        asked.is_ok_and(|reply| reply.word() == "ok")
    };
    let is_served = |n: u32| {
        let began = Instant::now();
        if is_long() {
            // A third of a second without a flood. Those that stopped give way after ten.
            return try_once(n) && began.elapsed() < Duration::from_secs(7);
        }
        let is_in_vain = |_: &u32| {
            let is_served = try_once(n);
            if !is_served {
                std::thread::sleep(Duration::from_millis(50));
            }
            !is_served
        };
        let failed = (0..TRIES).take_while(is_in_vain).count();
        failed < TRIES as usize
    };
    let served = (0..tries).map(|n| u32::from(is_served(n))).sum();
    let came = flood.came.load(Ordering::Relaxed);
    crate::support::figures(format_args!(
        "{kind:?}, {rate} a second at most: {served} of {tries} ({came} strangers)"
    ));
    [served, tries]
}

fn is_long() -> bool {
    std::env::var_os("OCTO_TEST_LONG").is_some()
}

/// Each from another address, so that none is known by an earlier try.
fn elsewhere(n: u32) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, n as u8 + 1)
}

fn nearly_all_are_served(kinds: &[Kind], source: Source, pusher: fn(u32) -> Ipv4Addr, line: &str) {
    let one = |kind: Kind| {
        let [served, tries] = served(kind, source, pusher, line);
        let enough = if is_long() { tries * 9 / 10 } else { tries };
        assert!(served >= enough, "{kind:?}: {served} of {tries}");
    };
    kinds.iter().for_each(|kind| one(*kind));
}

const ALL: [Kind; 4] = [Kind::Silent, Kind::Garbage, Kind::Stopped, Kind::Refused];

#[test]
fn a_flood_from_one_address_keeps_nobody_out_who_is_far_away() {
    nearly_all_are_served(&ALL, (200, one_address), elsewhere, "ci");
}

#[test]
fn a_flood_from_many_addresses_keeps_nobody_out_who_is_far_away() {
    nearly_all_are_served(&ALL, (1000, many_addresses), elsewhere, "ci");
}

#[test]
fn silence_and_noise_keep_nobody_out_of_the_same_address() {
    // More than there are places in the short form: who comes last must not lose his.
    let rate = if is_long() { 200 } else { 500 };
    let kinds = [Kind::Silent, Kind::Garbage];
    nearly_all_are_served(&kinds, (rate, one_address), one_address, "ci");
}

/// Where nothing tells strangers from a pusher, from= does: handshakes that never end have
/// taken all other places.
#[test]
fn who_is_named_by_from_has_a_place_whoever_else_comes() {
    let kinds = [Kind::Silent, Kind::Stopped];
    nearly_all_are_served(&kinds, (1000, everywhere), elsewhere, "ci from=127.0.1.0/24");
}
