//! Which application and version a package is, and its sha256.

use crate::target::package::digests::DigestCache;
use crate::target::package::source::Source;
use octo_core::base::cli::options::{OptionGroup, Said, flag};
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::package_name::parts;
use octo_core::base::paths::Places;

/// The options of `package`.
pub(super) static OPTIONS: OptionGroup = OptionGroup {
    title: "package",
    rows: &[flag("", "sha256", "its sha256 too"), flag("", "named", "by its name, without a file")],
};

/// `package`
pub(super) fn package(said: &Said, places: &Places) -> Result<u8> {
    let path = &said.counted(1..=1)?[0];
    if said.flag("named") {
        return print(&both(path, &printable(path.as_bytes()))?).map(|()| 0);
    }
    let source = Source::open(path)?;
    let mut text = both(&source.name, &source.shown)?;
    if said.flag("sha256") {
        text.push_str(&format!("{}\n", DigestCache::load(places).digest_of(&source)?));
    }
    print(&text)?;
    Ok(0)
}

/// A line each: which application, which version.
fn both(name: &str, shown: &str) -> Result<String> {
    let (application, version) =
        parts(name).map_err(|reason| Error::new(Exit::Data, shown, reason))?;
    Ok(format!("{application}\n{version}\n"))
}
