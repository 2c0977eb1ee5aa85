//! octo-keys show and cert: what an identity or a certificate is.

use crate::identity::{PemFile, readable_by_others};
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) fn show(said: &Said, places: &Places) -> Result<u8> {
    let pem = read(said, places)?;
    let certificates = pem.certificates()?;
    if pem.key().is_some() {
        // A pipe has a mode, too, but no others who could open it.
        let file = pem.path.metadata().ok().filter(|metadata| metadata.is_file());
        let warning = file.and_then(|m| readable_by_others(&pem.path, m.mode() & 0o7777));
        warning.into_iter().for_each(|warning| said.tool().report(&warning));
    }
    certificates[0].print(certificates.len() - 1)?;
    Ok(0)
}

pub(crate) fn cert(said: &Said, places: &Places) -> Result<u8> {
    let certificates = read(said, places)?.certificates()?;
    let text: String = certificates.into_iter().map(|certificate| certificate.pem).collect();
    print(&text)?;
    Ok(0)
}

fn read(said: &Said, places: &Places) -> Result<PemFile> {
    let arguments = said.counted(0..=1)?;
    match arguments.first().map(String::as_str) {
        Some("-") => PemFile::standard_input(),
        Some(name) => PemFile::open(Path::new(name)),
        None => {
            let path = places.identity();
            PemFile::open(&path).map_err(|error| match path.exists() {
                true => error,
                false => error.hint("octo-keys new makes one"),
            })
        }
    }
}
