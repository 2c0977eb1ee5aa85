//! octo-keys new: an identity, a private key and its self-signed certificate.
//!
//! The certificate has no date that would one day stop a fleet: trust is given
//! and taken by thumbprint alone. The file appears whole, mode 0600, and never
//! in the place of another.

use aws_lc_rs::signature::Ed25519KeyPair;
use octo_core::Thumbprint;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::{print, print_bytes};
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::{PusherName, random_bytes};
use octo_core::base::paths::{Places, create_directory};
use octo_core::base::publish;
use octo_core::trust::StartedBy;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SerialNumber, date_time_ymd,
};
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

pub(crate) fn run(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(0..=1)?;
    let algorithm = match said.one("key")?.as_deref() {
        None | Some("ed25519") => &PKCS_ED25519,
        Some("ecdsa-p256") => &PKCS_ECDSA_P256_SHA256,
        Some(other) => {
            let message = format!("{other}: not a type of key (ed25519, ecdsa-p256)");
            return Err(said.tool().misuse(message));
        }
    };
    let name = match said.one("name")? {
        Some(name) => PusherName::parse(&name).ok_or_else(|| {
            said.tool().misuse(format!("--name {name}: a name is {}", PusherName::FORM))
        })?,
        None => default_name()?,
    };
    let path = arguments.first().map_or_else(|| places.identity(), Into::into);
    let aside = path == Path::new("-");
    if !aside {
        make_room(&path, arguments.is_empty(), &places.config)?;
    }

    let (thumbprint, pem) = make(&name, algorithm).map_err(|reason| {
        Error::new(Exit::CannotCreate, path.display(), format!("can't make a key: {reason}"))
    })?;
    if aside {
        // The identity goes to where it is encrypted: octo-keys new - | age …
        print_bytes(pem.as_bytes())?;
        said.tool().say(format!("thumbprint {thumbprint} of {name}"));
        return Ok(0);
    }
    if !publish::create(&path, pem.as_bytes(), 0o600)? {
        return Err(taken(&path));
    }
    if std::io::stderr().is_terminal() {
        said.tool().say(format!("{}: the identity of {name}", path.display()));
    }
    print(&format!("{thumbprint}\n"))?;
    Ok(0)
}

fn make_room(path: &Path, is_default: bool, config: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(taken(path));
    }
    if is_default { create_directory(config, 0o755) } else { Ok(()) }
}

fn taken(path: &Path) -> Error {
    Error::new(Exit::CannotCreate, path.display(), "exists, and is never overwritten")
        .hint(format!("octo-keys show {} shows what it is", path.display()))
        .hint("octo-keys new FILE makes another identity")
}

/// A new identity's thumbprint, and its file: the key, then the certificate.
fn make(
    name: &PusherName,
    algorithm: &'static rcgen::SignatureAlgorithm,
) -> std::result::Result<(Thumbprint, Zeroizing<String>), String> {
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
fn generate(algorithm: &'static rcgen::SignatureAlgorithm) -> std::result::Result<KeyPair, String> {
    let said = |error: rcgen::Error| error.to_string();
    if algorithm != &PKCS_ED25519 {
        return KeyPair::generate_for(algorithm).map_err(said);
    }
    let failed = |_| "the cryptography library gives none".to_string();
    let document = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(failed)?;
    KeyPair::try_from(document.as_ref()).map_err(said)
}

/// `user@host`, or the host's name alone for root, whose identity is the machine's.
fn default_name() -> Result<PusherName> {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy().into_owned();
    let name = match StartedBy::this_process() {
        StartedBy::User { name, root: false } => format!("{name}@{host}"),
        _ => host,
    };
    PusherName::parse(&name).ok_or_else(|| {
        Error::new(Exit::Data, &name, "this user at this host gives no usable name")
            .hint("octo-keys new --name NAME")
    })
}
