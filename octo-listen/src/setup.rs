//! From the command line to a listener that listens.

use crate::admission::connections::Listening;
use crate::admission::sockets;
use crate::admission::stdio;
use crate::check::check_audit;
use crate::host::Host;
use crate::launcher::Launcher;
use crate::log::Log;
use crate::options::OPTIONS;
use crate::signals;
use octo_core::base::cli::options::Order;
use octo_core::base::cli::{self, Tool};
use octo_core::base::error::describe;
use octo_core::base::paths::{Places, create_directory};
use octo_core::tentacle::store::{ABANDONED, Store};
use octo_core::trust::Trust;
use octo_core::{Error, Exit, Result};
use octo_wire::Identity;
use rustix::process::geteuid;
use std::fs::{File, OpenOptions, TryLockError};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// The whole tool.
///
/// # Errors
/// What keeps it from listening, or ends that.
pub(crate) fn run(tool: &Tool, arguments: &[String]) -> Result<u8> {
    let Some(said) = tool.said(&[&OPTIONS], arguments, Order::Anywhere)? else { return Ok(0) };
    let (at, over_stdio) = (said.many("l"), said.flag("stdio"));
    if over_stdio && !at.is_empty() {
        return Err(tool.misuse("--stdio listens nowhere: -l doesn't go with it"));
    }
    if said.flag("check-audit") {
        if over_stdio || !at.is_empty() {
            return Err(tool.misuse("--check-audit serves nobody: -l and --stdio don't go with it"));
        }
        let places = cli::places(&said)?;
        return check_audit(tool, &places, said.arguments(), &said.many("head"));
    }
    if said.flag("head") {
        return Err(tool.misuse("--head goes with --check-audit"));
    }
    said.counted(0..=0)?;
    let at = sockets::addresses(&at)?;
    let places = cli::places(&said)?;
    let log = Log::new(tool, said.flag("v"), over_stdio && stdio::owns_stderr());
    let launcher = Launcher::find(&places, said.one("exec")?, log);
    let identity = Identity::load(&places.identity())?;
    check_trust(&places, &log)?;
    let host = Arc::new(open(&places, launcher, log)?);
    let listening = Listening::new(Arc::clone(&host), identity);
    if over_stdio {
        stdio::serve(&listening)?;
        return Ok(0);
    }
    let _alone = lock(&places)?;
    let sockets = sockets::listen(&at)?;
    signals::reload_on_hangup(&listening, &host)?;
    warn(&host);
    say_ready(&sockets)?;
    tidy(&host);
    Err(listening.accept(sockets))
}

/// Tells whoever started us where we listen.
fn say_ready(sockets: &[TcpListener]) -> Result<()> {
    let mut ready = String::new();
    for socket in sockets {
        let address = socket.local_addr();
        let address =
            address.map_err(|e| Error::new(Exit::CannotCreate, "socket", describe(&e)))?;
        ready.push_str(&format!("listening {address}\n"));
    }
    cli::print(&ready)
}

/// A file that is there must be sound before anything is listened for: later,
/// an unsound one lets nobody in and the log says why.
fn check_trust(places: &Places, log: &Log) -> Result<()> {
    let path = places.trusted();
    match Trust::load(&path) {
        Ok(_) => Ok(()),
        Err(error) if path.symlink_metadata().is_err() => {
            log.error(&error);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn open(places: &Places, launcher: Launcher, log: Log) -> Result<Host> {
    let unwritable = |error: Error| match error.exit {
        Exit::Io | Exit::Configuration => error.exit(Exit::CannotCreate),
        _ => error,
    };
    create_directory(&places.state, 0o711).map_err(unwritable)?;
    check_own(&places.state)?;
    let store = Store::open(places).map_err(unwritable)?;
    create_directory(&places.jobs(), 0o711).map_err(unwritable)?;
    for directory in [places.packages(), places.jobs()] {
        check_own(&directory)?;
    }
    Ok(Host::new(places.clone(), store, launcher, log))
}

/// Whoever can write here forges requests in the name of those who are trusted,
/// and swaps packages between their check and their use.
fn check_own(directory: &Path) -> Result<()> {
    let metadata = directory.metadata().map_err(|e| Error::io(directory, &e))?;
    let unsound = |reason: &str| Error::new(Exit::Configuration, directory.display(), reason);
    let (owner, own) = (metadata.uid(), geteuid().as_raw());
    if owner != 0 && owner != own {
        return Err(unsound(&format!("is owned by uid {owner}, not by root or uid {own}"))
            .hint("run octo-listen as the user whose directory it is"));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(
            unsound("is writable by others").hint(format!("chmod o-w {}", directory.display()))
        );
    }
    Ok(())
}

/// One listener a state directory: two would both start what waits there.
fn lock(places: &Places) -> Result<File> {
    let path = places.state.join("listen.lock");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| Error::doing("create", &path, &e).exit(Exit::CannotCreate))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let reason = "another octo-listen uses this state directory";
            Err(Error::new(Exit::Temporary, places.state.display(), reason)
                .hint("give each listener its own --state"))
        }
        Err(TryLockError::Error(error)) => Err(Error::io(&path, &error)),
    }
}

/// What its admin may not have meant.
fn warn(host: &Host) {
    host.log.ok(host.launcher.argv());
    let Ok(trust) = Trust::load(&host.places.trusted()) else { return };
    for warning in trust.warnings(&host.starts_as(), &jiff::Zoned::now()) {
        host.log.event(format_args!("warning: {warning}"));
    }
}

/// What an earlier listener, or a crash, left to do.
fn tidy(host: &Host) {
    host.log.ok(octo_core::tentacle::job::sweep(&host.places));
    let abandoned = host.log.ok(host.store.sweep(ABANDONED)).unwrap_or(0);
    if abandoned > 0 {
        host.log.event(format_args!("{abandoned} abandoned uploads were removed"));
    }
    let waiting = host.log.ok(host.launcher.start_waiting()).unwrap_or(0);
    if waiting > 0 {
        host.log.event(format_args!("{waiting} waiting jobs were started"));
    }
}
