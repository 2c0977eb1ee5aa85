//! A new identity, or seal: a key and its self-signed certificate.
//!
//! The certificate has no date that would one day stop a fleet: trust is given
//! and taken by thumbprint alone.

use crate::base::names::{PusherName, random_bytes};
use crate::base::thumbprint::Thumbprint;
use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SerialNumber, SignatureAlgorithm,
    date_time_ymd,
};
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

/// A type of key that is made here.
pub type Algorithm = &'static SignatureAlgorithm;

/// The type of this name, which is also what a certificate's key is called.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "ed25519" => Some(&PKCS_ED25519),
        "ecdsa-p256" => Some(&PKCS_ECDSA_P256_SHA256),
        _ => None,
    }
}

/// A new identity's thumbprint, and its file: the key, then the certificate.
///
/// # Errors
/// In words, where there is no randomness, or the library fails.
pub fn make(
    name: &PusherName,
    algorithm: Algorithm,
) -> Result<(Thumbprint, Zeroizing<String>), String> {
    let said = |error: rcgen::Error| error.to_string();
    let mut serial = [0; 16];
    random_bytes(&mut serial).map_err(|e| e.to_string())?;
    // A serial number is positive, and its encoding has no leading zero.
    serial[0] = serial[0] & 0x7f | 0x40;

    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name.as_str());
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    // Fixed, so that no clock is too early for it, and RFC 5280's word for
    // "no well-defined expiration date": 99991231235959Z.
    parameters.not_before = date_time_ymd(1970, 1, 1);
    parameters.not_after = date_time_ymd(9999, 12, 31) + Duration::from_secs(86_399);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];

    let mut pair = generate(algorithm)?;
    let certificate = parameters.self_signed(&pair).map_err(said)?;
    let key = Zeroizing::new(pair.serialize_pem());
    pair.zeroize();
    let pem = Zeroizing::new(format!("{}{}", *key, certificate.pem()));
    Ok((Thumbprint::of_certificate(certificate.der()), pem))
}

/// A new key. OpenSSL 3.0 can't read the form in which rcgen keeps an Ed25519 key
/// (PKCS #8 version 2, with the public key): version 1 it is, for all readers.
fn generate(algorithm: Algorithm) -> Result<KeyPair, String> {
    let said = |error: rcgen::Error| error.to_string();
    if algorithm != &PKCS_ED25519 {
        return KeyPair::generate_for(algorithm).map_err(said);
    }
    let failed = |_| "the cryptography library gives none".to_string();
    let document = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(failed)?;
    KeyPair::try_from(document.as_ref()).map_err(said)
}
