//! Every verb but run and follow: one task for all targets, and its summary.

use crate::cli::run::Verb;
use crate::fleet::conclusion;
use crate::fleet::main_loop::Fleet;
use crate::fleet::packages::hash;
use crate::fleet::workers::Task;
use crate::output::screen::Screen;
use crate::output::views::choice;
use crate::records::writer::{JournalWriter, new_id};
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::listing;
use crate::target::outcome::Outcome;
use crate::target::package::digests::DigestCache;
use crate::target::package::upload::{Package, Put};
use crate::target::retry;
use crate::verbs::audit;
use crate::verbs::get;
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use octo_core::base::units::human_size;
use octo_wire::Request;
use std::sync::Arc;

/// The stack of the thread that hashes.
const STACK: usize = 64 * 1024;

/// Does the verb with all targets.
///
/// # Errors
/// What is wrong before anything is sent; later troubles are in the exit status.
pub(crate) fn act(mut screen: Screen, context: Context, verb: Verb) -> Result<u8> {
    let mut what = String::new();
    let mut digests = DigestCache::load(&context.common.places);
    let mut sent: Vec<Arc<Package>> = Vec::new();
    // Questions change nothing: they leave no line.
    let mut action: Option<&'static str> = None;
    let task: Arc<Task> = match verb {
        Verb::Put(files) => {
            for file in &files {
                let package = Package::open(file, &digests)?;
                // Of many uploads the hashing would get but a small share of the processor.
                let alone = context.targets.len() == 1;
                if context.common.dry_run || !alone || !package.is_large() {
                    hash(&package, &mut digests, &mut screen)?;
                }
                sent.push(Arc::new(package));
            }
            action = Some("put");
            if context.common.dry_run {
                what = described(&sent)?;
            }
            let packages = sent.clone();
            Arc::new(move |context: &Context, reporter: &Reporter| {
                put(context, reporter, &packages)
            })
        }
        Verb::Cancel(job) => {
            what = format!("cancel {job}");
            action = Some("cancel");
            Arc::new(move |context: &Context, reporter: &Reporter| cancel(context, reporter, &job))
        }
        Verb::Get(wanted) => {
            let wanted = get::Wanted::check(wanted, context.targets.len())?;
            what = "get".into();
            action = Some("get");
            Arc::new(move |context: &Context, reporter: &Reporter| wanted.get(context, reporter))
        }
        Verb::Status => Arc::new(listing::status),
        Verb::Jobs => Arc::new(listing::jobs),
        Verb::Scripts => Arc::new(listing::scripts),
        // Run, follow, targets and journal have gone their own ways.
        _ => {
            action = Some("audit");
            let names: Vec<&str> = context.targets.iter().map(|t| t.name.as_str()).collect();
            let heads = audit::heads(&context.common.places, &names)?;
            Arc::new(move |context: &Context, reporter: &Reporter| {
                let name = context.targets[reporter.target].name.as_str();
                audit::prove(context, reporter, heads.get(name).map_or(&[], Vec::as_slice))
            })
        }
    };
    let common = context.common.clone();
    if common.dry_run {
        return describe(&context, &what);
    }
    let all: Vec<usize> = (0..context.targets.len()).collect();
    let by = context.client_config.by.clone();
    let journal = match action {
        Some(verb) => Some(JournalWriter::new(&common.places, verb, &new_id()?, &by, sent.clone())),
        None => None,
    };
    let views = choice::of_lists(&common, &context.names())?;
    let mut fleet = Fleet::new(context, screen, views, journal)?;
    fleet.transfers = !sent.is_empty();
    hash_meanwhile(&sent, &fleet.context);
    fleet.serve(&all, &task, &mut |_, _| true)?;
    for package in sent.iter() {
        package.remember(&mut digests);
    }
    Ok(conclusion::of_questions(&mut fleet))
}

fn describe(context: &Context, what: &str) -> Result<u8> {
    let mut text = String::new();
    for target in &context.targets {
        let what = if what.is_empty() { "ask" } else { what };
        text.push_str(&format!("{} ({}): {what}\n", target.name, target.address));
    }
    print(&text)?;
    Ok(0)
}

fn described(packages: &[Arc<Package>]) -> Result<String> {
    let mut said = Vec::new();
    for package in packages {
        said.push(format!("put {} {}", printable(package.name.as_bytes()), package.digest()?));
    }
    Ok(said.join(", "))
}

/// Hashes, one after the other, what is sent already.
fn hash_meanwhile(packages: &[Arc<Package>], context: &Arc<Context>) {
    if packages.iter().all(|package| package.unhashed().is_none()) {
        return;
    }
    let (hashed, of) = (packages.to_vec(), Arc::clone(context));
    let hasher = move || hashed.iter().for_each(|package| package.hash(&of.stop));
    let thread = std::thread::Builder::new().name("hasher".into()).stack_size(STACK);
    if thread.spawn(hasher).is_err() {
        packages.iter().for_each(|package| package.hash(&context.stop));
    }
}

fn put(context: &Context, reporter: &Reporter, packages: &[Arc<Package>]) -> Outcome {
    let mut said = Vec::new();
    let done = retry::ask(context, reporter, |client| {
        said.clear();
        for package in packages {
            let name = printable(package.name.as_bytes());
            said.push(match package.put(client, &context.counters, &context.stop)? {
                Put::There => format!("{name} was there"),
                Put::Sent(bytes) => format!("{name} put, {}", human_size(bytes)),
            });
        }
        Ok(())
    });
    match done {
        Ok(()) => Outcome { message: said.join(", "), ..Outcome::done() },
        Err(error) => {
            // The journal names what was not put: it is waited for here, not there.
            packages.iter().for_each(|package| drop(package.digest()));
            Outcome::failed(context, error)
        }
    }
}

/// Several jobs of one run may have other ids than the run: those of retries.
fn cancel(context: &Context, reporter: &Reporter, job: &JobId) -> Outcome {
    let request = Request::new(octo_core::trust::Verb::Cancel).with("job", job);
    match retry::ask(context, reporter, |client| client.ask(&request, b"")) {
        Ok(reply) => {
            let state = reply.get("state").unwrap_or("");
            let message = match state {
                "" => "asked to cancel".to_string(),
                state => format!("asked to cancel, was {state}"),
            };
            Outcome { job: Some(job.clone()), message, ..Outcome::answered(&reply) }
        }
        Err(error) => Outcome { job: Some(job.clone()), ..Outcome::failed(context, error) },
    }
}
