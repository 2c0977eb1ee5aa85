//! Who gets in, and who doesn't: thumbprints, keys, authorities, resumption.

use crate::peers::{Parts, accept, ask, connect, pinned, plain_ask, plain_client, serve, tentacle};
use octo_core::Thumbprint;
use octo_core::targets::TargetTrust;
use octo_wire::verify::Decision;
use octo_wire::{Channel, Failure, TlsStream};
use rustls::HandshakeKind;
use rustls::client::Resumption;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn both_know_each_other_by_thumbprint() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let (address, served) = tentacle(other.identity(), vec![octopus.thumbprint()]);
    let trust = TargetTrust::Thumbprints(vec![octopus.thumbprint(), other.thumbprint()]);
    let reply = ask(&octopus.identity(), address, &trust).expect("the answer");
    assert_eq!(reply.word(), "ok");
    assert_eq!(served.end().expect("served"), Some(octopus.thumbprint()));
}

#[test]
fn ecdsa_is_as_good_as_ed25519() {
    let parts = Parts::ecdsa();
    let (address, served) = tentacle(parts.identity(), vec![parts.thumbprint()]);
    ask(&parts.identity(), address, &pinned(parts.thumbprint())).expect("the answer");
    served.end().expect("served");
}

#[test]
fn a_stranger_hears_of_it_with_its_first_read() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let (address, served) = tentacle(other.identity(), vec![other.thumbprint()]);
    let refused = ask(&octopus.identity(), address, &pinned(other.thumbprint()));
    assert!(matches!(refused, Err(Failure::Refused)), "{refused:?}");
    assert!(served.failure().contains("not trusted here"));
}

#[test]
fn another_tentacle_is_told_with_both_thumbprints() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let expected = Thumbprint::of_certificate(b"another");
    let (address, served) = tentacle(other.identity(), vec![octopus.thumbprint()]);
    match ask(&octopus.identity(), address, &pinned(expected)) {
        Err(Failure::Unexpected { expected: all, seen }) => {
            assert_eq!((all, seen), (vec![expected], other.thumbprint()));
        }
        result => panic!("{result:?}"),
    }
    assert!(matches!(served.end(), Err(Failure::Refused)));
}

#[test]
fn a_certificate_without_its_key_is_nothing() {
    let (octopus, forger, other) = (Parts::new(), Parts::new(), Parts::new());
    // The octopus's side: the certificate is public, its key is not.
    let (address, served) = tentacle(other.identity(), vec![octopus.thumbprint()]);
    let config = Arc::new(plain_client(Some(forger.presented(&[&octopus]))));
    assert!(plain_ask(&config, address).1.is_err());
    assert!(served.failure().contains("its key is not the certificate's"));

    // The tentacle's side.
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let forged = plain_tentacle(listener, &forger, &[&other]);
    let failed = ask(&octopus.identity(), address, &pinned(other.thumbprint()));
    match failed {
        Err(Failure::Untrusted(reason)) => assert!(reason.contains("its key is not"), "{reason}"),
        other => panic!("{other:?}"),
    }
    forged.join().expect("thread");
}

#[test]
fn only_the_leaf_counts() {
    let (octopus, forger, other) = (Parts::new(), Parts::new(), Parts::new());
    let (address, served) = tentacle(other.identity(), vec![octopus.thumbprint()]);
    let config = Arc::new(plain_client(Some(forger.presented(&[&forger, &octopus]))));
    assert!(plain_ask(&config, address).1.is_err());
    assert!(served.failure().contains("not trusted here"));

    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let forged = plain_tentacle(listener, &forger, &[&forger, &other]);
    let failed = ask(&octopus.identity(), address, &pinned(other.thumbprint()));
    assert!(matches!(failed, Err(Failure::Unexpected { seen, .. }) if seen == forger.thumbprint()));
    forged.join().expect("thread");
}

#[test]
fn nobody_is_let_in_without_a_certificate() {
    let other = Parts::new();
    let (address, served) = tentacle(other.identity(), vec![other.thumbprint()]);
    assert!(plain_ask(&Arc::new(plain_client(None)), address).1.is_err());
    assert!(served.failure().contains("presented none"));
}

