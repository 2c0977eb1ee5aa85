//! `held`: what waits for approval here, whoever asked for it; a line a job, the oldest first.

use crate::host::{Asked, No};
use crate::session::{Answer, Ended, Session};
use crate::verbs::jobs::what_runs;
use jiff::{SignedDuration, Timestamp};
use octo_core::base::argv;
use octo_core::base::cli::utc;
use octo_core::tentacle::approval::{Approvals, EXPIRES_AFTER, needed};
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::tentacle::spec::Spec;
use octo_core::trust::Verb;
use octo_wire::{Duplex, Fields};

/// The jobs that a list names at most.
const LISTED: usize = 10_000;

/// How much of the arguments is shown, in characters.
const SHOWN: usize = 200;

pub(crate) fn held<S: Duplex>(session: &mut Session<'_, S>) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Held, Asked::default())?;
    let head = host.record_question(peer, &grant, "held", "");
    let all = JobDirectory::under_way(&host.places).map_err(|e| No::failed(host, &e))?;
    let listed: Vec<Fields> = all.iter().filter_map(entry).take(LISTED).collect();
    Ok(Answer::ok(Verb::Held, head).listing(&listed)?)
}

/// A line of the list; `None` for what isn't held, or goes while it is looked at.
fn entry(job: &JobDirectory) -> Option<Fields> {
    if job.state().ok()? != State::Held {
        return None;
    }
    let (held, origin) = (job.record("held").ok()??, job.origin().ok()?);
    let since: Option<Timestamp> = held.first("since").and_then(|since| since.parse().ok());
    let expires = since.and_then(|since| {
        let waits = SignedDuration::try_from(EXPIRES_AFTER).ok()?;
        since.checked_add(waits).ok()
    });
    let approved = job.record("approved").ok().flatten().and_then(|record| Approvals::of(&record));
    let approved = approved.map(|approved| {
        let names: Vec<String> = approved.given.iter().map(|given| given.by.shown()).collect();
        names.join(",")
    });
    let (spec, _) = job.spec().ok()?;
    let item = Fields::item(Verb::Held)
        .with("job", job.id())
        .maybe("since", since.map(utc))
        .maybe("expires", expires.map(utc))
        .maybe("name", origin.pusher.map(|pusher| pusher.name))
        .with("by", &origin.by);
    let item = what_runs(item, &spec)
        .maybe("arguments", arguments(&spec))
        .maybe("digest", held.first("digest"))
        .with("needs", needed(&held))
        .maybe("approved", approved);
    Some(item)
}

/// Its arguments as a shell would take them; none where there are none.
fn arguments(spec: &Spec) -> Option<String> {
    let words: Vec<_> = spec.arguments.iter().map(|word| String::from_utf8_lossy(word)).collect();
    let joined = argv::join(words.iter().map(|word| &**word));
    Some(joined.chars().take(SHOWN).collect()).filter(|_| !words.is_empty())
}
