//! octo-keys new: an identity, a private key and its self-signed certificate.
//!
//! The file appears whole, mode 0600, and never in the place of another.

use crate::tentacle::note_first;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::{print, print_bytes};
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::PusherName;
use octo_core::base::paths::{Places, create_directory};
use octo_core::base::publish;
use octo_core::tentacle::identity::{Algorithm, algorithm, make};
use octo_core::trust::StartedBy;
use std::io::IsTerminal;
use std::path::Path;

pub(crate) fn run(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(0..=1)?;
    let algorithm = key_option(said, "ed25519")?;
    let name = match name_option(said)? {
        Some(name) => name,
        None => default_name()?,
    };
    let path = arguments.first().map_or_else(|| places.identity(), Into::into);
    let aside = path == Path::new("-");
    if !aside {
        make_room(&path, arguments.is_empty(), places)?;
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
    if arguments.is_empty() {
        // Behind the identity: a note of a key that there never was could not be mended by
        // `octo-keys tentacle`, which is what one calls who was stopped between the two.
        note_first(said, places, thumbprint)?;
    }
    if std::io::stderr().is_terminal() {
        said.tool().say(format!("{}: the identity of {name}", path.display()));
    }
    print(&format!("{thumbprint}\n"))?;
    Ok(0)
}

/// The type of key that is asked for.
pub(crate) fn key_option(said: &Said, otherwise: &str) -> Result<Algorithm> {
    let key = said.one("key")?.unwrap_or_else(|| otherwise.to_string());
    algorithm(&key).ok_or_else(|| {
        said.tool().misuse(format!("{key}: not a type of key (ed25519, ecdsa-p256)"))
    })
}

/// The name that is asked for.
pub(crate) fn name_option(said: &Said) -> Result<Option<PusherName>> {
    let name = said.one("name")?.map(|name| {
        PusherName::parse(&name).ok_or_else(|| {
            said.tool().misuse(format!("--name {name}: a name is {}", PusherName::FORM))
        })
    });
    name.transpose()
}

fn make_room(path: &Path, is_default: bool, places: &Places) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        let is_noted = !is_default || places.tentacle().symlink_metadata().is_ok();
        return Err(match is_noted {
            true => taken(path),
            false => taken(path).hint("octo-keys tentacle notes it as this tentacle's"),
        });
    }
    if is_default { create_directory(&places.config, 0o755) } else { Ok(()) }
}

fn taken(path: &Path) -> Error {
    Error::new(Exit::CannotCreate, path.display(), "exists, and is never overwritten")
        .hint(format!("octo-keys show {} shows what it is", path.display()))
        .hint("octo-keys new FILE makes another identity")
}

/// `user@host`, or the host's name alone for root, whose identity is the machine's.
pub(crate) fn default_name() -> Result<PusherName> {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy().into_owned();
    let name = match StartedBy::this_process() {
        StartedBy { name, root: false, .. } => format!("{name}@{host}"),
        _ => host,
    };
    PusherName::parse(&name).ok_or_else(|| {
        Error::new(Exit::Data, &name, "this user at this host gives no usable name")
            .hint("octo-keys new --name NAME")
    })
}
