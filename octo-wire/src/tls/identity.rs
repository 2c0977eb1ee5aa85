//! An identity: a private key and its certificate, in one PEM file or a pipe.

use super::verify::MAXIMUM_CERTIFICATE;
use octo_core::Thumbprint;
use octo_core::base::error::{Error, Exit, Result};
use rustix::process::geteuid;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key, and a certificate as large as peers accept it; a chain is smaller.
const MAXIMUM: u64 = 128 * 1024;

/// A kind of key each; an RSA key has several, and one is enough.
const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
];

/// Who we are to a peer.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) certified: Arc<CertifiedKey>,
    thumbprint: Thumbprint,
}

/// Who keeps the file of an identity, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// Its owner, for nobody else.
    Owner,
    /// systemd, for a service: what its mode calls a group are the entries of an access
    /// control list, which name the service's user.
    Systemd,
}

impl Identity {
    /// Reads an identity from a file, a pipe, or `-` for standard input.
    ///
    /// # Errors
    /// Exit 78 if it is missing or damaged, if others can read the key, or if
    /// the key is not the certificate's.
    pub fn load(path: &Path) -> Result<Identity> {
        Identity::from_pem(&Identity::read(path, Keeper::Owner)?).map_err(|e| unsound(path, e))
    }

    /// The bytes of an identity, as [`Identity::load`] reads them; what they say is not
    /// looked at.
    ///
    /// # Errors
    /// Exit 78 if it is missing or too large, or if others can read the key.
    pub fn read(path: &Path, keeper: Keeper) -> Result<Zeroizing<Vec<u8>>> {
        let path = if path == Path::new("-") { Path::new("/dev/stdin") } else { path };
        let file = File::open(path).map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let error = Error::io(path, &error).exit(Exit::Configuration);
            if missing { error.hint(format!("octo-keys new {}", path.display())) } else { error }
        })?;
        check_mode(&file, path, keeper)?;
        Identity::read_open(file, path)
    }

    /// As [`Identity::read`], of what is open already, whatever its mode.
    ///
    /// # Errors
    /// Exit 78 if it is too large.
    pub fn read_open(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>> {
        let metadata = file.metadata().map_err(|error| Error::io(path, &error))?;
        // Of a pipe the size is not known before.
        let most = Some(metadata.len()).filter(|size| metadata.is_file() && *size > 0);
        let most = most.unwrap_or(MAXIMUM).min(MAXIMUM);
        // In one piece from the start: growing would leave copies of the key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(most as usize + 1));
        let read = file.take(most + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::io(path, &error))?;
        if bytes.len() as u64 > most {
            return Err(match most {
                MAXIMUM => unsound(path, format!("is larger than {} KiB", MAXIMUM / 1024)),
                _ => unsound(path, "grew while it was read".into()),
            });
        }
        Ok(bytes)
    }

    /// An identity from the bytes of a PEM file.
    ///
    /// # Errors
    /// What is wrong with it, in words, without a byte of the key.
    pub fn from_pem(bytes: &[u8]) -> std::result::Result<Identity, String> {
        if bytes.is_empty() {
            return Err("is empty".into());
        }
        if is_encrypted(bytes) {
            return Err("is encrypted: let it be decrypted into a pipe, -i <(age -d FILE)".into());
        }
        let chain = CertificateDer::pem_slice_iter(bytes)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|_| "is not PEM, or cut short".to_string())?;
        let key = PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
            pem::Error::NoItemsFound if chain.is_empty() => "has no private key and no certificate",
            pem::Error::NoItemsFound => "has no private key",
            _ => "is not PEM, or cut short",
        })?;
        let key = Zeroizing::new(key);
        let leaf = chain.first().ok_or("has no certificate")?;
        if leaf.len() > MAXIMUM_CERTIFICATE {
            let most = MAXIMUM_CERTIFICATE / 1024;
            return Err(format!("its certificate is larger than {most} KiB"));
        }
        let thumbprint = Thumbprint::of_certificate(leaf);
        let key = any_supported_type(&key)
            .map_err(|_| "its private key is damaged or of an unknown type")?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => "its key is not the certificate's".to_string(),
            other => format!("its certificate is not fit for use: {other}"),
        })?;
        Ok(Identity { certified: Arc::new(certified), thumbprint })
    }

    /// The thumbprint by which peers know us.
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Signs these bytes with the key, by the one scheme that its kind has for
    /// statements: octo-job(5) says how openssl(1) verifies it.
    ///
    /// # Errors
    /// In words, where the key is of another kind.
    pub fn sign(&self, bytes: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let signer = self.certified.key.choose_scheme(SCHEMES).ok_or(
            "its key is of a kind that signs no statements: Ed25519, P-256, P-384 and RSA do",
        )?;
        signer.sign(bytes).map_err(|error| format!("its key can't sign: {error}"))
    }
}

