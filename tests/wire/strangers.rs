//! Peers that don't speak octo/1, on either side: clear words, no hanging.

use crate::needs::needs;
use crate::peers::{Parts, accept, connect, pinned, plain_ask, plain_client, tentacle};
use octo_wire::{Channel, Connection, Failure, TlsStream};
use rustls::crypto::aws_lc_rs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Something that says this and closes once the client has.
fn impostor(says: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let thread = std::thread::spawn(move || {
        let mut stream = accept(&listener);
        stream.write_all(says).expect("write");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    (address, thread)
}

#[test]
fn what_is_no_tentacle_is_named() {
    let octopus = Parts::new();
    for (says, said) in [
        (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], "speaks SSH, not octo/1"),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "speaks plain HTTP, not octo/1"),
        (b"220 mail.example ESMTP\r\n", "speaks a mail or file protocol, not octo/1"),
        (b"hello", "doesn't speak TLS"),
        (b"\x16", "broke off"),
        (b"", "broke off"),
        (b"\x16\x03\x03\xff\xff\x02", "doesn't speak octo/1 over TLS 1.3"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "doesn't speak octo/1 over TLS 1.3"),
    ] {
        let (address, thread) = impostor(says);
        let failure = connect(&octopus.identity(), address, &pinned(octopus.thumbprint()), "x");
        let failure = failure.expect_err("no tentacle").to_string();
        assert!(failure.contains(said), "{says:?}: {failure}");
        thread.join().expect("thread");
    }
}

#[test]
fn what_is_no_octopus_is_named() {
    let other = Parts::new();
    for (says, said) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "speaks plain HTTP"),
        (b"SSH-2.0-libssh\r\n", "speaks SSH"),
        (b"status\n", "doesn't speak TLS"),
        (b"\x00\x00\x00\x00\x00\x00", "doesn't speak TLS"),
        (b"\x16\x03\x01", "broke off"),
        (b"", "broke off"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "doesn't speak octo/1"),
    ] {
        let (address, served) = tentacle(other.identity(), vec![other.thumbprint()]);
        let mut stream = TcpStream::connect(address).expect("connect");
        stream.write_all(says).expect("write");
        stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
        let failure = served.failure();
        assert!(failure.contains(said), "{says:?}: {failure}");
    }
}

/// Else its kernel would answer the rest of our bytes with a reset, which can
/// overtake the alert.
#[test]
fn who_is_refused_is_heard_out() {
    let other = Parts::new();
    let (address, served) = tentacle(other.identity(), vec![]);
    let mut stream = TcpStream::connect(address).expect("connect");
    let began = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("write");
    let mut alert = Vec::new();
    stream.read_to_end(&mut alert).expect("an alert, and an end");
    assert!(!alert.is_empty());
    for _ in 0..3 {
        // For a second: on a busy machine that may be over.
        if let Err(error) = stream.write_all(b"Accept: all\r\n") {
            assert!(began.elapsed() >= Duration::from_secs(1), "{error}");
        }
    }
    drop(stream);
    assert!(served.end().is_err());
}

#[test]
fn another_protocol_inside_tls_is_refused() {
    let other = Parts::new();
    for protocols in [vec![], vec![b"h2".to_vec(), b"http/1.1".to_vec()], vec![b"octo/2".to_vec()]]
    {
        let (address, served) = tentacle(other.identity(), vec![other.thumbprint()]);
        let mut config = plain_client(Some(other.presented(&[&other])));
        config.alpn_protocols = protocols;
        assert!(plain_ask(&Arc::new(config), address).1.is_err());
        assert_eq!(served.failure(), "speaks TLS, but not octo/1");
    }
}

/// Its thumbprint is not offered for trust: it would be of no use.
#[test]
fn a_web_server_is_not_taken_for_a_new_tentacle() {
    let (octopus, web) = (Parts::new(), Parts::new());
    for protocols in [vec![], vec![b"http/1.1".to_vec()]] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(web.presented(&[&web]));
        config.alpn_protocols = protocols;
        let thread = std::thread::spawn(move || {
            let mut socket = accept(&listener);
            let mut tls = rustls::ServerConnection::new(Arc::new(config)).expect("server");
            let _ = tls.complete_io(&mut socket);
        });
        let failure = connect(&octopus.identity(), address, &pinned(octopus.thumbprint()), "x");
        let failure = failure.expect_err("no tentacle").to_string();
        assert_eq!(failure, "speaks TLS, but not octo/1");
        thread.join().expect("thread");
    }
}

