//! From the command line to a listener that listens.

use super::check::check_audit;
use super::handover::Handed;
use super::identity::{Source, check_own};
use super::options::OPTIONS;
use super::{handover, side, systemd, unprivileged};
use crate::admission::connections::Listening;
use crate::admission::sockets;
use crate::admission::stdio;
use crate::host::Host;
use crate::log::Log;
use crate::signals;
use crate::starter::{Starter, janitor};
use octo_core::base::cli::options::{Order, Said};
use octo_core::base::cli::{self, Tool};
use octo_core::base::error::describe;
use octo_core::base::no_core;
use octo_core::base::paths::Places;
use octo_core::base::publish::SWEEP;
use octo_core::base::service::notify;
use octo_core::base::watches::Watches;
use octo_core::tentacle::account;
use octo_core::tentacle::job::{self, JobDirectory, State};
use octo_core::tentacle::store::ABANDONED;
use octo_core::trust::Trust;
use octo_core::{Error, Exit, JobId, Result};
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What the command line says of a listener.
struct Wanted {
    at: Vec<String>,
    over_stdio: bool,
    user: Option<String>,
    octo_exec: Option<String>,
    verbose: bool,
}

/// The whole tool.
///
/// # Errors
/// What keeps it from listening, or ends that.
pub(crate) fn run(tool: &Tool, arguments: &[String]) -> Result<u8> {
    let Some(said) = tool.said(&[&OPTIONS], arguments, Order::Anywhere)? else { return Ok(0) };
    let wanted = Wanted::by(tool, &said)?;
    if said.flag("check-audit") {
        let places = cli::places(&said)?;
        return check_audit(tool, &places, said.arguments(), &said.many("head"));
    }
    said.counted(0..=0)?;
    let addresses = sockets::addresses(&wanted.at)?;
    let places = cli::places(&said)?;
    let log = Log::new(tool, wanted.verbose, wanted.over_stdio && stdio::owns_stderr());
    let user = wanted.user.as_deref().map(unprivileged::user).transpose()?;
    let Given { sockets, source, identity } = Given::take(&places, wanted.over_stdio)?;
    if !sockets.is_empty() && !addresses.is_empty() {
        return Err(tool
            .misuse("-l: systemd has said already where to listen")
            .hint("leave -l out, or change ListenStream= of the socket unit"));
    }
    let known = source.understand(&identity)?;
    check_own(&places, &known)?;
    check_trust(&places, &log)?;
    if let Some(user) = user {
        let sockets = or_bound(sockets, &addresses)?;
        let arguments = wanted.arguments(&places)?;
        return Err(unprivileged::go_on(&user, &places, &identity, sockets, &arguments));
    }
    drop(identity);
    side::take(&places, wanted.over_stdio)?;
    let starter = Starter::find(&places, wanted.octo_exec, log)?;
    // Without, each that is watched has an instance of its own, as long as there are any.
    let watches = Watches::start().map_err(|e| Error::new(Exit::Io, "thread", describe(&e)))?;
    let host = Arc::new(Host::open(&places, starter, watches, log).map_err(unwritable)?);
    let listening = Listening::new(Arc::clone(&host), known)?;
    janitor::start(&host.janitor)?;
    if wanted.over_stdio {
        let served = stdio::serve(&listening);
        listening.flush();
        return served.map(|()| 0);
    }
    let _alone = side::lock(&places, side::lock_file(&places)?)?;
    let sockets = or_bound(sockets, &addresses)?;
    signals::heed(&listening, &host, source)?;
    warn(&host);
    tidy(&host);
    let ready = ready(&sockets)?;
    let failure = listening.accept(sockets)?;
    // What can fail as it starts has been started: whoever reads this may count on it.
    signals::tell(&host, notify::ready(ready.trim_end()));
    cli::print(&ready)?;
    let none = |_| Error::new(Exit::Io, "accept", "no thread listens any more");
    Err(failure.recv().unwrap_or_else(none))
}

impl Wanted {
    /// # Errors
    /// Exit 64 for what doesn't go together.
    fn by(tool: &Tool, said: &Said) -> Result<Wanted> {
        let wanted = Wanted {
            at: said.many("l"),
            over_stdio: said.flag("stdio"),
            user: said.one("user")?,
            octo_exec: said.one("exec")?,
            verbose: said.flag("v"),
        };
        let listens = !wanted.at.is_empty() || wanted.user.is_some();
        if wanted.over_stdio && listens {
            return Err(tool.misuse("--stdio listens nowhere: -l and -u don't go with it"));
        }
        if said.flag("check-audit") && (wanted.over_stdio || listens) {
            let reason = "--check-audit serves nobody: -l, -u and --stdio don't go with it";
            return Err(tool.misuse(reason));
        }
        if said.flag("head") && !said.flag("check-audit") {
            return Err(tool.misuse("--head goes with --check-audit"));
        }
        Ok(wanted)
    }

