//! Certificates as octo-keys shows them: out of PEM files, with or without a key.

use octo_core::Thumbprint;
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::read_bounded;
use std::fs::File;
use std::path::{Path, PathBuf};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

/// An identity or a chain of certificates that is larger is none.
const LARGEST: u64 = 1 << 20;
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// A file of PEM blocks, read. The key in it is wiped from memory when it goes.
pub(crate) struct PemFile {
    /// For messages.
    pub(crate) path: PathBuf,
    text: Zeroizing<String>,
}

impl PemFile {
    /// Reads a file, or a pipe that has a path.
    ///
    /// # Errors
    /// Where it can't be read, is too large, or is no PEM.
    pub(crate) fn open(path: &Path) -> Result<PemFile> {
        let mut file = File::open(path).map_err(|e| Error::doing("read", path, &e))?;
        PemFile::from_reader(path, &mut file)
    }

    /// Reads standard input.
    ///
    /// # Errors
    /// As [`PemFile::open`].
    pub(crate) fn standard_input() -> Result<PemFile> {
        PemFile::from_reader(Path::new("standard input"), &mut std::io::stdin().lock())
    }

    /// As [`PemFile::open`], of what is open already.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn from_reader(path: &Path, reader: &mut dyn std::io::Read) -> Result<PemFile> {
        let bytes = Zeroizing::new(read_bounded(reader, path, LARGEST)?);
        let text = std::str::from_utf8(&bytes).map_err(|_| not_pem(path))?;
        if !text.contains(BEGIN) {
            return Err(not_pem(path));
        }
        Ok(PemFile { path: path.to_path_buf(), text: Zeroizing::new(text.to_string()) })
    }

    /// The blocks whose label ends so, as they stand in the file.
    fn blocks(&self, label: &str) -> impl Iterator<Item = &str> {
        let ending = format!("{label}-----");
        self.text.match_indices(BEGIN).filter_map(move |(start, _)| {
            let block = &self.text[start..];
            block.lines().next().filter(|line| line.trim_end().ends_with(&ending))?;
            let end = block.find(END)?;
            let length = block[end..].find('\n').map_or(block.len(), |newline| end + newline);
            Some(block[..length].trim_end())
        })
    }

    /// The private key's block, if it has one.
    pub(crate) fn key(&self) -> Option<&str> {
        self.blocks("PRIVATE KEY").next()
    }

    /// The certificates, the peer's own first.
    ///
    /// # Errors
    /// Exit 65 where there is none, or one is damaged.
    pub(crate) fn certificates(&self) -> Result<Vec<Certificate>> {
        let all: Result<Vec<Certificate>> =
            self.blocks("CERTIFICATE").map(|block| Certificate::parse(&self.path, block)).collect();
        let all = all?;
        if all.is_empty() {
            return Err(Error::new(
                Exit::Data,
                self.path.display(),
                "there is no whole certificate in it",
            ));
        }
        Ok(all)
    }
}

fn not_pem(path: &Path) -> Error {
    Error::new(Exit::Data, path.display(), "neither an identity nor a certificate in PEM form")
        .hint("openssl x509 -inform DER -in FILE makes PEM of a DER certificate")
}

/// A certificate and what people ask about it.
pub(crate) struct Certificate {
    /// Its block, as it stood in the file.
    pub(crate) pem: String,
    pub(crate) thumbprint: Thumbprint,
    /// The subject's common name, else the whole subject; a peer's bytes.
    pub(crate) name: String,
    /// `ed25519`, `ecdsa-p256`, …
    pub(crate) key: String,
    pub(crate) not_before: String,
    pub(crate) not_after: String,
    /// The SubjectPublicKeyInfo, as DER.
    pub(crate) public_key: Vec<u8>,
}

impl Certificate {
    fn parse(path: &Path, block: &str) -> Result<Certificate> {
        let damaged = |what: &str| Error::new(Exit::Data, path.display(), what);
        let (_, pem) = parse_x509_pem(block.as_bytes())
            .map_err(|_| damaged("the certificate's PEM is damaged"))?;
        let (rest, parsed) = X509Certificate::from_der(&pem.contents)
            .map_err(|_| damaged("the certificate is damaged"))?;
        if !rest.is_empty() {
            return Err(damaged("bytes follow the certificate in its block"));
        }
        let subject = parsed.subject();
        let common = subject.iter_common_name().next().and_then(|name| name.as_str().ok());
        let name = common.map_or_else(|| subject.to_string(), str::to_string);
        Ok(Certificate {
            pem: format!("{}\n", block.replace('\r', "")),
            thumbprint: Thumbprint::of_certificate(&pem.contents),
            name: printable(name.as_bytes()),
            key: key_type(&parsed),
            not_before: date(parsed.validity().not_before),
            not_after: date(parsed.validity().not_after),
            public_key: parsed.public_key().raw.to_vec(),
        })
    }

    /// Prints what people ask, one `key value` a line.
    ///
    /// # Errors
    /// Where printing fails.
    pub(crate) fn print(&self, others: usize) -> Result<()> {
        let mut text = format!(
            "thumbprint {}\nname {}\nkey {}\nvalid-from {}\nvalid-until {}\n",
            self.thumbprint, self.name, self.key, self.not_before, self.not_after
        );
        if others > 0 {
            text.push_str(&format!("chain {others}\n"));
        }
        print(&text)
    }
}

/// RFC 3339. The year 9999 is past what jiff takes for a timestamp.
fn date(time: x509_parser::time::ASN1Time) -> String {
    let t = time.to_datetime();
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    let (hour, minute, second) = (t.hour(), t.minute(), t.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn key_type(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    let oid = key.algorithm.algorithm.to_id_string();
    match (oid.as_str(), key.parsed()) {
        ("1.3.101.112", _) => "ed25519".into(),
        (_, Ok(PublicKey::RSA(rsa))) => format!("rsa-{}", rsa.key_size()),
        (_, Ok(PublicKey::EC(point))) => format!("ecdsa-p{}", point.key_size()),
        _ => oid,
    }
}