/// Both with OpenSSL, since our own TLS 1.2 is not even built.
#[test]
fn tls_1_2_is_refused_and_1_3_is_what_openssl_speaks_too() {
    if !needs("tls_1_2_is_refused_and_1_3_is_what_openssl_speaks_too", "openssl") {
        return;
    }
    let parts = Parts::ecdsa();
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("identity.pem");
    std::fs::write(&path, format!("{}{}", parts.key, parts.certificate)).expect("write");
    for (version, fine) in [("-tls1_2", false), ("-tls1_3", true)] {
        let (address, served) = tentacle(parts.identity(), vec![parts.thumbprint()]);
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-alpn", "octo/1", version])
            .args(["-connect", &address.to_string()])
            .arg("-cert")
            .arg(&path)
            .arg("-key")
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let mut input = client.stdin.take().expect("stdin");
        let mut answer = [0; 3];
        let written = input.write_all(b"status\n");
        let read = client.stdout.take().expect("stdout").read_exact(&mut answer);
        drop(input);
        let _ = client.kill();
        client.wait().expect("wait");
        if fine {
            written.and(read).expect("the answer");
            assert_eq!(&answer, b"ok\n");
            // openssl was killed: an end without a farewell is none.
            assert!(matches!(served.end(), Ok(_) | Err(Failure::Truncated)));
        } else {
            assert!(served.failure().contains("TLS 1.3"));
        }
    }
}

#[test]
fn silence_and_drips_end_at_the_deadline() {
    let other = Parts::new();
    // What a client says first, to be said again byte by byte.
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let mut hello = vec![0; 200];
    let victim = std::thread::spawn({
        let (identity, trust) = (other.identity(), pinned(other.thumbprint()));
        move || connect(&identity, address, &trust, "x")
    });
    let mut stream = accept(&listener);
    stream.read_exact(&mut hello).expect("hello");
    drop(stream);
    assert!(victim.join().expect("thread").is_err());

    for drip in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let mut client = TcpStream::connect(listener.local_addr().expect("address"));
        let client = client.as_mut().expect("connect");
        let mut channel = Channel::tcp(accept(&listener)).expect("channel");
        let began = Instant::now();
        channel.set_deadline(Some(began + Duration::from_millis(200)));
        let identity = other.identity();
        let served = std::thread::spawn(move || {
            TlsStream::serve(&identity, channel, Box::new(|_| true.into()))
        });
        for byte in hello.iter().filter(|_| drip) {
            if client.write_all(&[*byte]).is_err() || served.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(matches!(served.join().expect("thread"), Err(Failure::TimedOut)));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

/// Random bytes and damaged handshakes end in errors, never in a panic.
#[test]
fn damage_anywhere_in_the_handshake_is_an_error() {
    let (octopus, other) = (Parts::new(), Parts::new());
    for at in (0..1500).step_by(37) {
        let (address, served) = tentacle(other.identity(), vec![octopus.thumbprint()]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let proxied = listener.local_addr().expect("address");
        let proxy = std::thread::spawn(move || {
            let mut client = accept(&listener);
            let mut server = TcpStream::connect(address).expect("connect");
            let mut back = (server.try_clone().expect("clone"), client.try_clone().expect("clone"));
            let answers = std::thread::spawn(move || {
                let _ = std::io::copy(&mut back.0, &mut back.1);
                let _ = back.1.shutdown(std::net::Shutdown::Both);
            });
            let mut buffer = [0; 512];
            let mut sent = Vec::new();
            while let Ok(count @ 1..) = client.read(&mut buffer) {
                let position = sent.len();
                sent.extend_from_slice(&buffer[..count]);
                if (position..position + count).contains(&at) {
                    buffer[at - position] ^= 0x40;
                }
                if server.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = server.shutdown(std::net::Shutdown::Both);
            answers.join().expect("thread");
            sent
        });
        let result = crate::peers::ask(&octopus.identity(), proxied, &pinned(other.thumbprint()));
        let sent = proxy.join().expect("proxy");
        // Every bit counts, but in the record that TLS 1.3 has only to please old
        // routers on the way (RFC 8446, D.4).
        let is_for_show = |(from, bytes): (usize, &[u8])| {
            bytes == b"\x14\x03\x03\x00\x01\x01" && (from..from + 6).contains(&at)
        };
        if !sent.windows(6).enumerate().any(is_for_show) {
            assert_eq!(result.is_err(), at < sent.len(), "bit at {at}: {result:?}");
        }
        assert!(result.is_ok() || served.end().is_err());
    }
}

#[test]
fn the_connection_is_usable_on_pipes_too() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("pair");
    let identity = other.identity();
    let trusted = octopus.thumbprint();
    let served = std::thread::spawn(move || {
        let output = theirs.try_clone().expect("clone");
        let channel = Channel::new(theirs.into(), Some(output.into())).expect("channel");
        let session =
            TlsStream::serve(&identity, channel, Box::new(move |t| (*t == trusted).into()));
        let mut connection = Connection::new(session.expect("handshake"));
        connection.read_message().expect("read").expect("a message")
    });
    let channel = Channel::new(ours.into(), None).expect("channel");
    let trust = pinned(other.thumbprint());
    let session = TlsStream::connect(&octopus.identity(), channel, &trust, "x").expect("connect");
    let mut connection = Connection::new(session);
    connection.send(&octo_wire::Message::new("status"), b"").expect("send");
    assert_eq!(served.join().expect("thread").word(), "status");
}
