//! `octo-exec functions`: for the hooks of a package that Octopus deployed before.

use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;

/// Prints them; octo-functions(7).
pub(super) fn functions(said: &Said, _: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    print(include_str!("../../functions.bash"))?;
    Ok(0)
}
