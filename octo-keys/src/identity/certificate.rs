//! Certificates as octo-keys shows them: out of PEM files, with or without a key.

use super::x509::CertificateFields;
use octo_core::Thumbprint;
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::read_bounded;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fs::File;
use std::path::{Path, PathBuf};
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

    /// The whole blocks, each as its label and as it stands in the file.
    fn blocks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.match_indices(BEGIN).filter_map(|(start, _)| {
            let block = &self.text[start..];
            let first = block.lines().next()?.trim_end();
            let label = first.strip_prefix(BEGIN)?.strip_suffix("-----")?;
            let end = block.find(END)?;
            let length = block[end..].find('\n').map_or(block.len(), |newline| end + newline);
            Some((label, block[..length].trim_end()))
        })
    }

    /// All of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The private key's block, if it has one, of whichever type.
    pub(crate) fn key(&self) -> Option<&str> {
        let mut blocks = self.blocks();
        blocks.find(|(label, _)| label.ends_with("PRIVATE KEY")).map(|(_, block)| block)
    }

    /// The certificates, the peer's own first.
    ///
    /// # Errors
    /// Exit 65 where there is none, or one is damaged.
    pub(crate) fn certificates(&self) -> Result<Vec<Certificate>> {
        let blocks = self.blocks().filter(|(label, _)| *label == "CERTIFICATE");
        let all: Result<Vec<Certificate>> =
            blocks.map(|(_, block)| Certificate::parse(&self.path, block)).collect();
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
    pub(crate) fields: CertificateFields,
}

impl Certificate {
    fn parse(path: &Path, block: &str) -> Result<Certificate> {
        let damaged = |what: &str| Error::new(Exit::Data, path.display(), what);
        let der = CertificateDer::from_pem_slice(block.as_bytes())
            .map_err(|_| damaged("the certificate's PEM is damaged"))?;
        Ok(Certificate {
            pem: format!("{}\n", block.replace('\r', "")),
            thumbprint: Thumbprint::of_certificate(&der),
            fields: CertificateFields::read(&der)
                .ok_or_else(|| damaged("the certificate is damaged"))?,
        })
    }

    /// Prints what people ask, one `key value` a line.
    pub(crate) fn print(&self, others: usize) -> Result<()> {
        let CertificateFields { name, key, not_before, not_after, .. } = &self.fields;
        let mut text = format!(
            "thumbprint {}\nname {name}\nkey {key}\nvalid-from {not_before}\nvalid-until {not_after}\n",
            self.thumbprint
        );
        if others > 0 {
            text.push_str(&format!("chain {others}\n"));
        }
        print(&text)
    }
}