    /// The same for one who is that user already, in another directory, and has the sockets.
    ///
    /// # Errors
    /// Where a path is not UTF-8, as no argument may be.
    fn arguments(&self, places: &Places) -> Result<Vec<String>> {
        let text = |path: &Path| {
            let path = std::path::absolute(path).map_err(|e| Error::io(path, &e))?;
            let unfit =
                |path: PathBuf| Error::new(Exit::Configuration, path.display(), "is not UTF-8");
            path.into_os_string().into_string().map_err(|path| unfit(path.into()))
        };
        let mut arguments = vec!["--config".into(), text(&places.config)?];
        arguments.extend(["--state".into(), text(&places.state)?]);
        if let Some(octo_exec) = &self.octo_exec {
            arguments.extend(["--exec".into(), text(Path::new(octo_exec))?]);
        }
        arguments.extend(self.verbose.then(|| "-v".into()));
        Ok(arguments)
    }
}

/// What this process has been given, before it has anything of its own.
struct Given {
    sockets: Vec<TcpListener>,
    source: Source,
    identity: Zeroizing<Vec<u8>>,
}

impl Given {
    /// # Errors
    /// Exit 78 where a socket or the identity is not what it has to be.
    fn take(places: &Places, over_stdio: bool) -> Result<Given> {
        if let Some(Handed { sockets, identity }) = handover::receive()? {
            // Not even for the user's own processes: they could read the key.
            no_core::of_us();
            return Ok(Given { sockets, source: Source::Root, identity });
        }
        let sockets = if over_stdio { Vec::new() } else { systemd::sockets()? };
        let source = Source::find(places);
        let identity = source.read()?;
        Ok(Given { sockets, source, identity })
    }
}

/// What was handed over, or else what the command line says.
fn or_bound(handed: Vec<TcpListener>, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>> {
    if handed.is_empty() { sockets::listen(addresses) } else { Ok(handed) }
}

/// What tells whoever started us where we listen.
fn ready(sockets: &[TcpListener]) -> Result<String> {
    let mut ready = String::new();
    for socket in sockets {
        let address = socket.local_addr();
        let address =
            address.map_err(|e| Error::new(Exit::CannotCreate, "socket", describe(&e)))?;
        ready.push_str(&format!("listening {address}\n"));
    }
    Ok(ready)
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

fn unwritable(error: Error) -> Error {
    match error.exit {
        Exit::Io | Exit::Configuration => error.exit(Exit::CannotCreate),
        _ => error,
    }
}

/// What its admin may not have meant.
fn warn(host: &Host) {
    host.log.ok(host.starter.check());
    let Ok(trust) = host.trust.load() else { return };
    for warning in trust.warnings(&host.started_by, &jiff::Zoned::now()) {
        host.log.problem("warning: ", &warning);
    }
}

/// What an earlier listener, or a crash, left to do.
fn tidy(host: &Host) {
    host.log.ok(host.spool.sweep());
    let abandoned = host.log.ok(host.store.sweep(ABANDONED)).unwrap_or(0);
    if abandoned > 0 {
        host.log.event(format_args!("{abandoned} abandoned uploads were removed"));
    }
    host.janitor.drop_all_taken();
    let waiting = host.log.ok(start_waiting(host)).unwrap_or(0);
    if waiting > 0 {
        host.log.event(format_args!("{waiting} waiting jobs were started"));
    }
}

/// Has everything started that was handed over and never started, or was started and
/// died; says how many.
fn start_waiting(host: &Host) -> Result<usize> {
    let mut waiting: BTreeSet<JobId> = host.spool.names()?.into_iter().map(|n| n.job).collect();
    // Behind the doorbell, octo-exec looks after its own.
    if host.taken.is_none() {
        job::sweep(&host.places, SWEEP)?;
        account::rebuild(&host.places)?;
        for job in JobDirectory::under_way(&host.places)? {
            match job.state() {
                Ok(State::Queued | State::Lost) => drop(waiting.insert(job.id().clone())),
                Ok(_) => {}
                Err(error) => host.log.error(&error),
            }
        }
    }
    waiting.iter().try_for_each(|job| host.starter.start(job))?;
    Ok(waiting.len())
}
