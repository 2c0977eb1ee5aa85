//! octo-keys tentacle: by which thumbprint this tentacle is known.

use crate::identity::{PemFile, certificate_of};
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::edit_lock;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::{Places, create_directory, if_there};
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::known::OwnThumbprints;
use std::io::IsTerminal;
use std::path::Path;

pub(crate) fn run(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(0..=1)?;
    let pem = match arguments.first().map(String::as_str) {
        Some("-") => PemFile::standard_input()?,
        Some(name) => PemFile::open(Path::new(name))?,
        None => identity(places)?,
    };
    let thumbprint = certificate_of(&pem)?.thumbprint;
    create_directory(&places.config, 0o755)?;
    let _lock = edit_lock::hold(&places.config)?;
    let noted = noted(places)?;
    let own = match noted {
        Some(noted) => noted.followed_by(thumbprint),
        None => OwnThumbprints { current: thumbprint, previous: None },
    };
    if noted != Some(own) {
        own.write(places)?;
        if std::io::stderr().is_terminal() {
            let path = places.tentacle();
            said.tool().say(format!("{}: this tentacle is {thumbprint}", path.display()));
        }
    }
    print(&format!("{thumbprint}\n"))?;
    Ok(0)
}

/// The identity of this machine, read.
///
/// # Errors
/// Exit 78 where there is none.
pub(crate) fn identity(places: &Places) -> Result<PemFile> {
    let path = places.identity();
    if if_there(&path, path.symlink_metadata())?.is_none() {
        let error = Error::new(Exit::Configuration, path.display(), "there is no identity");
        return Err(error.hint("octo-keys new"));
    }
    PemFile::open(&path)
}

/// What CONFIG/tentacle says, where it is there.
///
/// # Errors
/// Exit 78 where it is unsound.
pub(crate) fn noted(places: &Places) -> Result<Option<OwnThumbprints>> {
    let path = places.tentacle();
    match if_there(&path, path.symlink_metadata())? {
        Some(_) => OwnThumbprints::read(&path).map(Some),
        None => Ok(None),
    }
}

/// Notes a machine's first identity. A file that is there is left: it may name a key
/// that lives elsewhere.
///
/// # Errors
/// Where it can't be written: the identity is there then, and is noted by calling
/// `octo-keys tentacle`.
pub(crate) fn note_first(said: &Said, places: &Places, thumbprint: Thumbprint) -> Result<()> {
    let path = places.tentacle();
    let own = OwnThumbprints { current: thumbprint, previous: None };
    if !own.create(places).map_err(|error| error.hint("octo-keys tentacle"))? {
        said.tool().say(format!("{}: is of another identity, and stays so", path.display()));
        said.tool().hint("octo-keys tentacle makes it that of the new one");
    }
    Ok(())
}
