//! The packages of a call, opened and hashed before it begins.

use crate::cli::options::Common;
use crate::output::screen::Screen;
use crate::target::package::bases;
use crate::target::package::digests::DigestCache;
use crate::target::package::upload::Package;
use crate::target::stop::Stop;
use octo_core::base::digest::Digest;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::units::human_size;
use octo_core::trust::signed::Signature;
use std::path::Path;

/// Hashing a larger file takes so long that a person is told.
const TELL_ABOVE: u64 = 256 << 20;

/// The package of `-p`: a file, or the sha256 of one that is there already. What it may be
/// made of is looked for, too. Its signature may be in a file of its own.
pub(super) fn open(
    said: &str,
    signature: Option<&str>,
    common: &Common,
    digests: &mut DigestCache,
    screen: &mut Screen,
) -> Result<Package> {
    let signature = signature.map(|file| Signature::named(Path::new(file))).transpose()?;
    if !Path::new(said).exists()
        && let Some(digest) = Digest::parse(said)
    {
        let name = digests.name(&digest).unwrap_or(said).to_string();
        let signature = signature.or_else(|| digests.signature(&digest));
        return Ok(Package::known(digest, name, signature));
    }
    let mut package = with_bases(Package::open(said, digests)?, common, digests)?;
    package.signature = signature.or(package.signature);
    hash(&package, digests, screen)?;
    Ok(package)
}

/// The package, and what is at hand of which it may be made: nothing, where nothing is sent.
/// That what was named can be read is told all the same.
///
/// # Errors
/// Where what was named can't be read.
pub(crate) fn with_bases(
    package: Package,
    common: &Common,
    digests: &mut DigestCache,
) -> Result<Package> {
    bases::check(&common.patch_from)?;
    let bases = match package.source() {
        Some(source) if !common.dry_run => bases::find(source, &common.patch_from, digests)?,
        _ => Vec::new(),
    };
    Ok(package.made_of(bases))
}

/// Hashes a package, and remembers its digest.
pub(crate) fn hash(
    package: &Package,
    digests: &mut DigestCache,
    screen: &mut Screen,
) -> Result<()> {
    if let Some(size) = package.unhashed().filter(|size| *size > TELL_ABOVE) {
        let shown = printable(package.name.as_bytes());
        screen.progress(&format!("hashing {shown}, {}", human_size(size)));
    }
    package.hash(&Stop::default());
    package.remember(digests);
    screen.clear();
    package.digest().map(drop)
}
