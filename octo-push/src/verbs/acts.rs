//! Every verb but run and follow: one task for all targets, and its summary.

use crate::cli::command_line::Verb;
use crate::cli::options::Common;
use crate::fleet::main_loop::{Fleet, Task};
use crate::fleet::rollout::hash;
use crate::output::summary;
use crate::output::{JsonEnds, Live, Screen, Stream, View, recorder};
use crate::records::digests::Memory;
use crate::records::results::Ledger;
use crate::target::outcome::{Outcome, overall};
use crate::target::package::upload::{Package, Put};
use crate::target::retry::{self, Teller, Work, failed};
use crate::verbs::audit;
use crate::verbs::get;
use crate::verbs::lists;
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use octo_core::base::units::human_size;
use octo_wire::Message;
use std::sync::Arc;

/// The stack of the thread that hashes.
const STACK: usize = 64 * 1024;

/// Does the verb with all targets.
///
/// # Errors
/// What is wrong before anything is sent; later troubles are in the exit status.
pub(crate) fn act(mut screen: Screen, work: Work, verb: Verb) -> Result<u8> {
    let mut what = String::new();
    let mut memory = Memory::load(&work.common.places);
    let mut sent: Vec<Arc<Package>> = Vec::new();
    // Questions change nothing: they leave no line.
    let mut action: Option<&'static str> = None;
    let task: Arc<Task> = match verb {
        Verb::Put(files) => {
            for file in &files {
                let package = Package::open(file, &memory)?;
                // Of many uploads the hashing would get but a small share of the processor.
                let alone = work.targets.len() == 1;
                if work.common.dry_run || !alone || !package.is_large() {
                    hash(&package, &mut memory, &mut screen)?;
                }
                sent.push(Arc::new(package));
            }
            action = Some("put");
            if work.common.dry_run {
                what = described(&sent)?;
            }
            let packages = sent.clone();
            Arc::new(move |work: &Work, teller: &Teller| put(work, teller, &packages))
        }
        Verb::Cancel(job) => {
            what = format!("cancel {job}");
            action = Some("cancel");
            Arc::new(move |work: &Work, teller: &Teller| cancel(work, teller, &job))
        }
        Verb::Get(wanted) => {
            let wanted = get::Wanted::check(wanted, work.targets.len())?;
            what = "get".into();
            action = Some("get");
            Arc::new(move |work: &Work, teller: &Teller| wanted.get(work, teller))
        }
        Verb::Status => Arc::new(lists::status),
        Verb::Jobs => Arc::new(lists::jobs),
        Verb::Scripts => Arc::new(lists::scripts),
        // Run, follow, targets and journal have gone their own ways.
        _ => {
            action = Some("audit");
            let names: Vec<&str> = work.targets.iter().map(|t| t.name.as_str()).collect();
            let heads = audit::heads(&work.common.places, &names)?;
            Arc::new(move |work: &Work, teller: &Teller| {
                let name = work.targets[teller.target].name.as_str();
                audit::prove(work, teller, heads.get(name).map_or(&[], Vec::as_slice))
            })
        }
    };
    let common = work.common.clone();
    if common.dry_run {
        return describe(&work, &what);
    }
    let all: Vec<usize> = (0..work.targets.len()).collect();
    let ledger = action
        .map(|verb| Ledger::open(&common.places, verb, None, &work.caller.by, sent.clone()))
        .transpose()?;
    let views = views(&common, &work)?;
    let mut fleet = Fleet::new(work, screen, views, ledger)?;
    fleet.transfers = !sent.is_empty();
    hash_meanwhile(&sent, &fleet.work);
    fleet.go(&all, &task, &mut |_, _| true)?;
    for package in sent.iter() {
        package.remember(&mut memory);
    }
    conclude(&mut fleet, &common)
}

/// Lists are objects already where `--json` was said; an end follows them.
fn views(common: &Common, work: &Work) -> Result<Vec<Box<dyn View>>> {
    let names: Vec<String> = work.targets.iter().map(|t| t.name.to_string()).collect();
    let mut views: Vec<Box<dyn View>> = vec![Box::new(Live::default())];
    if common.json {
        let write = |screen: &mut Screen, line: &str| screen.print(Stream::Out, line.as_bytes());
        views.push(Box::new(JsonEnds { names: names.clone(), write }));
    }
    if let Some(path) = &common.record {
        views.push(Box::new(JsonEnds { names, write: recorder(path)? }));
    }
    Ok(views)
}

fn describe(work: &Work, what: &str) -> Result<u8> {
    let mut text = String::new();
    for target in &work.targets {
        let what = if what.is_empty() { "ask" } else { what };
        text.push_str(&format!("{} ({}): {what}\n", target.name, target.address));
    }
    print(&text)?;
    Ok(0)
}

fn conclude(fleet: &mut Fleet, common: &Common) -> Result<u8> {
    for (target, _) in fleet.begun() {
        fleet.leave(target, Outcome::skipped("left before it was over"));
    }
    fleet.finish();
    let work = Arc::clone(&fleet.work);
    summary::tell(&mut fleet.screen, common, &work.targets, &fleet.outcomes);
    let status = overall(fleet.outcomes.values());
    fleet.screen.finish()?;
    Ok(status)
}

fn described(packages: &[Arc<Package>]) -> Result<String> {
    let mut said = Vec::new();
    for package in packages {
        said.push(format!("put {} {}", printable(package.name.as_bytes()), package.digest()?));
    }
    Ok(said.join(", "))
}

/// Hashes, one after the other, what is sent already.
fn hash_meanwhile(packages: &[Arc<Package>], work: &Arc<Work>) {
    if packages.iter().all(|package| package.unhashed().is_none()) {
        return;
    }
    let (hashed, of) = (packages.to_vec(), Arc::clone(work));
    let hasher = move || hashed.iter().for_each(|package| package.hash(&of.stop));
    let thread = std::thread::Builder::new().name("hasher".into()).stack_size(STACK);
    if thread.spawn(hasher).is_err() {
        packages.iter().for_each(|package| package.hash(&work.stop));
    }
}

fn put(work: &Work, teller: &Teller, packages: &[Arc<Package>]) -> Outcome {
    let mut said = Vec::new();
    let done = retry::ask(work, teller, |session| {
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
        Err(trouble) => {
            // The journal names what was not put: it is waited for here, not there.
            packages.iter().for_each(|package| drop(package.digest()));
            failed(work, trouble)
        }
    }
}

/// Several jobs of one run may have other ids than the run: those of retries.
fn cancel(work: &Work, teller: &Teller, job: &JobId) -> Outcome {
    let request = Message::new("cancel").with("job", job);
    match retry::ask(work, teller, |session| session.ask(&request, b"")) {
        Ok(reply) => {
            let state = reply.text("state").unwrap_or("");
            let message = match state {
                "" => "asked to cancel".to_string(),
                state => format!("asked to cancel, was {state}"),
            };
            Outcome { job: Some(job.clone()), message, ..lists::with_audit(&reply) }
        }
        Err(trouble) => Outcome { job: Some(job.clone()), ..failed(work, trouble) },
    }
}
