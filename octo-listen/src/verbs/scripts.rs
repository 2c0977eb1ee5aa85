//! `scripts`: what the sysadmin of this machine installed for this pusher.

use crate::host::{Asked, No};
use crate::session::{Answer, Ended, Session};
use octo_core::trust::{Verb, scripts::installed};
use octo_wire::{Duplex, Fields};

pub(crate) fn scripts<S: Duplex>(session: &mut Session<'_, S>) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Scripts, Asked::default())?;
    let head = host.record_question(peer, &grant, "scripts", "");
    let mut offered = Vec::new();
    if let Some(directory) = &grant.scripts {
        for script in installed(directory).map_err(|e| No::failed(host, &e))? {
            match script.unsound {
                None => offered.push(Fields::item(Verb::Scripts).with("name", script.name)),
                Some(error) => host.log.error(&error),
            }
        }
    }
    Ok(Answer::ok(Verb::Scripts, head).listing(&offered)?)
}
