//! octo-keys renew: another identity for this tentacle.
//!
//! octo-exec has to believe what the listener shows at every moment, and a kill may come
//! at any. So CONFIG/tentacle names both thumbprints before the new identity takes the
//! place of the old one; which of the two a listener shows doesn't matter from then on.
//! The old identity is copied aside before that: nothing else holds its key.

use crate::identity::{PemFile, certificate_of, readable_by_others};
use crate::new::{default_name, key_option, name_option};
use crate::tentacle::{identity, noted};
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::edit_lock;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::PusherName;
use octo_core::base::paths::{Places, check_trusted};
use octo_core::base::publish;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::identity::make;
use octo_core::tentacle::known::OwnThumbprints;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(crate) fn run(said: &Said, places: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    let (asked_name, _) = (name_option(said)?, key_option(said, "ed25519")?);
    // Where there is none, there may be no CONFIG to lock either.
    identity(places)?;
    let _lock = edit_lock::hold(&places.config)?;
    let pem = identity(places)?;
    let old = certificate_of(&pem)?;
    // A rename would else replace the link.
    let path = pem.path.canonicalize().map_err(|e| Error::io(&pem.path, &e))?;
    check_trusted(publish::parent(&path))?;
    let before = noted(places)?;

    let kind = if old.fields.key == "ecdsa-p256" { "ecdsa-p256" } else { "ed25519" };
    let algorithm = key_option(said, kind)?;
    let name = match asked_name.or_else(|| PusherName::parse(&old.fields.name)) {
        Some(name) => name,
        None => default_name()?,
    };
    let (new, text) = make(&name, algorithm).map_err(|reason| {
        Error::new(Exit::CannotCreate, path.display(), format!("can't make a key: {reason}"))
    })?;
    let own = OwnThumbprints { current: new, previous: Some(old.thumbprint) };
    let aside = exchange(&path, &pem, &text, || own.write(places))?;

    print(&format!("{new}\n"))?;
    said.tool().say(format!("{}: the old identity, to go back to", aside.display()));
    say_what_changes(said, old.thumbprint, new);
    let known = before.iter().flat_map(|before| [Some(before.current), before.previous]);
    for gone in known.flatten().filter(|known| !own.contains(*known)) {
        said.tool().say(format!("{gone} is this tentacle's no more"));
    }
    Ok(0)
}

/// Puts the new identity in the place of the old one, which is copied aside; says where.
fn exchange(
    path: &Path,
    old: &PemFile,
    new: &str,
    note: impl FnOnce() -> Result<()>,
) -> Result<PathBuf> {
    let metadata = path.metadata().map_err(|e| Error::io(path, &e))?;
    // The new file gets the mode and the owner of the old one, whom the listener runs as.
    if let Some(error) = readable_by_others(path, metadata.mode() & 0o7777) {
        return Err(error);
    }
    let mut aside = path.to_path_buf().into_os_string();
    aside.push(".previous");
    let aside = PathBuf::from(aside);
    publish::replace_like(&aside, old.text().as_bytes(), &metadata)?;
    note()?;
    publish::replace_like(path, new.as_bytes(), &metadata)?;
    Ok(aside)
}

/// What is left for the admins, in its order.
fn say_what_changes(said: &Said, old: Thumbprint, new: Thumbprint) {
    for line in [
        "on each octopus, in the directory of its targets file:".to_string(),
        format!("  sed -i 's/{old}/{old},{new}/' targets"),
        "then here, as octo-listen still shows the old one: restart it (a HUP is not \
         enough with -u)"
            .into(),
        "and when it shows the new one, on each octopus:".into(),
        format!("  sed -i 's/{old},{new}/{new}/' targets"),
    ] {
        said.tool().say(line);
    }
}
