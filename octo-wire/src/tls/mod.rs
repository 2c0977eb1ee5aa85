//! TLS 1.3 over a [`Channel`], certificates both ways, nothing resumed.
//!
//! Resumption is off on both sides: a resumed session would skip the verifier,
//! and a pusher whose thumbprint was removed would still get in.

use crate::ALPN;
use crate::channel::Channel;
use crate::connection::Stream;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::verify::{ByPermit, ByTarget, Known, Permit};
use octo_core::Thumbprint;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, RootCertStore,
    ServerConfig, ServerConnection,
};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One write of plaintext becomes at most this much in flight: 16 records.
const WRITE_PIECE: usize = 256 * 1024;
/// What one read of the socket takes at most.
const READ_PIECE: usize = 256 * 1024;
/// A silent phase begins with this much, so that idle connections are cheap.
const READ_PIECE_AT_FIRST: usize = 16 * 1024;

/// How a tentacle is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetTrust {
    /// By any of these thumbprints.
    Thumbprints(Vec<Thumbprint>),
    /// By a public authority and its host name.
    WebPki,
    /// By the authorities in a PEM file and its host name.
    CaFile(PathBuf),
}

/// An authenticated, encrypted stream.
#[derive(Debug)]
pub struct Session {
    tls: Connection,
    channel: Channel,
    /// Bytes of the socket that TLS has not taken yet.
    input: Vec<u8>,
    taken: usize,
    filled: usize,
    /// The first bytes of the peer: what a stranger speaks is told by them.
    first: Vec<u8>,
    peer: Option<Thumbprint>,
}

/// AES-128 first: every CPU of the last ten years does it in hardware. The key
/// exchange prefers the post-quantum hybrid.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    use aws_lc_rs::cipher_suite::{
        TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    };
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            TLS13_AES_128_GCM_SHA256,
            TLS13_AES_256_GCM_SHA384,
            TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    })
});

impl Session {
    /// Serves a peer whose thumbprint `permit` lets in; asked inside the
    /// handshake, so that a stranger ends before one byte of ours is parsed.
    ///
    /// # Errors
    /// Whatever ends the handshake; the channel's deadline bounds it.
    pub fn serve(
        identity: &Identity,
        channel: Channel,
        permit: Box<Permit>,
    ) -> Result<Session, Failure> {
        let verifier = ByPermit { permit, provider: PROVIDER.clone() };
        let resolver = SingleCertAndKey::from(identity.certified.clone());
        let builder = ServerConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(internal)?;
        let mut config = builder
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let tls = ServerConnection::new(Arc::new(config)).map_err(internal)?;
        let mut session = Session::over(tls.into(), channel);
        session.handshake(None)?;
        Ok(session)
    }