/// Keys rest encrypted in these forms; we have no passphrase to open them.
fn is_encrypted(bytes: &[u8]) -> bool {
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    bytes.starts_with(b"age-encryption.org/")
        || has(b"-----BEGIN AGE ENCRYPTED FILE")
        || has(b"-----BEGIN ENCRYPTED PRIVATE KEY")
        || has(b"Proc-Type: 4,ENCRYPTED")
}

/// A key file that others can read is no secret any more; a pipe has no readers
/// but us.
fn check_mode(file: &File, path: &Path, keeper: Keeper) -> Result<()> {
    let metadata = file.metadata().map_err(|e| Error::io(path, &e))?;
    if metadata.is_dir() {
        return Err(unsound(path, "is a directory".into()));
    }
    if !metadata.is_file() {
        return Ok(());
    }
    if metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 {
        return Err(unsound(path, format!("is owned by uid {}", metadata.uid())));
    }
    let others = if keeper == Keeper::Systemd { 0o037 } else { 0o077 };
    if metadata.mode() & others != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(unsound(path, format!("others can reach this private key (mode {mode:04o})"))
            .hint(format!("chmod 600 {}", path.display())));
    }
    Ok(())
}

fn unsound(path: &Path, reason: String) -> Error {
    Error::new(Exit::Configuration, path.display(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn pem() -> (String, String) {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("key");
        let parameters = rcgen::CertificateParams::new(vec!["octo".into()]).expect("parameters");
        let certificate = parameters.self_signed(&key).expect("certificate");
        (key.serialize_pem(), certificate.pem())
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        let (key, certificate) = pem();
        let (other, _) = pem();
        assert!(Identity::from_pem(format!("{key}{certificate}").as_bytes()).is_ok());
        // The order is free, and so is text around the parts.
        assert!(Identity::from_pem(format!("name: x\n{certificate}\n{key}").as_bytes()).is_ok());
        let whole = format!("{certificate}{key}");
        for (bytes, said) in [
            (String::new(), "is empty"),
            ("nothing".into(), "no private key and no certificate"),
            (key.clone(), "no certificate"),
            (certificate.clone(), "no private key"),
            (format!("{other}{certificate}"), "not the certificate's"),
            (whole[..whole.len() - 30].into(), "cut short"),
            (key.replace("K2Vw", "K2Vx") + &certificate, "damaged or of an unknown type"),
            (certificate.replace("MII", "MIJ") + &key, "not fit for use"),
            ("age-encryption.org/v1\n-> X".into(), "is encrypted"),
            (format!("{certificate}-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "is encrypted"),
        ] {
            let error = Identity::from_pem(bytes.as_bytes()).expect_err(said);
            assert!(error.contains(said), "{error}, not {said}");
            assert!(!error.contains(&key[40..50]), "a byte of the key: {error}");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let (key, certificate) = pem();
        let whole = key + &certificate;
        // The last line's own end is the only byte that may be missing.
        for cut in 0..whole.trim_end().len() {
            assert!(Identity::from_pem(&whole.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_file_that_others_can_reach_is_no_secret() {
        let (key, certificate) = pem();
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("identity.pem");
        std::fs::write(&path, key + &certificate).expect("write");
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).expect("chmod");
            let loaded = Identity::load(&path);
            assert_eq!(loaded.is_ok(), fine, "{mode:o}");
            if let Err(error) = loaded {
                assert_eq!(error.exit, Exit::Configuration);
                assert!(error.hints[0].starts_with("chmod 600"), "{error:?}");
            }
            let credential = Identity::read(&path, Keeper::Systemd);
            assert_eq!(credential.is_ok(), mode & 0o007 == 0, "{mode:o}");
        }
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        let directory = tempfile::tempdir().expect("tempdir");
        let missing = Identity::load(&directory.path().join("none")).expect_err("missing");
        assert_eq!(missing.exit, Exit::Configuration);
        assert!(missing.hints[0].starts_with("octo-keys new"), "{missing:?}");
        let error = Identity::load(directory.path()).expect_err("a directory");
        assert!(error.message.ends_with("is a directory"));
        let error = Identity::load(Path::new("/dev/zero")).expect_err("endless");
        assert!(error.message.contains("larger than 128 KiB"));
    }

    #[test]
    fn a_pipe_has_no_mode_to_check() {
        let (key, certificate) = pem();
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
            .expect("mkfifo");
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, key + &certificate)
        });
        assert!(Identity::load(&path).is_ok());
        writer.join().expect("thread").expect("write");
    }
}
