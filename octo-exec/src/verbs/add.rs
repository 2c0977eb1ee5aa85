//! `octo-exec add`: a file of this machine into the package store.

use octo_core::base::cli::options::{OptionGroup, Said, value};
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::{Places, create_directory};
use octo_core::base::units::human_size;
use octo_core::tentacle::store::{Limits, Store};
use octo_core::trust::Trust;
use octo_core::{Digest, PusherName};
use std::fs::File;
use std::path::Path;

/// The options of `add`.
pub(super) static ADD: OptionGroup = OptionGroup {
    title: "add",
    rows: &[
        value("", "for", "NAME", "as the own of this pusher, within its limits"),
        value("", "digest", "HEX", "only if that is its sha256"),
    ],
};

/// For whom a file is added, and how much that one may have.
struct Owner {
    name: PusherName,
    max_size: u64,
    limits: Limits<'static>,
}

/// `add FILE`
pub(super) fn add(said: &Said, places: &Places) -> Result<u8> {
    let path = Path::new(&said.counted(1..=1)?[0]);
    let expected = said.one("digest")?.map(|text| digest(&text)).transpose()?;
    let owner = match said.one("for")? {
        Some(name) => Owner::named(places, &name)?,
        None => Owner::operator(),
    };
    print(&format!("{}\n", copy_in(places, path, expected, &owner)?))?;
    Ok(0)
}

/// Puts a file of this machine into the store, for the local operator: verified
/// and durable as any upload is.
pub(super) fn add_file(places: &Places, path: &Path) -> Result<Digest> {
    copy_in(places, path, None, &Owner::operator())
}

fn copy_in(
    places: &Places,
    path: &Path,
    expected: Option<Digest>,
    owner: &Owner,
) -> Result<Digest> {
    let io = |e: std::io::Error| Error::io(path, &e);
    let mut file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(Error::new(Exit::Data, path.display(), "is not a regular file"));
    }
    if metadata.len() > owner.max_size {
        let reason = format!(
            "{} is more than max-size={} of {}",
            human_size(metadata.len()),
            human_size(owner.max_size),
            owner.name
        );
        return Err(Error::new(Exit::Refused, path.display(), reason));
    }
    let digest = Digest::of_reader(&mut file).map_err(io)?.0;
    if let Some(expected) = expected.filter(|expected| *expected != digest) {
        let reason = format!("its sha256 is {digest}, and not {expected}");
        return Err(Error::new(Exit::Data, path.display(), reason));
    }
    create_directory(&places.state, 0o711)?;
    let added = Store::open(places)?.copy_in(&digest, file, &owner.name, owner.limits);
    added.map_err(|e| Error::new(e.refusal.exit(), path.display(), e.reason))?;
    Ok(digest)
}

fn digest(text: &str) -> Result<Digest> {
    Digest::parse(text).ok_or_else(|| {
        let reason = format!("{text:?} is no sha256: 64 hex digits");
        Error::new(Exit::Usage, "--digest", reason)
    })
}

impl Owner {
    /// Whoever administers this machine has no limits.
    fn operator() -> Owner {
        let limits = Limits { max_store: u64::MAX, any: true, coming: None };
        Owner { name: PusherName::local_operator(), max_size: u64::MAX, limits }
    }

    /// A pusher of the trust file. Of several lines the least limit counts: which of them
    /// will decide when it runs the package can't be known here.
    fn named(places: &Places, text: &str) -> Result<Owner> {
        let path = places.trusted();
        let unknown = || {
            let reason = format!("no line of {} names this pusher", path.display());
            Error::new(Exit::Data, format!("{text:?}"), reason).hint("octo-keys check")
        };
        let name = PusherName::parse(text).ok_or_else(unknown)?;
        let trust = Trust::load(&path)?;
        let lines = || trust.lines.iter().filter(|line| line.name == name);
        let max_size = lines().map(|line| line.options.max_size).min().ok_or_else(unknown)?;
        let max_store = lines().map(|line| line.options.max_store).min().ok_or_else(unknown)?;
        let limits = Limits { max_store, any: false, coming: None };
        Ok(Owner { name, max_size, limits })
    }
}
