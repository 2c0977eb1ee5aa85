//! What a session over TLS promises once both know each other.

use crate::peers::{Parts, accept, ask, connect, pinned, plain_client, tentacle};
use octo_core::Digest;
use octo_wire::connection::Heard;
use octo_wire::{Channel, Connection, Duplex, Failure, Message, TlsStream};
use rustix::event::{PollFd, PollFlags, poll};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// Two ends of an established session: octopus, tentacle.
fn pair() -> (Connection<TlsStream>, Connection<TlsStream>) {
    let (octopus, other) = (Parts::new(), Parts::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let identity = other.identity();
    let served = std::thread::spawn(move || {
        let channel = Channel::tcp(accept(&listener)).expect("channel");
        TlsStream::serve(&identity, channel, Box::new(|_| true.into())).expect("handshake")
    });
    let session = connect(&octopus.identity(), address, &pinned(other.thumbprint()), "x");
    let (ours, theirs) = (session.expect("connect"), served.join().expect("thread"));
    (Connection::new(ours), Connection::new(theirs))
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

#[test]
fn bodies_of_all_sizes_arrive_both_ways() {
    const RECORD: usize = 16 * 1024;
    let sizes = [0, 1, RECORD - 1, RECORD, RECORD + 1, 7 * RECORD, 7 * RECORD + 1, 3_000_007];
    let (mut ours, mut theirs) = pair();
    let echo = std::thread::spawn(move || {
        while let Some(message) = theirs.read_message().expect("read") {
            let body = theirs.read_body(message.body().expect("length"), 1 << 30).expect("body");
            theirs.send(&Message::new("echo").with("body", body.len()), &body).expect("send");
        }
        theirs.close().expect("close");
    });
    for size in sizes {
        let sent = noise(size);
        ours.send(&Message::new("put").with("body", size), &sent).expect("send");
        let length = ours.read_message().expect("read").expect("echo").body().expect("length");
        assert_eq!(length, size as u64);
        // An odd buffer, so that pieces and records never match.
        let mut piece = vec![0; 70_001];
        let mut body = ours.body(length);
        let mut came = Vec::new();
        loop {
            match body.read(&mut piece).expect("body") {
                0 => break,
                count => came.extend_from_slice(&piece[..count]),
            }
        }
        assert_eq!(Digest::of(&came), Digest::of(&sent), "{size} bytes");
        assert!(!ours.has_buffered());
    }
    ours.close().expect("close");
    assert!(ours.read_message().expect("read").is_none());
    echo.join().expect("thread");
}

#[test]
fn an_end_without_farewell_is_a_truncation() {
    let (mut ours, mut theirs) = pair();
    ours.send(&Message::new("status"), b"").expect("send");
    assert!(theirs.read_message().expect("read").is_some());
    drop(ours);
    assert!(matches!(theirs.read_message(), Err(Failure::Truncated)));

    let (mut ours, mut theirs) = pair();
    ours.close().expect("close");
    assert!(theirs.read_message().expect("read").is_none());
}

/// Passes so many bytes of the client's on, then ends its direction; says how
/// many it had.
fn cutting_proxy(to: SocketAddr, cut: u64) -> (SocketAddr, JoinHandle<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let proxy = std::thread::spawn(move || {
        let mut client = accept(&listener);
        let mut server = TcpStream::connect(to).expect("connect");
        let mut back = (server.try_clone().expect("clone"), client.try_clone().expect("clone"));
        let answers = std::thread::spawn(move || {
            let _ = std::io::copy(&mut back.0, &mut back.1);
            let _ = back.1.shutdown(Shutdown::Write);
        });
        let passed = std::io::copy(&mut Read::by_ref(&mut client).take(cut), &mut server);
        let _ = server.shutdown(Shutdown::Write);
        answers.join().expect("thread");
        passed.unwrap_or(0)
    });
    (address, proxy)
}

#[test]
fn cut_at_any_byte_a_session_never_looks_whole() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let cut_at = |cut| {
        let (address, served) = tentacle(other.identity(), vec![octopus.thumbprint()]);
        let (address, proxy) = cutting_proxy(address, cut);
        let asked = ask(&octopus.identity(), address, &pinned(other.thumbprint()));
        (proxy.join().expect("proxy"), asked.is_ok(), served.end().is_ok())
    };
    let (length, asked, served) = cut_at(u64::MAX);
    assert!(asked && served);
    // The hello is one and a half thousand bytes alike; what follows is not.
    for cut in (1..1400).step_by(97).chain(1400..length) {
        let (.., served) = cut_at(cut);
        assert!(!served, "cut at {cut} of {length}");
    }
}

#[test]
fn silence_and_a_peer_that_stops_reading_time_out() {
    let (mut ours, theirs) = pair();
    ours.stream_mut().set_idle(Some(Duration::from_millis(30)));
    assert!(matches!(ours.read_message(), Err(Failure::TimedOut)));
    let piece = vec![0; 256 * 1024];
    let mut stuck = None;
    for _ in 0..1000 {
        if let Err(failure) = ours.send_bytes(&piece) {
            stuck = Some(failure);
            break;
        }
    }
    assert!(matches!(stuck, Some(Failure::TimedOut)), "{stuck:?}");
    drop(theirs);
}

/// An honest peer's records, a byte at a time: each byte comes in time, none of
/// them is plaintext.
#[test]
fn a_record_that_drips_times_out() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let identity = other.identity();
    let served = std::thread::spawn(move || {
        let channel = Channel::tcp(accept(&listener)).expect("channel");
        let session =
            TlsStream::serve(&identity, channel, Box::new(|_| true.into())).expect("handshake");
        let mut connection = Connection::new(session);
        assert!(connection.read_message().expect("read").is_some());
        connection.stream_mut().set_idle(Some(Duration::from_millis(100)));
        connection.read_body(10_000, 10_000)
    });
    let config = plain_client(Some(octopus.presented(&[&octopus])));
    let name = ServerName::try_from("octo").expect("name");
    let mut tls = ClientConnection::new(config.into(), name).expect("client");
    let mut socket = TcpStream::connect(address).expect("connect");
    rustls::Stream::new(&mut tls, &mut socket).write_all(b"put\n").expect("write");
    tls.writer().write_all(&noise(10_000)).expect("buffered");
    let mut record = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut record).expect("to memory");
    }
    for byte in record {
        if served.is_finished() || socket.write_all(&[byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = served.join().expect("thread");
    assert!(matches!(ended, Err(Failure::TimedOut)), "{:?}", ended.map(|bytes| bytes.len()));
}

#[test]
fn a_silent_peer_is_watched_without_waiting() {
    let (mut ours, mut theirs) = pair();
    assert_eq!(ours.heard().expect("heard"), Heard::Nothing);
    assert!(!ours.has_buffered());

    // Two messages in one record: the socket is empty after the first.
    let two = [&b"a body=3\nxyz"[..], b"b\n"].concat();
    theirs.send_bytes(&two).expect("send");
    let message = ours.read_message().expect("read").expect("a message");
    let body = ours.read_body(message.body().expect("length"), 10).expect("body");
    assert_eq!(body, b"xyz");
    assert!(ours.has_buffered());
    assert_eq!(ours.heard().expect("heard"), Heard::Bytes);
    assert_eq!(ours.read_message().expect("read").expect("a message").word(), "b");
    assert_eq!(ours.heard().expect("heard"), Heard::Nothing);

    theirs.close().expect("close");
    readable(&ours);
    assert_eq!(ours.heard().expect("heard"), Heard::Farewell);
    drop(theirs);
    assert_eq!(ours.heard().expect("heard"), Heard::Farewell);

    let (mut ours, theirs) = pair();
    drop(theirs);
    readable(&ours);
    assert!(matches!(ours.heard(), Err(Failure::Truncated)));
}

fn readable(connection: &Connection<TlsStream>) {
    let input = connection.stream().input().expect("a descriptor");
    poll(&mut [PollFd::from_borrowed_fd(input, PollFlags::IN)], None).expect("poll");
}

/// Decrypted bytes of a body that is read in small pieces don't show in poll(2).
#[test]
fn what_tls_holds_counts_as_buffered() {
    let (mut ours, mut theirs) = pair();
    theirs.send(&Message::new("out").with("body", 50_000), &noise(50_000)).expect("send");
    let message = ours.read_message().expect("read").expect("a message");
    let mut body = ours.body(message.body().expect("length"));
    let mut few = [0; 10];
    while body.left() > 100 {
        body.read(&mut few).expect("body");
    }
    let left = body.left();
    assert!(ours.has_buffered());
    ours.skip_body(left).expect("skip");
    assert!(!ours.has_buffered());
}

#[test]
fn a_no_in_mid_body_is_heard_though_the_write_fails() {
    let (mut ours, mut theirs) = pair();
    let refusing = std::thread::spawn(move || {
        theirs.read_message().expect("read").expect("a message");
        theirs.send(&Message::new("no").with("code", "full"), b"").expect("send");
        theirs.close().expect("close");
    });
    ours.send_line(&Message::new("put").with("body", 1_u64 << 40)).expect("send");
    let piece = noise(256 * 1024);
    let failure = std::iter::repeat_with(|| ours.send_bytes(&piece)).find_map(Result::err);
    assert!(matches!(failure, Some(Failure::Truncated)), "{failure:?}");
    let reply = ours.read_message().expect("read").expect("the no");
    assert_eq!(reply.text("code"), Some("full"));
    refusing.join().expect("thread");
}

/// Its first writes succeed; then it must be told why, not only that it broke.
#[test]
fn a_refused_client_that_only_writes_hears_why() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let (address, served) = tentacle(other.identity(), vec![]);
    let session = connect(&octopus.identity(), address, &pinned(other.thumbprint()), "x");
    let mut connection = Connection::new(session.expect("TLS 1.3 lets a client finish"));
    let piece = noise(256 * 1024);
    let failure = std::iter::repeat_with(|| connection.send_bytes(&piece)).find_map(Result::err);
    assert!(matches!(failure, Some(Failure::Refused)), "{failure:?}");
    assert!(served.end().is_err());
}

#[test]
fn bytes_in_the_clear_inside_a_session_break_it() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let (address, served) = tentacle(other.identity(), vec![octopus.thumbprint()]);
    let stream = TcpStream::connect(address).expect("connect");
    let mut behind = stream.try_clone().expect("clone");
    let channel = Channel::tcp(stream).expect("channel");
    let trust = pinned(other.thumbprint());
    let session = TlsStream::connect(&octopus.identity(), channel, &trust, "x").expect("connect");
    let mut connection = Connection::new(session);
    connection.send(&Message::new("status"), b"").expect("send");
    assert!(connection.read_message().expect("read").is_some());
    behind.write_all(b"\x17\x03\x03\x00\x20cancel job=20260101T000000-aaaaaa\n").expect("write");
    let end = served.end();
    assert!(matches!(end, Err(Failure::Damaged)), "{end:?}");
    assert!(matches!(connection.read_message(), Err(Failure::Damaged)));
}

/// A listener's threads have small stacks of their own choice.
#[test]
fn a_handshake_fits_a_small_stack() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let (identity, trusted) = (other.identity(), vec![octopus.thumbprint()]);
    // Unoptimised it needs 64 KiB.
    let thread = std::thread::Builder::new().stack_size(128 * 1024);
    let served = thread.spawn(move || crate::peers::serve(&identity, accept(&listener), &trusted));
    ask(&octopus.identity(), address, &pinned(other.thumbprint())).expect("the answer");
    served.expect("spawn").join().expect("thread").expect("served");
}
