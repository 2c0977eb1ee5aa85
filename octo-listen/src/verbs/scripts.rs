//! `scripts`: what the sysadmin of this machine installed for this pusher.

use super::lines;
use crate::host::{Asked, No};
use crate::session::{Ended, Reply, Session};
use octo_core::trust::{Verb, scripts::installed};
use octo_wire::{Duplex, Message};

pub(crate) fn scripts<S: Duplex>(session: &mut Session<'_, S>) -> Result<Reply, Ended> {
    let (host, caller) = (session.host, session.caller);
    let line = host.judge(caller, Verb::Scripts, Asked::default())?;
    let head = host.record_or_log(caller, &line, "scripts", &[]);
    let mut offered = Vec::new();
    if let Some(directory) = &line.scripts {
        for script in installed(directory).map_err(|e| No::failed(host, &e))? {
            match script.unsound {
                None => offered.push(Message::new("script").with("name", script.name)),
                Some(error) => host.log.error(&error),
            }
        }
    }
    Ok(Reply::ok(head).carrying(lines(&offered)?))
}