    /// Connects to a tentacle that is known by `trust`; `host` is what a public
    /// certificate must be for.
    ///
    /// # Errors
    /// Whatever ends the handshake. That the tentacle refuses us may be seen
    /// only with the first read: TLS 1.3 lets a client finish before.
    pub fn connect(
        identity: &Identity,
        channel: Channel,
        trust: &TargetTrust,
        host: &str,
    ) -> Result<Session, Failure> {
        let seen = Arc::new(Mutex::new(None));
        let expected = match trust {
            TargetTrust::Thumbprints(expected) => Some(expected.clone()),
            _ => None,
        };
        let verifier =
            ByTarget { known: known(trust)?, provider: PROVIDER.clone(), seen: seen.clone() };
        let mut config = ClientConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(internal)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(
                identity.certified.clone(),
            )));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        // A pinned tentacle needs no name, and nobody on the way needs to see it.
        config.enable_sni = expected.is_none();
        let name = ServerName::try_from(host.to_string()).or_else(|_| match expected {
            Some(_) => ServerName::try_from("tentacle".to_string()),
            None => Err(rustls::pki_types::InvalidDnsNameError),
        });
        let name = name.map_err(|_| {
            Failure::Untrusted(format!("{host} is not a name a certificate can have"))
        })?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(internal)?;
        let mut session = Session::over(tls.into(), channel);
        let result = session.handshake(expected.as_deref());
        let seen = *seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (result, expected, seen) {
            (Ok(()), ..) => Ok(session),
            (Err(_), Some(expected), Some(seen)) if !expected.contains(&seen) => {
                Err(Failure::Unexpected { expected, seen })
            }
            (Err(failure), ..) => Err(failure),
        }
    }

    fn over(tls: Connection, channel: Channel) -> Session {
        let mut tls = tls;
        tls.set_buffer_limit(Some(2 * WRITE_PIECE));
        Session {
            tls,
            channel,
            input: vec![0; READ_PIECE_AT_FIRST],
            taken: 0,
            filled: 0,
            first: Vec::new(),
            peer: None,
        }
    }

    fn handshake(&mut self, _expected: Option<&[Thumbprint]>) -> Result<(), Failure> {
        self.send_pending()?;
        while self.tls.is_handshaking() {
            if !self.receive()? {
                return Err(self.cut_in_handshake());
            }
            self.send_pending()?;
        }
        if self.tls.alpn_protocol() != Some(ALPN) {
            return Err(Failure::Stranger("speaks TLS, but not octo/1".into()));
        }
        let leaf = self.tls.peer_certificates().and_then(|chain| chain.first());
        self.peer = leaf.map(|leaf| Thumbprint::of_certificate(leaf));
        Ok(())
    }

    /// The thumbprint of the peer's certificate.
    pub fn peer(&self) -> Option<Thumbprint> {
        self.peer
    }

    /// Reads from the socket and lets TLS digest it; false at the socket's end.
    fn receive(&mut self) -> Result<bool, Failure> {
        if self.taken == self.filled {
            self.taken = 0;
            self.filled = self.channel.read(&mut self.input)?;
            if self.filled == 0 {
                // TLS must know that the end came without its farewell.
                let _ = self.tls.read_tls(&mut io::empty());
                let _ = self.tls.process_new_packets();
                return Ok(false);
            }
            if self.first.len() < 16 {
                self.first.extend_from_slice(&self.input[..self.filled.min(16)]);
            }
            if self.filled == self.input.len() && self.filled < READ_PIECE {
                // More than a piece was waiting: a body comes, larger reads pay.
                self.input.resize(READ_PIECE, 0);
            }
        }
        let mut waiting = &self.input[self.taken..self.filled];
        self.taken += self.tls.read_tls(&mut waiting)?;
        if let Err(error) = self.tls.process_new_packets() {
            // The peer deserves the alert that says why; it may be gone already.
            self.channel.set_idle(Some(Duration::from_secs(1)));
            let _ = self.send_pending();
            return Err(self.explain(error));
        }
        Ok(true)
    }

    fn send_pending(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.channel)?;
        }
        Ok(())
    }

    fn explain(&self, error: rustls::Error) -> Failure {
        match error {
            rustls::Error::AlertReceived(
                AlertDescription::AccessDenied
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired,
            ) => Failure::Refused,
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
            | rustls::Error::NoApplicationProtocol => {
                Failure::Stranger("speaks TLS, but not octo/1".into())
            }
            rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
                Failure::Untrusted("not trusted here".into())
            }
            rustls::Error::InvalidCertificate(reason) => Failure::Untrusted(reason.to_string()),
            rustls::Error::NoCertificatesPresented => {
                Failure::Untrusted("it presented none".into())
            }
            other => Failure::Stranger(
                self.what_it_speaks()
                    .unwrap_or_else(|| format!("doesn't speak octo/1 over TLS 1.3: {other}")),
            ),
        }
    }

    fn cut_in_handshake(&self) -> Failure {
        match self.what_it_speaks() {
            Some(what) => Failure::Stranger(what),
            None => Failure::Truncated,
        }
    }

    /// Many a mistaken port is told by its first bytes.
    fn what_it_speaks(&self) -> Option<String> {
        let what = match &self.first[..] {
            first if first.starts_with(b"SSH-") => "speaks SSH, not octo/1",
            first if first.starts_with(b"HTTP/") => "speaks plain HTTP, not octo/1",
            first if first.starts_with(b"GET ") || first.starts_with(b"POST ") => {
                "speaks plain HTTP, not octo/1"
            }
            first if first.starts_with(b"220 ") || first.starts_with(b"+OK") => {
                "speaks a mail or file protocol, not octo/1"
            }
            [] | [0x14..=0x17, ..] => return None,
            _ => "doesn't speak TLS",
        };
        Some(what.to_string())
    }
}

fn known(trust: &TargetTrust) -> Result<Known, Failure> {
    let roots = match trust {
        TargetTrust::Thumbprints(expected) => return Ok(Known::Thumbprints(expected.clone())),
        TargetTrust::WebPki => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        TargetTrust::CaFile(path) => {
            let unreadable =
                |reason: String| Failure::Untrusted(format!("{}: {reason}", path.display()));
            let bytes =
                std::fs::read(path).map_err(|e| unreadable(octo_core::error::describe(&e)))?;
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&bytes) {
                let certificate = certificate.map_err(|_| unreadable("not PEM".into()))?;
                roots.add(certificate).map_err(|e| unreadable(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unreadable("no certificate in it".into()));
            }
            roots
        }
    };
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone()).build();
    verifier.map(Known::Authorities).map_err(|e| Failure::Untrusted(e.to_string()))
}

fn internal(error: rustls::Error) -> Failure {
    Failure::Io(io::Error::other(error))
}

/// Failures of TLS travel through Read and Write inside an io::Error.
fn pack(failure: Failure) -> io::Error {
    match failure {
        Failure::Io(error) => error,
        Failure::TimedOut => io::ErrorKind::TimedOut.into(),
        Failure::Truncated => io::ErrorKind::UnexpectedEof.into(),
        other => io::Error::other(other),
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            if !self.receive().map_err(pack)? {
                // The reader now says whether TLS said farewell.
                return self.tls.reader().read(buffer);
            }
            // A key update wants an answer.
            self.send_pending()?;
        }
    }
}

impl Write for Session {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let piece = &buffer[..buffer.len().min(WRITE_PIECE)];
        let count = self.tls.writer().write(piece)?;
        self.send_pending()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_pending()
    }
}

impl Stream for Session {
    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.channel.set_deadline(deadline);
    }

    fn set_idle(&mut self, idle: Option<Duration>) {
        self.channel.set_idle(idle);
    }

    fn input(&self) -> Option<BorrowedFd<'_>> {
        Some(self.channel.input())
    }

    fn close(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.send_pending()
    }
}