#[test]
fn the_key_exchange_is_post_quantum() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let (address, served) = tentacle(other.identity(), vec![octopus.thumbprint()]);
    let config = Arc::new(plain_client(Some(octopus.presented(&[&octopus]))));
    let (tls, read) = plain_ask(&config, address);
    assert!(read.is_ok());
    let group = tls.negotiated_key_exchange_group().expect("a group").name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    assert!(matches!(served.end(), Err(Failure::Truncated)));
}

/// With resumption the verifier would not be called the second time.
#[test]
fn a_removed_thumbprint_is_refused_at_the_next_connection() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let trusted = Arc::new(Mutex::new(vec![octopus.thumbprint()]));
    let identity = other.identity();
    let served = std::thread::spawn({
        let trusted = trusted.clone();
        move || {
            (0..3)
                .map(|_| {
                    let stream = accept(&listener);
                    let trusted = trusted.lock().expect("lock").clone();
                    serve(&identity, stream, &trusted).is_ok()
                })
                .collect::<Vec<_>>()
        }
    });
    // A client that would resume, if it were given anything to resume with.
    let mut config = plain_client(Some(octopus.presented(&[&octopus])));
    config.resumption = Resumption::in_memory_sessions(16);
    let config = Arc::new(config);
    for _ in 0..2 {
        let (tls, read) = plain_ask(&config, address);
        assert!(read.is_ok());
        assert_ne!(tls.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(tls.tls13_tickets_received(), 0);
    }
    trusted.lock().expect("lock").clear();
    assert!(plain_ask(&config, address).1.is_err());
    assert!(!served.join().expect("thread")[2]);
}

/// Pinning asks no clock: 1970 and 2090 are as good as today.
#[test]
fn a_date_says_nothing_about_a_thumbprint() {
    for (from, to) in [(1971, 1972), (2089, 2090)] {
        let parts = Parts::with(|parameters| {
            parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(to, 1, 1);
        });
        let (address, served) = tentacle(parts.identity(), vec![parts.thumbprint()]);
        ask(&parts.identity(), address, &pinned(parts.thumbprint())).expect("the answer");
        served.end().expect("served");
    }
}

#[test]
fn odd_certificates_are_refused_cleanly() {
    let other = Parts::new();
    let critical = Parts::with(|parameters| {
        let mut extension =
            rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![5, 0]);
        extension.set_criticality(true);
        parameters.custom_extensions.push(extension);
    });
    let large = Parts::with(|parameters| {
        let extension =
            rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 2], vec![0; 70_000]);
        parameters.custom_extensions.push(extension);
    });
    let almost = Parts::with(|parameters| {
        let extension =
            rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 2], vec![0; 60_000]);
        parameters.custom_extensions.push(extension);
    });
    for (odd, fine) in [(&critical, false), (&large, false), (&almost, true)] {
        let (address, served) = tentacle(other.identity(), vec![odd.thumbprint()]);
        let config = Arc::new(plain_client(Some(odd.presented(&[odd]))));
        assert_eq!(plain_ask(&config, address).1.is_ok(), fine);
        if !fine {
            assert!(matches!(served.end(), Err(Failure::Untrusted(_) | Failure::OtherProtocol(_))));
        }
    }
}

