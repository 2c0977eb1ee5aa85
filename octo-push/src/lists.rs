//! The verbs that ask and print: put, status, jobs, scripts, get, cancel, audit.

use crate::fleet::{Fleet, Task};
use crate::json::Object;
use crate::options::Common;
use crate::outcome::{Outcome, overall};
use crate::output::{Live, Screen, Stream, View};
use crate::put::{Package, Put};
use crate::reach::{self, Teller, Work, failed};
use crate::remember::Memory;
use crate::rollout::open_file;
use crate::session::Trouble;
use crate::summary;
use crate::verbs::Verb;
use octo_core::cli::print;
use octo_core::encoding::printable;
use octo_core::error::{Error, Exit, Result};
use octo_core::targets::{Selection, Targets};
use octo_core::units::human_size;
use octo_wire::Message;
use std::sync::Arc;

/// `targets`: the file as it is understood; all of it, unless some are selected.
///
/// # Errors
/// As the selection's.
pub(crate) fn targets(common: &Common, all: &Targets) -> Result<u8> {
    let narrowed = !common.take.is_empty() || !common.leave.is_empty();
    let mut whole = common.clone();
    whole.all |= common.take.is_empty();
    let shown = if narrowed || common.shard.is_some() {
        crate::select::select(&whole, all, None)?
    } else {
        all.all.clone()
    };
    let mut text = String::new();
    for target in shown {
        if common.json {
            let object = Object::of("target")
                .text("target", target.name.as_str())
                .text("address", &target.address.to_string())
                .text("trust", &target.trust.to_string())
                .list("tags", target.tags.iter().map(|t| t.as_str()));
            text.push_str(&object.line());
            continue;
        }
        text.push_str(&format!("{} {} {}", target.name, target.address, target.trust));
        for tag in &target.tags {
            text.push_str(&format!(" {tag}"));
        }
        text.push('\n');
    }
    print(&text)?;
    Ok(0)
}

/// Everything else that is not a job of ours.
///
/// # Errors
/// What is wrong before anything is sent; later troubles are in the exit status.
pub(crate) fn act(mut screen: Screen, work: Work, verb: Verb) -> Result<u8> {
    let task: Arc<Task> = match verb {
        Verb::Put(files) => {
            let mut memory = Memory::load(&work.common.places);
            let packages = files
                .iter()
                .map(|file| open_file(file, &mut memory, &mut screen))
                .collect::<Result<Vec<_>>>()?;
            Arc::new(move |work: &Work, teller: &Teller| put(work, teller, &packages))
        }
        Verb::Status => Arc::new(status),
        Verb::Cancel(job) => Arc::new(move |work: &Work, teller: &Teller| {
            let request = Message::new("cancel").with("job", &job);
            match reach::ask(work, teller, |session| session.ask(&request, b"")) {
                Ok(reply) => with_audit(Outcome::done(), &reply),
                Err(trouble) => failed(work, trouble),
            }
        }),
        _ => return Err(Error::usage("not built yet")),
    };
    let common = work.common.clone();
    let all: Vec<usize> = (0..work.targets.len()).collect();
    let mut fleet = Fleet::new(work, screen, vec![Box::new(Live::default())])?;
    fleet.go(&all, &task, &mut |_, _, _| true)?;
    fleet.finish();
    let work = Arc::clone(&fleet.work);
    summary::tell(&mut fleet.screen, &common, &work.targets, &fleet.outcomes);
    let status = overall(fleet.outcomes.values());
    fleet.screen.finish()?;
    Ok(status)
}

fn with_audit(mut outcome: Outcome, reply: &Message) -> Outcome {
    outcome.audit = reply.text("audit").map(str::to_string);
    outcome
}

fn put(work: &Work, teller: &Teller, packages: &[Package]) -> Outcome {
    let mut said = Vec::new();
    let done = reach::ask(work, teller, |session| {
        said.clear();
        for package in packages {
            let name = printable(package.name.as_bytes());
            said.push(match package.put(session, &work.counters, &work.stop)? {
                Put::There => format!("{name} was there"),
                Put::Sent(bytes) => format!("{name} put, {}", human_size(bytes)),
            });
        }
        Ok(())
    });
    match done {
        Ok(()) => Outcome { message: said.join(", "), ..Outcome::done() },
        Err(trouble) => failed(work, trouble),
    }
}

fn status(work: &Work, teller: &Teller) -> Outcome {
    let request = Message::new("status");
    let reply = match reach::ask(work, teller, |session| session.ask(&request, b"")) {
        Ok(reply) => reply,
        Err(trouble) => return failed(work, trouble),
    };
    let name = work.targets[teller.target].name.as_str();
    let mut line = name.to_string();
    let mut object = Object::of("status").text("target", name);
    for key in reply.keys() {
        let value = reply.value(key).unwrap_or(b"");
        object = object.bytes(key, value);
        line.push_str(&format!(" {key}={}", printable(value)));
    }
    line.push('\n');
    let text = if work.common.json { object.line() } else { line };
    teller.output(Stream::Out, text.as_bytes());
    Outcome::done()
}
