//! Are these bytes signed by the key of this certificate? The one place where
//! cryptography of public keys is done without TLS: statements, and the ends of jobs.

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use webpki::aws_lc_rs::{
    ECDSA_P256_SHA256, ECDSA_P384_SHA384, ED25519, RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
};
use webpki::{EndEntityCert, Error};

/// One a kind of key, as octo-job(5) has them.
const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 4] =
    [ED25519, ECDSA_P256_SHA256, ECDSA_P384_SHA384, RSA_PSS_2048_8192_SHA256_LEGACY_KEY];

/// Verifies it.
///
/// # Errors
/// In words, why it isn't.
pub fn verify(certificate: &[u8], message: &[u8], signature: &[u8]) -> Result<(), String> {
    let der = CertificateDer::from(certificate);
    let leaf = EndEntityCert::try_from(&der)
        .map_err(|error| format!("its certificate can't be used: {error}"))?;
    for algorithm in ALGORITHMS {
        match leaf.verify_signature(algorithm, message, signature) {
            Ok(()) => return Ok(()),
            Err(Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) => return Err("its signature is not by the key of its certificate".into()),
        }
    }
    Err("its key is of a kind that signs no statements".into())
}