#[test]
fn a_strangers_question_is_asked_once_and_before_anything_else() {
    let (octopus, other) = (Parts::new(), Parts::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let asked = Arc::new(AtomicBool::new(false));
    let (identity, noted, known) = (other.identity(), asked.clone(), octopus.thumbprint());
    let served = std::thread::spawn(move || {
        let channel = Channel::tcp(accept(&listener)).expect("channel");
        let permit = move |thumbprint: &Thumbprint| {
            assert!(!noted.swap(true, Ordering::Relaxed));
            Decision::from(*thumbprint == known)
        };
        TlsStream::serve(&identity, channel, Box::new(permit)).map(|session| session.peer())
    });
    let session = connect(&octopus.identity(), address, &pinned(other.thumbprint()), "x");
    assert_eq!(session.expect("connect").peer(), Some(other.thumbprint()));
    assert_eq!(served.join().expect("thread").expect("served"), Some(octopus.thumbprint()));
    assert!(asked.load(Ordering::Relaxed));
}

/// A pusher who is trusted must not be told that it isn't.
#[test]
fn who_cannot_decide_says_another_thing_than_no() {
    for decision in [Decision::Refused, Decision::Undecided] {
        let (octopus, other) = (Parts::new(), Parts::new());
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let identity = other.identity();
        let served = std::thread::spawn(move || {
            let channel = Channel::tcp(accept(&listener)).expect("channel");
            TlsStream::serve(&identity, channel, Box::new(move |_| decision)).map(drop)
        });
        // The client is done before the tentacle has looked at its certificate.
        let heard = ask(&octopus.identity(), address, &pinned(other.thumbprint()));
        let failure = heard.expect_err("not let in");
        match decision {
            Decision::Undecided => assert!(matches!(failure, Failure::Undecided), "{failure:?}"),
            _ => assert!(matches!(failure, Failure::Refused), "{failure:?}"),
        }
        assert!(served.join().expect("thread").is_err());
    }
}

#[test]
fn an_authority_vouches_for_names_that_it_signed() {
    let octopus = Parts::new();
    let authority_key = rcgen::KeyPair::generate().expect("key");
    let mut parameters = rcgen::CertificateParams::new(vec![]).expect("names");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    let authority = parameters.self_signed(&authority_key).expect("certificate");
    let issuer = rcgen::Issuer::from_params(&parameters, &authority_key);
    let key = rcgen::KeyPair::generate().expect("key");
    let names = vec!["web1.example".to_string(), "127.0.0.1".to_string()];
    let certificate = rcgen::CertificateParams::new(names)
        .and_then(|parameters| parameters.signed_by(&key, &issuer))
        .expect("certificate");
    let signed = Parts { key: key.serialize_pem(), certificate: certificate.pem() };
    let directory = tempfile::tempdir().expect("tempdir");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("write");
        TargetTrust::CaFile(path)
    };
    let right = file("right.pem", &authority.pem());
    let wrong = file("wrong.pem", &Parts::new().certificate);

    for (trust, host, said) in [
        (&right, "web1.example", None),
        (&right, "127.0.0.1", None),
        (&right, "web2.example", Some("not valid for name")),
        (&wrong, "web1.example", Some("no authority trusted here")),
        // The test's authority is not one that the world knows.
        (&TargetTrust::WebPki, "web1.example", Some("no authority trusted here")),
    ] {
        let (address, served) = tentacle(signed.identity(), vec![octopus.thumbprint()]);
        let result = connect(&octopus.identity(), address, trust, host);
        match (result, said) {
            (Ok(session), None) => assert_eq!(session.peer(), Some(signed.thumbprint())),
            (Err(Failure::Untrusted(reason)), Some(said)) => {
                assert!(reason.contains(said), "{reason}");
                assert!(reason.contains(&signed.thumbprint().to_string()), "{reason}");
            }
            (result, _) => panic!("{host}: {result:?}"),
        }
        assert_eq!(served.end().is_err_and(|f| matches!(f, Failure::Refused)), said.is_some());
    }

    for (trust, said) in [
        (file("empty.pem", ""), "no certificate in it"),
        (file("cut.pem", &authority.pem()[..200]), "cut short"),
        (TargetTrust::CaFile(directory.path().join("none")), "no such file"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        match connect(&octopus.identity(), address, &trust, "web1.example") {
            Err(Failure::Unusable(reason)) => assert!(reason.contains(said), "{reason}"),
            result => panic!("{result:?}"),
        }
    }
}

/// A server of plain rustls that presents what it likes.
fn plain_tentacle(
    listener: TcpListener,
    key: &Parts,
    chain: &[&Parts],
) -> std::thread::JoinHandle<()> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(key.presented(chain));
    config.alpn_protocols = vec![octo_wire::ALPN.to_vec()];
    std::thread::spawn(move || {
        let mut socket: TcpStream = accept(&listener);
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).expect("server");
        let _ = tls.complete_io(&mut socket);
    })
}
