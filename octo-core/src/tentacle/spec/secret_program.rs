//! A file of secrets that is a program: it prints what the file would hold, so that age,
//! sops, vault or pass give the secrets at the moment at which they are wanted.

use crate::base::error::{Error, Result};
use crate::base::own_program;
use crate::base::printed::Bounds;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// So long it may take, and so much print.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(60), bytes: 1 << 20 };

/// What of our environment it gets: who and where somebody is, and how their agents are
/// found. octo-vars(1) lists them.
const KEPT: &[&str] = &[
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GNUPGHOME",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GPG_TTY",
    "HOME",
    "KRB5CCNAME",
    "LANG",
    "LOGNAME",
    "PATH",
    "SSH_AUTH_SOCK",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
];
/// And all that begins so.
const KEPT_PREFIXES: &[&str] =
    &["AGE_", "AWS_", "AZURE_", "LC_", "PASSWORD_STORE_", "SOPS_", "VAULT_", "XDG_"];

/// As [`own_program::check`].
pub(super) fn check(path: &str) -> Result<()> {
    own_program::check(Path::new(path)).map_err(|error| match error.hints.is_empty() {
        true => error.hint(format!("chmod 600 {path}, if it holds the secrets itself")),
        false => error,
    })
}

/// What it prints. It is run by its own path alone, where it lies.
///
/// # Errors
/// Exit 65 if it fails, takes too long or prints too much; 78 where it can't be run.
pub(super) fn output(path: &str) -> Result<Vec<u8>> {
    let place = Path::new(path);
    let absolute = std::path::absolute(place).map_err(|error| Error::io(place, &error))?;
    let mut command = Command::new(&absolute);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_kept(name)));
    command.current_dir(absolute.parent().unwrap_or(Path::new("/")));
    own_program::output(place, command, BOUNDS)
}

fn is_kept(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
