//! The environment of a job: cleared, then what is listed here and nothing else.

use super::directories::{MADE, VALUES};
use octo_core::VariableName;
use octo_core::base::paths::Places;
use octo_core::base::program;
use octo_core::base::users::{PATH, User};
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::Spec;
use octo_core::trust::Grant;
use octo_core::trust::signed::KeyId;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

/// A longer list of names is cut: the kernel starts nothing that has one of 128 KiB.
const LONGEST_NAMES: usize = 16 * 1024;
/// What a list that was cut ends in.
const AND_MORE: &str = " ...";

/// What the variables of a job come from.
pub(crate) struct Sources<'a> {
    pub(crate) places: &'a Places,
    pub(crate) job: &'a JobDirectory,
    pub(crate) spec: &'a Spec,
    pub(crate) secrets: &'a [(VariableName, Vec<u8>)],
    pub(crate) user: &'a User,
    /// The pusher's name, or `local:` and who started it.
    pub(crate) pusher: &'a str,
    /// The sysadmin's say: variables, and how large a package may be.
    pub(crate) grant: &'a Grant,
    /// Does it run an installed script?
    pub(crate) is_installed: bool,
    /// By whose key its package is signed, where that was verified.
    pub(crate) signed: Option<KeyId>,
    /// How long it may go on once it is told to end.
    pub(crate) grace: Duration,
}

/// All variables of a job, in the order in which later ones win: the pusher's,
/// the sysadmin's set=, ours.
pub(crate) fn variables(from: &Sources<'_>) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = Vec::new();
    let text = |value: &str| OsString::from(value);
    all.push((text("LANG"), text("C.UTF-8")));
    for (name, value) in from.spec.environment.iter().chain(from.secrets) {
        all.push((text(name.as_str()), OsStr::from_bytes(value).to_os_string()));
    }
    for (name, value) in &from.grant.set {
        all.push((text(name.as_str()), text(value)));
    }
    let mut ours = |name: &str, value: OsString| all.push((text(name), value));
    ours("PATH", text(PATH));
    ours("HOME", text(&from.user.home));
    ours("USER", text(&from.user.name));
    ours("LOGNAME", text(&from.user.name));
    ours("SHELL", text(&from.user.shell));
    ours("OCTO_JOB", text(from.job.id().as_str()));
    ours("OCTO_PUSHER", text(from.pusher));
    ours("OCTO_CONFIG", from.places.config.clone().into_os_string());
    ours("OCTO_OUTPUT", from.job.file(VALUES).into_os_string());
    ours("OCTO_ARTIFACTS", from.job.file(MADE).into_os_string());
    ours("OCTO_FREEZES", from.places.freezes().into_os_string());
    if from.grant.max_size < u64::MAX {
        ours("OCTO_MAX_SIZE", text(&from.grant.max_size.to_string()));
    }
    ours("OCTO_GRACE", text(&from.grace.as_secs().to_string()));
    // What the pusher gave: those that set= gave, nobody has to give again.
    ours("OCTO_VARIABLES", text(&names(from.spec.environment.iter().chain(from.secrets))));
    ours("OCTO_SECRETS", text(&names(from.secrets.iter())));
    // Without /proc there is nobody to become the script, either.
    if let Ok(program) = program::own() {
        ours("OCTO_EXEC", program.into_os_string());
    }
    if let Some(reason) = &from.spec.despite {
        ours("OCTO_DESPITE", text(reason));
    }
    if from.is_installed {
        ours("OCTO_NAMED", text("1"));
    }
    if let Some((digest, name)) = &from.spec.package {
        ours("OCTO_PACKAGE", from.job.file("package").into_os_string());
        ours("OCTO_PACKAGE_NAME", OsString::from_vec(name.clone().into_bytes()));
        ours("OCTO_PACKAGE_SHA256", text(&digest.to_string()));
        if let Some(key) = from.signed {
            ours("OCTO_PACKAGE_SIGNED", text(&key.to_string()));
        }
    }
    all
}

/// The names of these, in order, with blanks between them.
fn names<'a>(variables: impl Iterator<Item = &'a (VariableName, Vec<u8>)>) -> String {
    let mut names: Vec<&str> = variables.map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let list = names.join(" ");
    if list.len() <= LONGEST_NAMES {
        return list;
    }
    let kept = &list[..LONGEST_NAMES - AND_MORE.len() + 1];
    format!("{}{AND_MORE}", kept.rsplit_once(' ').map_or("", |(kept, _)| kept))
}
