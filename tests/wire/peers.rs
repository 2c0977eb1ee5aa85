//! Identities and peers for tests of the handshake.

use octo_core::Thumbprint;
use octo_core::targets::TargetTrust;
use octo_wire::{ALPN, Channel, Connection, Failure, Identity, Message, TlsStream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A key and its certificate, in the parts that forgers mix.
pub(crate) struct Parts {
    pub(crate) key: String,
    pub(crate) certificate: String,
}

impl Parts {
    pub(crate) fn new() -> Parts {
        Parts::with(|_| {})
    }

    /// OpenSSL 3.0 can't read the form in which rcgen writes Ed25519 keys.
    pub(crate) fn ecdsa() -> Parts {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("key");
        let parameters = rcgen::CertificateParams::new(vec!["octo".into()]).expect("names");
        let certificate = parameters.self_signed(&key).expect("certificate").pem();
        Parts { key: key.serialize_pem(), certificate }
    }

    pub(crate) fn with(change: impl FnOnce(&mut rcgen::CertificateParams)) -> Parts {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("key");
        let mut parameters = rcgen::CertificateParams::new(vec!["octo".into()]).expect("names");
        change(&mut parameters);
        let certificate = parameters.self_signed(&key).expect("certificate").pem();
        Parts { key: key.serialize_pem(), certificate }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(format!("{}{}", self.key, self.certificate).as_bytes())
            .expect("identity")
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("certificate")
    }

    pub(crate) fn thumbprint(&self) -> Thumbprint {
        Thumbprint::of_certificate(&self.der())
    }

    /// As TLS presents it, without any check: also what is forged.
    pub(crate) fn presented(&self, chain: &[&Parts]) -> Arc<SingleCertAndKey> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("key");
        let key = aws_lc_rs::sign::any_supported_type(&key).expect("key");
        let chain = chain.iter().map(|parts| parts.der()).collect();
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
    }
}

/// A tentacle that lets these thumbprints in, serves one peer and says `ok`.
pub(crate) fn tentacle(identity: Identity, trusted: Vec<Thumbprint>) -> (SocketAddr, Served) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let served = std::thread::spawn(move || {
        let stream = accept(&listener);
        serve(&identity, stream, &trusted)
    });
    (address, Served(served))
}

/// A test whose client never comes fails instead of waiting for ever.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&patience));
    assert_eq!(ready, Ok(1), "no client came");
    listener.accept().expect("accept").0
}

pub(crate) fn serve(
    identity: &Identity,
    stream: TcpStream,
    trusted: &[Thumbprint],
) -> Result<Option<Thumbprint>, Failure> {
    let mut channel = Channel::tcp(stream)?;
    channel.set_deadline(Some(Instant::now() + Duration::from_secs(10)));
    let trusted = trusted.to_vec();
    let session =
        TlsStream::serve(identity, channel, Box::new(move |t| trusted.contains(t).into()))?;
    let peer = session.peer();
    let mut connection = Connection::new(session);
    while connection.read_message()?.is_some() {
        connection.send(&Message::new("ok"), b"")?;
    }
    connection.close()?;
    Ok(peer)
}

/// What became of a served peer.
pub(crate) struct Served(JoinHandle<Result<Option<Thumbprint>, Failure>>);

impl Served {
    pub(crate) fn end(self) -> Result<Option<Thumbprint>, Failure> {
        self.0.join().expect("the tentacle doesn't panic")
    }

    /// The failure in words.
    pub(crate) fn failure(self) -> String {
        self.end().expect_err("must fail").to_string()
    }
}

/// Connects, asks and hears the answer.
pub(crate) fn ask(
    identity: &Identity,
    to: SocketAddr,
    trust: &TargetTrust,
) -> Result<Message, Failure> {
    let mut connection = Connection::new(connect(identity, to, trust, "localhost")?);
    connection.send(&Message::new("status"), b"")?;
    let reply = connection.read_message()?.ok_or(Failure::Truncated)?;
    connection.close()?;
    assert!(connection.read_message()?.is_none());
    Ok(reply)
}

pub(crate) fn connect(
    identity: &Identity,
    to: SocketAddr,
    trust: &TargetTrust,
    host: &str,
) -> Result<TlsStream, Failure> {
    let mut channel = Channel::tcp(TcpStream::connect(to)?)?;
    channel.set_deadline(Some(Instant::now() + Duration::from_secs(10)));
    TlsStream::connect(identity, channel, trust, host)
}

pub(crate) fn pinned(thumbprint: Thumbprint) -> TargetTrust {
    TargetTrust::Thumbprints(vec![thumbprint])
}

/// A client of plain rustls, as a stranger may have it: it believes anybody.
pub(crate) fn plain_client(presents: Option<Arc<SingleCertAndKey>>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous));
    let mut config = match presents {
        Some(presents) => builder.with_client_cert_resolver(presents),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}

/// Shakes hands, sends `status`, and reads the first bytes of the answer.
pub(crate) fn plain_ask(
    config: &Arc<ClientConfig>,
    to: SocketAddr,
) -> (ClientConnection, std::io::Result<usize>) {
    use std::io::{Read, Write};
    let name = ServerName::try_from("octo").expect("name");
    let mut tls = ClientConnection::new(config.clone(), name).expect("client");
    let mut socket = TcpStream::connect(to).expect("connect");
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    let result = stream.write_all(b"status\n").and_then(|()| stream.read(&mut [0; 100]));
    (tls, result)
}

/// Believes anybody.
#[derive(Debug)]
pub(crate) struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
