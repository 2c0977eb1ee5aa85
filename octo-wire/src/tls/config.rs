//! How TLS is set up: 1.3 only, octo/1 only, certificates both ways.
//!
//! Resumption is off on both sides: a resumed session would skip the verifier,
//! and a pusher whose thumbprint was removed would still get in.

use super::identity::Identity;
use super::verify::{ByPermit, ByTarget, Known, Permit};
use crate::failure::Failure;
use octo_core::Thumbprint;
use octo_core::base::error::describe;
use octo_core::base::paths::read_bounded;
use octo_core::targets::TargetTrust;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

/// The protocol's name in TLS (ALPN, RFC 7301).
pub const ALPN: &[u8] = b"octo/1";

/// The largest file of authorities; the public ones together are a quarter MiB.
const MAXIMUM_AUTHORITIES: u64 = 4 << 20;

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

/// The tentacle's side. One a connection, since `permit` knows the address;
/// key and certificate are shared.
pub(super) fn server(
    identity: &Identity,
    permit: Box<Permit>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let verifier = ByPermit { permit, provider: PROVIDER.clone() };
    let resolver = SingleCertAndKey::from(identity.certified.clone());
    let mut config = ServerConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The octopus's side; `seen` gets the thumbprint that the tentacle showed.
pub(super) fn client(
    identity: &Identity,
    trust: &TargetTrust,
    seen: Arc<Mutex<Option<Thumbprint>>>,
) -> Result<Arc<ClientConfig>, Failure> {
    let verifier = ByTarget { known: known(trust)?, provider: PROVIDER.clone(), seen };
    let resolver = SingleCertAndKey::from(identity.certified.clone());
    let mut config = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(internal)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    // A pinned tentacle needs no name, and nobody on the way needs to see it.
    config.enable_sni = !matches!(trust, TargetTrust::Thumbprints(_));
    Ok(Arc::new(config))
}

/// The name that a tentacle's certificate must be for; a pinned one needs none.
pub(super) fn server_name(trust: &TargetTrust, host: &str) -> Result<ServerName<'static>, Failure> {
    let host = match trust {
        TargetTrust::Thumbprints(_) => "tentacle",
        _ => host,
    };
    ServerName::try_from(host.to_string())
        .map_err(|_| Failure::Untrusted(format!("{host} is not a name a certificate can have")))
}

fn known(trust: &TargetTrust) -> Result<Known, Failure> {
    let roots = match trust {
        TargetTrust::Thumbprints(expected) => return Ok(Known::Thumbprints(expected.clone())),
        TargetTrust::WebPki => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        TargetTrust::CaFile(path) => authorities(path)
            .map_err(|reason| Failure::Unusable(format!("ca={}: {reason}", path.display())))?,
    };
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone()).build();
    verifier.map(Known::Authorities).map_err(|e| Failure::Untrusted(e.to_string()))
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut file = File::open(path).map_err(|error| describe(&error))?;
    let bytes = read_bounded(&mut file, path, MAXIMUM_AUTHORITIES).map_err(|e| e.message)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|_| "not PEM, or cut short".to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("no certificate in it".into()) } else { Ok(roots) }
}

/// What TLS doesn't take of ours: nothing that a peer could cause.
pub(super) fn internal(error: rustls::Error) -> Failure {
    Failure::Io(io::Error::other(error))
}
