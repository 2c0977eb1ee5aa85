//! Who is believed inside the handshake: thumbprints, asked of the caller.
//!
//! The signature is always verified: whoever has a certificate without its key
//! has nothing.

use octo_core::Thumbprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    SignatureScheme,
};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The largest certificate that is looked at, in bytes of DER.
pub const MAXIMUM_CERTIFICATE: usize = 64 * 1024;

/// Whether a thumbprint may in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Permitted,
    /// It may not, and its admin would have to say otherwise.
    Refused,
    /// Nobody may, as long as what decides can't be believed.
    Undecided,
}

impl From<bool> for Decision {
    fn from(permitted: bool) -> Decision {
        if permitted { Decision::Permitted } else { Decision::Refused }
    }
}

/// Asked once a handshake: may this thumbprint in?
pub type Permit = dyn Fn(&Thumbprint) -> Decision + Send + Sync;

fn denied() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

/// Goes out as the alert handshake_failure, which no certificate that was looked at gets.
fn undecided() -> Error {
    Error::General("nobody is let in at the moment".into())
}

/// TLS 1.2 is not built in; should a peer bring us here all the same, it ends.
fn no_tls12() -> Error {
    Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)
}

/// How signatures are verified, the same on both sides; rustls has two traits for it.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(no_tls12())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

/// The tentacle's side: lets those in whom the trust file has, by thumbprint.
pub(crate) struct ByPermit {
    pub(crate) permit: Box<Permit>,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl fmt::Debug for ByPermit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ByPermit")
    }
}

impl ClientCertVerifier for ByPermit {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if leaf.len() > MAXIMUM_CERTIFICATE {
            return Err(denied());
        }
        match (self.permit)(&Thumbprint::of_certificate(leaf)) {
            Decision::Permitted => Ok(ClientCertVerified::assertion()),
            Decision::Refused => Err(denied()),
            Decision::Undecided => Err(undecided()),
        }
    }

    signatures!();
}

/// How the octopus knows a tentacle.
#[derive(Debug)]
pub(crate) enum Known {
    Thumbprints(Vec<Thumbprint>),
    Authorities(Arc<rustls::client::WebPkiServerVerifier>),
}

/// The octopus's side; remembers which thumbprint it saw, for the message.
#[derive(Debug)]
pub(crate) struct ByTarget {
    pub(crate) known: Known,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) seen: Arc<Mutex<Option<Thumbprint>>>,
}

impl ServerCertVerifier for ByTarget {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if leaf.len() > MAXIMUM_CERTIFICATE {
            return Err(denied());
        }
        let thumbprint = Thumbprint::of_certificate(leaf);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(thumbprint);
        match &self.known {
            Known::Thumbprints(expected) if expected.contains(&thumbprint) => {
                Ok(ServerCertVerified::assertion())
            }
            Known::Thumbprints(_) => Err(denied()),
            Known::Authorities(verifier) => {
                verifier.verify_server_cert(leaf, chain, name, ocsp, now)
            }
        }
    }

    signatures!();
}
