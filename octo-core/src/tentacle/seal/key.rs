//! STATE/seal.pem: the key with which octo-exec seals ends, and its certificate; beside it
//! STATE/seal.crt, the certificate alone, which the listener hands out. The listener can
//! read the first at no time: it is made with the mode that it keeps.

use super::{Seal, Sealed};
use crate::base::error::{Error, Exit, Result};
use crate::base::names::PusherName;
use crate::base::paths::{Places, read_bounded};
use crate::base::publish::{self, Readers};
use crate::base::thumbprint::Thumbprint;
use crate::tentacle::identity::{algorithm, make};
use crate::tentacle::layout;
use aws_lc_rs::signature::Ed25519KeyPair;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::fs::File;
use std::path::Path;
use zeroize::Zeroizing;

/// A larger file holds more than a key and a certificate.
const LARGEST: u64 = 64 * 1024;

/// The key of this tentacle's seals.
#[derive(Debug)]
pub struct SealKey {
    pair: Ed25519KeyPair,
    /// DER.
    certificate: Vec<u8>,
}

impl SealKey {
    /// This tentacle's, which is made where it is missing. Of several at once one makes it.
    ///
    /// # Errors
    /// Exit 73 or 74 where it can't be made or read, 78 where it is no key, or STATE is
    /// another user's.
    pub fn load_or_make(places: &Places) -> Result<SealKey> {
        let path = places.seal();
        if let Some(key) = SealKey::load(places)? {
            return Ok(key);
        }
        layout::make(places)?;
        let failed = |reason: String| {
            let reason = format!("can't make a key: {reason}");
            Error::new(Exit::CannotCreate, path.display(), reason)
        };
        let name = PusherName::parse("octo-seal").ok_or_else(|| failed("no name".into()))?;
        let kind = algorithm("ed25519").ok_or_else(|| failed("no such kind".into()))?;
        let (_, pem) = make(&name, kind).map_err(failed)?;
        let own = Readers::of_group(0o600, layout::executor(places).gid);
        // Who comes second takes the first one's: a target line pins one key.
        publish::create(&path, pem.as_bytes(), own)?;
        let made = SealKey::load(places)?;
        made.ok_or_else(|| Error::new(Exit::Io, path.display(), "was removed as it was made"))
    }

    /// This tentacle's, where there is one.
    ///
    /// # Errors
    /// As [`SealKey::load_or_make`].
    pub fn load(places: &Places) -> Result<Option<SealKey>> {
        let path = places.seal();
        let Some(text) = read(&path)? else { return Ok(None) };
        let text = Zeroizing::new(text);
        let unsound = |reason: String| {
            let hint = format!("rm {}: another is made; octo-keys seal shows it", path.display());
            Error::new(Exit::Configuration, path.display(), reason).hint(hint)
        };
        let key = PrivatePkcs8KeyDer::from_pem_slice(&text)
            .map_err(|error| unsound(format!("no private key: {error}")))?;
        let certificate = CertificateDer::from_pem_slice(&text)
            .map_err(|error| unsound(format!("no certificate: {error}")))?;
        let pair = Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der())
            .map_err(|error| unsound(format!("its key is none of Ed25519: {error}")))?;
        let key = SealKey { pair, certificate: certificate.to_vec() };
        key.publish_certificate(places, &text)?;
        Ok(Some(key))
    }

    /// What a target line pins.
    pub fn thumbprint(&self) -> Thumbprint {
        Thumbprint::of_certificate(&self.certificate)
    }

    /// Signs it.
    pub fn sign(&self, seal: &Seal) -> Sealed {
        let seal = seal.encode();
        let signature = self.pair_signs(&seal);
        Sealed { seal, signature }
    }

    pub(super) fn pair_signs(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(bytes).as_ref().to_vec()
    }

    /// Brings STATE/seal.crt to what the key's file says, where it is not so.
    fn publish_certificate(&self, places: &Places, pem: &[u8]) -> Result<()> {
        let path = places.seal_certificate();
        let there = read(&path)?;
        let is_ours = |text: &Vec<u8>| {
            CertificateDer::from_pem_slice(text).is_ok_and(|der| *der == *self.certificate)
        };
        if there.as_ref().is_some_and(is_ours) {
            return Ok(());
        }
        let begin = b"-----BEGIN CERTIFICATE-----";
        let at = pem.windows(begin.len()).position(|window| window == begin).unwrap_or(pem.len());
        publish::replace(&path, &pem[at..], layout::readers(places, 0o640))
    }
}

/// The certificate that a listener hands out, DER; `None` where there is none.
///
/// # Errors
/// Where it can't be read, or is none.
pub fn certificate(places: &Places) -> Result<Option<Vec<u8>>> {
    let path = places.seal_certificate();
    let Some(text) = read(&path)? else { return Ok(None) };
    let der = CertificateDer::from_pem_slice(&text)
        .map_err(|e| Error::new(Exit::Data, path.display(), format!("no certificate: {e}")))?;
    Ok(Some(der.to_vec()))
}

/// Through no link: STATE is octo-exec's own.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => read_bounded(&mut File::from(file), path, LARGEST).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(Error::io(path, &error.into())),
    }
}
