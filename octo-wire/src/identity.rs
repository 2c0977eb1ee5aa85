//! An identity: a private key and its certificate, in one PEM file or a pipe.

use octo_core::Thumbprint;
use octo_core::error::{Error, Exit, Result};
use octo_core::paths::read_bounded;
use rustix::process::geteuid;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key and its certificate are a few KiB; a chain a few more.
const MAXIMUM: u64 = 1 << 20;

/// Who we are to a peer.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) certified: Arc<CertifiedKey>,
    thumbprint: Thumbprint,
}

impl Identity {
    /// Reads an identity from a file, a pipe, or `-` for standard input.
    ///
    /// # Errors
    /// Exit 65 if it is missing or damaged; 78 if others can read the key, or
    /// the key is not the certificate's.
    pub fn load(path: &Path) -> Result<Identity> {
        let path = if path == Path::new("-") { Path::new("/dev/stdin") } else { path };
        let mut file = File::open(path).map_err(|error| {
            let exit = if error.kind() == std::io::ErrorKind::NotFound {
                Exit::Configuration
            } else {
                Exit::Data
            };
            Error::io(path, &error).exit(exit).hint(format!("octo-keys new {}", path.display()))
        })?;
        check_mode(&file, path)?;
        let bytes = Zeroizing::new(read_bounded(&mut file, path, MAXIMUM)?);
        Identity::from_pem(&bytes)
            .map_err(|reason| Error::new(Exit::Configuration, path.display(), reason))
    }

    /// An identity from the bytes of a PEM file.
    ///
    /// # Errors
    /// What is wrong with it, in words, without a byte of the key.
    pub fn from_pem(bytes: &[u8]) -> std::result::Result<Identity, String> {
        let chain = CertificateDer::pem_slice_iter(bytes)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|_| "not PEM, or cut short".to_string())?;
        let key = PrivateKeyDer::from_pem_slice(bytes).map_err(|_| {
            if chain.is_empty() {
                "no private key and no certificate in it"
            } else {
                "no private key in it"
            }
        })?;
        let leaf = chain.first().ok_or("no certificate in it")?;
        let thumbprint = Thumbprint::of_certificate(leaf);
        let key = any_supported_type(&key)
            .map_err(|_| "its private key is damaged or of an unknown type")?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| "its key is not the certificate's")?;
        Ok(Identity { certified: Arc::new(certified), thumbprint })
    }

    /// The thumbprint by which peers know us.
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }
}

/// A key file that others can read is no secret any more; a pipe has no readers
/// but us.
fn check_mode(file: &File, path: &Path) -> Result<()> {
    let metadata = file.metadata().map_err(|e| Error::io(path, &e))?;
    if metadata.is_dir() {
        return Err(Error::new(Exit::Data, path.display(), "is a directory"));
    }
    if !metadata.is_file() {
        return Ok(());
    }
    let unsound = |reason: String| Error::new(Exit::Configuration, path.display(), reason);
    if metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 {
        return Err(unsound(format!("is owned by uid {}", metadata.uid())));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(unsound(format!("others can reach this private key (mode {mode:04o})"))
            .hint(format!("chmod 600 {}", path.display())));
    }
    Ok(())
}
