//! Short questions: where things are, which host a target has, what was meant.

use crate::records::writer::new_id;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::nearest;
use octo_core::base::paths::Places;
use octo_core::targets::{Target, Targets, TargetsFile};
use std::os::unix::ffi::OsStrExt;

/// `places`: CONFIG and STATE.
pub(super) fn places(said: &Said, places: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    let mut text = Vec::new();
    for place in [&places.config, &places.state] {
        let bytes = place.as_os_str().as_bytes();
        // It is read line by line.
        if bytes.contains(&b'\n') {
            let shown = place.display();
            return Err(Error::new(Exit::Configuration, shown, "has a newline in its name"));
        }
        text.extend_from_slice(bytes);
        text.push(b'\n');
    }
    octo_core::base::cli::print_bytes(&text)?;
    Ok(0)
}

/// `hosts`: what `%a` of a health check stands for.
pub(super) fn hosts(said: &Said, places: &Places) -> Result<u8> {
    let targets = Targets::load(places, TargetsFile::of(None).as_ref())?;
    let mut text = String::new();
    for name in said.arguments() {
        // One that only commands lead to has none that could be looked at from here.
        let address = target(&targets, name)?.roads.address().ok_or_else(|| {
            Error::new(Exit::Data, name, "has no address that could be looked at, only commands")
                .hint("its line may have one besides, or %n is its name: octo-targets(5)")
        })?;
        text.push_str(address.host());
        text.push('\n');
    }
    print(&text)?;
    Ok(0)
}

/// The target of this name.
///
/// # Errors
/// Exit 65 where there is none.
pub(super) fn target<'a>(targets: &'a Targets, name: &str) -> Result<&'a Target> {
    targets.named(name).ok_or_else(|| {
        let known = targets.all.iter().map(|target| target.name.as_str());
        let near = nearest::did_you_mean(&nearest::near(name, known, 3));
        let error = Error::new(Exit::Data, name, "no target has this name");
        let error = near.into_iter().fold(error, Error::hint);
        error.hint("octo-push targets lists them")
    })
}

/// `job`: an id that is known before the job is, so that others can name it.
pub(super) fn job(said: &Said, _: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    print(&format!("{}\n", new_id()?))?;
    Ok(0)
}

/// `nearest`: what a misspelt word may have been.
pub(super) fn nearest(said: &Said, _: &Places) -> Result<u8> {
    let arguments = said.counted(1..=usize::MAX)?;
    let known = &arguments[1..];
    if let Some(meant) = nearest::nearest(&arguments[0], known.iter().map(String::as_str)) {
        print(&format!("{meant}\n"))?;
    }
    Ok(0)
}
