//! `octo-exec substitute`: `#{NAME}` in text files becomes the value of a variable. All files
//! are read and written beside themselves before the first takes the place of its own.

mod around;
mod escape;
mod file;
mod fill;
mod json;
mod template;
mod variables;
mod xml;

use crate::stop::Stop;
use crate::unpack::options::rules;
use file::{Place, Staged};
use fill::filled;
use octo_core::base::beneath;
use octo_core::base::cli::options::{OptionGroup, Said, value};
use octo_core::base::cli::print_bytes;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use std::collections::BTreeSet;
use std::path::Path;
use variables::Variables;

pub(crate) static SUBSTITUTE: OptionGroup = OptionGroup {
    title: "substitute",
    rows: &[
        value("", "value", "NAME", "print the value of this one, and fill in no FILE"),
        value("", "default", "VALUE", "what --value prints where it is not set"),
    ],
};

/// The verb.
pub(crate) fn substitute(said: &Said, _: &Places) -> Result<u8> {
    let mut variables = Variables::new(std::env::vars_os());
    if let Some(name) = said.one("value")? {
        return print_value(said, &name, &mut variables);
    }
    if said.flag("default") {
        return Err(said.misuse("--default is for --value"));
    }
    let files: BTreeSet<&String> = said.counted(1..=usize::MAX)?.iter().collect();
    let mut rules = rules(said)?;
    let stop = Stop::heeded("substitute")?;
    let here = Path::new(".");
    let top = beneath::top(here).map_err(|e| Error::io(here, &e.into()))?;
    let mut staged: Vec<Staged> = Vec::new();
    for path in files {
        let place = Place::find(&top, path)?;
        let (text, found) = place.read()?;
        let filled = filled(Path::new(path), &text, &mut variables)?;
        staged.push(place.stage(&filled, &found, &mut rules)?);
        stop.check()?;
    }
    staged.into_iter().try_for_each(Staged::publish)?;
    rustix::fs::syncfs(beneath::directory(here).map_err(|e| Error::io(here, &e.into()))?)
        .map_err(|e| Error::doing("write", here, &e.into()))?;
    Ok(0)
}

fn print_value(said: &Said, name: &str, variables: &mut Variables) -> Result<u8> {
    said.counted(0..=0)?;
    ["time", "like", "group"].iter().try_for_each(|other| said.apart("value", other))?;
    let wrong = |why: String| Error::new(Exit::Data, name, why);
    let value = variables.value(name.trim().as_bytes()).map_err(wrong)?;
    match (value, said.one("default")?) {
        (Some(value), _) if value.missing.is_empty() => print_bytes(&value.bytes)?,
        (Some(value), _) => {
            let missing: Vec<&str> = value.missing.iter().map(String::as_str).collect();
            return Err(wrong(format!("not set: {}", missing.join(", "))));
        }
        (None, Some(default)) => print_bytes(default.as_bytes())?,
        (None, None) => return Err(wrong("not set".into())),
    }
    Ok(0)
}
