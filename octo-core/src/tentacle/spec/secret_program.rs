//! A file of secrets that is a program: it prints what the file would hold, so that age,
//! sops, vault or pass give the secrets at the moment at which they are wanted.

use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::open_trusted;
use crate::base::printed::{Bounds, Printed, printed};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
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

/// Could only root or this user have written it, and all that leads to it? And is it a
/// program? What is none, though its mode says so, would be run by a shell.
///
/// # Errors
/// Exit 78, with what to do.
pub(super) fn check(path: &str) -> Result<()> {
    let mut beginning = Vec::new();
    let place = Path::new(path);
    open_trusted(place)?
        .take(4)
        .read_to_end(&mut beginning)
        .map_err(|error| Error::io(place, &error))?;
    if beginning.starts_with(b"#!") || beginning == b"\x7fELF" {
        return Ok(());
    }
    let reason = "is executable, and neither begins with #! nor is a program";
    let error = Error::new(Exit::Configuration, path, reason);
    Err(error.hint(format!("chmod 600 {path}, if it holds the secrets itself")))
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
    let wrong = |reason: String| Error::new(Exit::Data, path, reason);
    match printed(command, BOUNDS).map_err(|error| not_run(place, &error))? {
        Printed::Whole(bytes, status) if status.success() => Ok(bytes),
        Printed::Whole(_, status) => Err(wrong(format!("the program failed: {}", end(status)))),
        Printed::TooMuch => Err(wrong(format!("printed more than {} bytes", BOUNDS.bytes))),
        Printed::TooLong => Err(wrong(format!("was not over after {} s", BOUNDS.time.as_secs()))
            .hint("nothing that it starts may keep its standard output open")),
    }
}

/// Where the file is there, what isn't is the program of its first line.
fn not_run(path: &Path, error: &std::io::Error) -> Error {
    let mut beginning = Vec::new();
    if error.kind() == std::io::ErrorKind::NotFound
        && let Ok(file) = std::fs::File::open(path)
        && file.take(200).read_to_end(&mut beginning).is_ok()
    {
        let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let what = match line.starts_with(b"#!") {
            true => format!("its first line, {}, names", printable(line)),
            false => "needs".to_string(),
        };
        let reason = format!("can't run: {what} a program that is not there");
        return Error::new(Exit::Configuration, path.display(), reason);
    }
    Error::doing("run", path, error)
}

fn is_kept(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn end(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit {}", status.code().unwrap_or_default()),
    }
}
