//! `octo-exec setup`: STATE as it has to be, a fresh one or that of an older version.

use octo_core::base::argv::quote;
use octo_core::base::cli::options::{OptionGroup, Said, value};
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::base::users;
use octo_core::tentacle::layout::Owner;
use octo_core::tentacle::layout::setup;

pub(crate) static SETUP: OptionGroup = OptionGroup {
    title: "setup",
    rows: &[value("", "listener", "USER", "who runs octo-listen, if it is another user")],
};

/// The verb.
pub(crate) fn run(said: &Said, places: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    let listener = match said.one("listener")? {
        None => None,
        Some(name) => Some(user(&name)?),
    };
    setup::setup(places, listener, &mut |line| print(&format!("{line}\n")))?;
    Ok(0)
}

fn user(name: &str) -> Result<Owner> {
    let found = users::named(name);
    let user = found.ok_or_else(|| {
        let reason = "there is no such user on this machine";
        Error::new(Exit::Configuration, format!("user {name}"), reason)
            .hint(format!("useradd --system {}", quote(name)))
    })?;
    Ok(Owner { uid: user.uid, gid: user.gid })
}
