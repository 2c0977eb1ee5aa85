//! `status`: who this is, what it can, and how the machine is.

use crate::host::{Asked, Host, No};
use crate::session::{Answer, Ended, Session};
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::trust::{Grant, Verb};
use octo_wire::Duplex;
use rustix::fs::statvfs;

pub(crate) fn status<S: Duplex>(session: &mut Session<'_, S>) -> Result<Answer, Ended> {
    let host = session.host;
    let grant = host.judge(session.peer, Verb::Status, Asked::default())?;
    // How a machine is must be told even if its disk is full.
    let head = host.record_question(session.peer, &grant, "status", "");
    let mut answer = Answer::ok(Verb::Status, head)
        .with("name", String::from_utf8_lossy(rustix::system::uname().nodename().to_bytes()))
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("features", features())
        .with("time", octo_core::base::cli::utc_now());
    if let Ok(disk) = statvfs(&host.places.state) {
        answer = answer.with("free", disk.f_bavail.saturating_mul(disk.f_frsize));
    }
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg")
        && let Some(minute) = load.split(' ').next()
    {
        answer = answer.with("load", minute);
    }
    let running = running(host, &grant).map_err(|e| No::failed(host, &e))?;
    Ok(answer.with("running", running))
}

/// What this tentacle can be asked for.
fn features() -> String {
    Verb::all().flat_map(|verb| verb.row().features).copied().collect::<Vec<_>>().join(",")
}

/// The running jobs that this grant may know of.
fn running(host: &Host, grant: &Grant) -> octo_core::Result<usize> {
    let mut count = 0;
    for job in JobDirectory::under_way(&host.places)? {
        let seen = job.owner().is_ok_and(|owner| grant.sees(owner.as_ref()));
        if seen && matches!(job.state(), Ok(State::Running)) {
            count += 1;
        }
    }
    Ok(count)
}
