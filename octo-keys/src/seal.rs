//! octo-keys seal: by which key this tentacle's octo-exec seals the ends of jobs.

use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::tentacle::seal::SealKey;

pub(crate) fn run(said: &Said, places: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    if !places.state.is_dir() {
        // One that is made by the way would be nobody's in particular.
        let reason = "there is none: nothing was set up here";
        let error = Error::new(Exit::Configuration, places.state.display(), reason);
        return Err(error.hint("octo-exec setup makes it"));
    }
    let key = SealKey::load_or_make(places)?;
    print(&format!("seal={}\n", key.thumbprint()))?;
    Ok(0)
}
