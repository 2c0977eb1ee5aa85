//! Hints that can be pasted: a command of ours is for the directories that this call was
//! given, or it would be about another tentacle of this machine.

use crate::base::argv::quote;
use crate::base::paths::Places;
use rustix::process::geteuid;
use std::sync::OnceLock;

static GIVEN: OnceLock<String> = OnceLock::new();

/// The tools that know the two options.
const TOOLS: [&str; 4] = ["octo-exec ", "octo-keys ", "octo-listen ", "octo-push "];

/// Remembers the options that name other directories than the usual ones.
pub(super) fn remember(places: &Places, config: bool, state: bool) {
    let option = |given: bool, name: &str, path: &std::path::Path, usual: &str| match given {
        // The usual ones are root's: others have theirs at home.
        true if path.as_os_str() != usual || !geteuid().is_root() => {
            format!("--{name} {} ", quote(&path.to_string_lossy()))
        }
        _ => String::new(),
    };
    let options = option(config, "config", &places.config, "/etc/octo")
        + &option(state, "state", &places.state, "/var/lib/octo");
    let _ = GIVEN.set(options);
}

/// A hint with these options behind the name of the first tool of ours in it.
pub(super) fn hint(text: &str) -> String {
    let options = GIVEN.get().map_or("", String::as_str);
    let begins = |at: &usize| *at == 0 || text[..*at].ends_with(": ");
    let ends = TOOLS.iter().filter_map(|tool| Some((text.find(tool)?, tool.len())));
    match ends.filter(|(at, _)| begins(at)).min() {
        Some((at, length)) => format!("{}{options}{}", &text[..at + length], &text[at + length..]),
        None => text.to_string(),
    }
}
