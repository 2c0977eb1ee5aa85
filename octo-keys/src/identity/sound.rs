//! Is an identity file one that the tools will take?

use super::certificate::{Certificate, PemFile};
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::open_trusted;
use rcgen::{KeyPair, PublicKeyData};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroize;

/// Reads an identity: nobody else may read its file or have written it, and its
/// key must be that of its certificate.
///
/// # Errors
/// Exit 78 with what is wrong.
pub(crate) fn check(path: &Path) -> Result<Certificate> {
    let unsound = |error: Error| error.exit(Exit::Configuration);
    let wrong = |reason: &str| Error::new(Exit::Configuration, path.display(), reason);
    let mut file = open_trusted(path).map_err(unsound)?;
    let mode = file.metadata().map_err(|e| Error::io(path, &e))?.mode() & 0o7777;
    if let Some(error) = readable_by_others(path, mode) {
        return Err(error);
    }
    let pem = PemFile::from_reader(path, &mut file).map_err(unsound)?;
    let mut certificates = pem.certificates().map_err(unsound)?;
    let key = pem.key().ok_or_else(|| wrong("there is no private key in it"))?;
    let mut pair = KeyPair::from_pem(key)
        .map_err(|_| wrong("the private key is damaged, or of an unknown type"))?;
    let public_key = pair.subject_public_key_info();
    pair.zeroize();
    let certificate = certificates.swap_remove(0);
    if public_key != certificate.fields.public_key {
        return Err(wrong("the key is not that of the certificate"));
    }
    if certificate.fields.version != 3 {
        let version = certificate.fields.version;
        return Err(wrong(&format!(
            "the certificate is of X.509 version {version}: peers take version 3 only"
        ))
        .hint("openssl x509 -req makes version 3 where -extfile names extensions"));
    }
    Ok(certificate)
}

/// The error of a key with this mode, if it has one.
pub(crate) fn readable_by_others(path: &Path, mode: u32) -> Option<Error> {
    (mode & 0o077 != 0).then(|| {
        let reason = format!("others can read this key (mode {mode:04o})");
        Error::new(Exit::Configuration, path.display(), reason)
            .hint(format!("chmod 600 {}", path.display()))
    })
}
