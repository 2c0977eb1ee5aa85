//! Is an identity file one that the tools will take?

use super::certificate::{Certificate, PemFile};
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::{check_trusted, open_trusted};
use octo_core::base::publish;
use rcgen::{KeyPair, PublicKeyData};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroize;

/// Reads an identity: nobody else may read its file or have written it, and its
/// key must be that of its certificate. A listener that is another user owns it.
///
/// # Errors
/// Exit 78 with what is wrong.
pub(crate) fn check(path: &Path, listener: Option<u32>) -> Result<Certificate> {
    let unsound = |error: Error| error.exit(Exit::Configuration);
    let wrong = |reason: &str| Error::new(Exit::Configuration, path.display(), reason);
    let mut file = open(path, listener).map_err(unsound)?;
    let mode = file.metadata().map_err(|e| Error::io(path, &e))?.mode() & 0o7777;
    if let Some(error) = readable_by_others(path, mode) {
        return Err(error);
    }
    let pem = PemFile::from_reader(path, &mut file).map_err(unsound)?;
    let certificate = certificate_of(&pem).map_err(unsound)?;
    if pem.key().is_none() {
        return Err(wrong("there is no private key in it"));
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

fn open(path: &Path, listener: Option<u32>) -> Result<File> {
    let failed = |e: std::io::Error| Error::io(path, &e);
    let owned = |found: Metadata| found.is_file() && Some(found.uid()) == listener;
    if !path.metadata().is_ok_and(owned) {
        return open_trusted(path);
    }
    // In directories that are not its own, it can't put another file there meanwhile.
    let resolved = path.canonicalize().map_err(failed)?;
    check_trusted(publish::parent(path))?;
    check_trusted(publish::parent(&resolved))?;
    File::open(&resolved).map_err(failed)
}

/// The first certificate, the peer's own. Of a file that has a key, too, it must be that
/// key's: one who shows it couldn't prove that it is his.
///
/// # Errors
/// Exit 65 where there is none, 78 where the key is damaged or another's.
pub(crate) fn certificate_of(pem: &PemFile) -> Result<Certificate> {
    let wrong = |reason: &str| Error::new(Exit::Configuration, pem.path.display(), reason);
    let certificate = pem.certificates()?.swap_remove(0);
    let Some(key) = pem.key() else { return Ok(certificate) };
    let mut pair = KeyPair::from_pem(key)
        .map_err(|_| wrong("the private key is damaged, or of an unknown type"))?;
    let public_key = pair.subject_public_key_info();
    pair.zeroize();
    if public_key != certificate.fields.public_key {
        return Err(wrong("the key is not that of the certificate"));
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
