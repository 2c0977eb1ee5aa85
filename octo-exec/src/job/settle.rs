//! Writing down how a job ended. One whose octo-exec died: first nobody of it is
//! left, then its end is written. Never started again.

use super::left::allowance::Allowance;
use super::left::artifacts;
use super::left::values;
use super::prepare::directories::MADE;
use super::prepare::{secrets, stdin};
use crate::cgroup::Group;
use crate::processes::ending::Ending;
use crate::processes::{Processes, tree};
use crate::releases;
use crate::seal;
use octo_core::base::cli::Tool;
use octo_core::base::error::Result;
use octo_core::base::leader::Leader;
use octo_core::base::paths::Places;
use octo_core::base::publish::{self, Reserved};
use octo_core::tentacle::account;
use octo_core::tentacle::audit::{Audit, Head};
use octo_core::tentacle::job::{self, End, EndKind, JobDirectory, JobLock};
use octo_core::tentacle::layout::Side;
use std::time::Duration;

/// How long a survivor has after TERM.
const GRACE: Duration = Duration::from_secs(5);

/// The room for a record of an end, whatever the disk is like by then: a reason, fifty strays
/// and fifty daemons at their longest; and three blocks for its seal, the signature, and both
/// in the job's record.
pub(crate) const ROOM: usize = 24 * 1024;

/// Writes down the end of a job that this process brought forward.
pub(crate) fn over(
    tool: &Tool,
    places: &Places,
    job: &JobDirectory,
    mut end: End,
    room: Option<Reserved>,
) -> Result<()> {
    let (head, trouble) = audit(tool, places, job, end.kind, end.reason.as_deref());
    if let Some(trouble) = trouble {
        end.add_reason(trouble);
    }
    clear(job);
    // Before the end is told: whoever waits for it asks next what is released.
    releases::keep(places, job).into_iter().for_each(|why| end.add_reason(why));
    // Behind what reads them, before the end: who is killed here comes again.
    values::clear(job);
    seal::publish_end(tool, places, job, end, head, room)?;
    // What another octo-exec was writing when it died, before this one.
    publish::sweep(job.path());
    account::settle(places, job);
    Ok(())
}

/// Ends a started job that nobody runs; `why`, where that is known.
pub(crate) fn lost(
    tool: &Tool,
    places: &Places,
    job: &JobDirectory,
    held: &JobLock,
    why: Option<String>,
) -> Result<()> {
    let record = job.record("started")?.unwrap_or_default();
    let died = why.unwrap_or_else(|| "its octo-exec died".to_string());
    let (reason, strays) = match Leader::of(&record) {
        Some(leader) if leader.is_of_this_boot() => {
            let processes = Processes::left(Group::of(&record, job.id()), leader, mark(job));
            let found = processes.living();
            end_them(&processes);
            let left = processes.living();
            let reason = match (found.len(), left.len()) {
                (0, _) => died,
                (count, 0) => format!("{died}; {count} processes of it were ended"),
                (_, count) => format!("{died}; {count} processes of it could not be ended"),
            };
            (reason, tree::names(&left))
        }
        Some(_) => ("the machine was restarted under it".to_string(), Vec::new()),
        None => (died, Vec::new()),
    };
    let (head, trouble) = audit(tool, places, job, EndKind::Lost, Some(&reason));
    clear(job);
    // What its octo-exec was writing, or a settler before us: room that was claimed for
    // artifacts would leave none for them. Before the end, as who is killed here comes again.
    publish::sweep(job.path());
    let kept = artifacts::keep(job, &Allowance::recorded(places, job));
    let unseen = releases::keep(places, job);
    values::clear(job);
    let reasons: Vec<String> =
        std::iter::once(reason).chain(trouble).chain(kept).chain(unseen).collect();
    let end = job::lost(job, held, &reasons.join("; "), strays)?;
    seal::publish_end(tool, places, job, end, head, None)?;
    account::settle(places, job);
    Ok(())
}

/// The job did end: to keep that from its pusher, because it can't be audited,
/// would help nobody. The trouble is told beside it; else the line is sealed with it.
fn audit(
    tool: &Tool,
    places: &Places,
    job: &JobDirectory,
    kind: EndKind,
    reason: Option<&str>,
) -> (Option<Head>, Option<String>) {
    let code = kind.code().to_string();
    let mut fields = vec![("job", job.id().as_str()), ("kind", kind.word()), ("code", &code)];
    fields.extend(reason.map(|reason| ("reason", reason)));
    match Audit::of(Side::Executor, places).append("job-end", &fields) {
        Ok(head) => (Some(head), None),
        Err(error) => {
            tool.report(&error);
            (None, Some(format!("its end is not in the audit log: {}", error.message)))
        }
    }
}

/// What a job that is over needs no more.
fn clear(job: &JobDirectory) {
    let _ = secrets::unlink(job);
    stdin::remove(job);
    let _ = std::fs::remove_file(job.file("waiting"));
    // The package is the store's; a link to it here would keep its space.
    let _ = std::fs::remove_file(job.file("package"));
}

/// What no other job has in its environment: one of this id may run for another tentacle of
/// this machine, when one octopus sends it to both.
fn mark(job: &JobDirectory) -> Vec<u8> {
    let made = job.file(MADE).into_os_string();
    [b"OCTO_ARTIFACTS=", made.as_encoded_bytes()].concat()
}

fn end_them(processes: &Processes) {
    if !processes.are_gone() {
        let mut ending = Ending::begin(processes, GRACE);
        let mut pause = Duration::from_millis(1);
        while !processes.are_gone() && !ending.has_failed() {
            ending.go_on(processes);
            // They are not our children: their end wakes nobody.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
    processes.group.iter().for_each(Group::remove);
}
