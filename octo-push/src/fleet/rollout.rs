//! `run` and `follow` from the beginning to the end: batches, their records,
//! gates and pauses, and what is said where it stopped.

use crate::cli::argv;
use crate::cli::command_line::{Ends, Run};
use crate::cli::continuation::Said;
use crate::cli::options::Common;
use crate::fleet::batches::{Batches, Known, Next};
use crate::fleet::main_loop::{Fleet, Task};
use crate::output::node_set::fold;
use crate::output::summary;
use crate::output::{
    FileView, GatheredView, JsonView, LiveView, PrefixedView, Screen, Stream, View, recorder,
};
use crate::records::digests::DigestCache;
use crate::records::end_files::{self, EndFiles};
use crate::records::journal;
use crate::records::pushed;
use crate::records::results::{self, JournalWriter, TargetResult, Verdict};
use crate::target::job as one;
use crate::target::outcome::{Outcome, OutcomeKind, overall};
use crate::target::package::upload::Package;
use crate::target::request::Plan;
use crate::target::retry::{Context, Reporter};
use crate::target::stop::Stop;
use octo_core::base::cli::print;
use octo_core::base::digest::Digest;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::names::JobId;
use octo_core::base::units::human_size;
use octo_core::targets::Target;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// `run`
///
/// # Errors
/// What is wrong before anything is sent; later troubles are in the exit status.
pub(crate) fn run(
    mut screen: Screen,
    context: Context,
    run: Run,
    arguments: &[String],
) -> Result<u8> {
    let common = context.common.clone();
    end_files::prepare(&run.ends, &context.targets)?;
    let before = results::results(&common.places, journal::Run::Last)?;
    let last = results::last(&common.places)?;
    let said = Said {
        words: arguments,
        verb: run.position,
        own: run.arguments.len(),
        named: run.job.is_some(),
        last: last.as_ref(),
    };
    let id = match &run.job {
        Some(job) => job.clone(),
        None => results::new_id()?,
    };
    let mut digests = DigestCache::load(&common.places);
    let package = run.package.as_deref().map(|said| open_package(said, &mut digests, &mut screen));
    let (detach, ends) = (run.detach, run.ends.clone());
    let plan = Plan::read(&common.places, id.clone(), run, package.transpose()?.map(Arc::new))?;
    let checked = if plan.differs() { context.targets.len() } else { context.targets.len().min(1) };
    for target in &context.targets[..checked] {
        plan.request(target.name.as_str(), &id)?;
    }

    let names: Vec<String> = context.targets.iter().map(|t| t.name.to_string()).collect();
    let earlier = results::results(&common.places, journal::Run::Id(id.clone()))?;
    let known = known(&common, &context.targets, &earlier, &before)?;
    let mut rollout = Batches::new(context.targets.len(), &common.rolling, &known);
    if common.dry_run {
        return describe_run(&mut screen, &context, &plan, &mut rollout);
    }
    let in_doubt = asked_before(&common, &id, &context.targets)?;
    pushed::begin(&common.places, &id, &plan.summary(), &names)?;
    let ids = retried(&id, &earlier, &context.targets, &common);
    let plan = Arc::new(plan);
    let packages = plan.package.iter().cloned().collect();
    let journal =
        JournalWriter::open(&common.places, "run", Some(&id), &context.client_config.by, packages)?;
    let shared = Arc::clone(&plan);
    let task: Arc<Task> = Arc::new(move |context: &Context, reporter: &Reporter| {
        let job = ids.get(&reporter.target).unwrap_or(&shared.id);
        one::run(context, &shared, job, (detach, in_doubt.contains(&reporter.target)), reporter)
    });
    let views = views(&common, &screen, &context.targets, &ends)?;
    let mut fleet = Fleet::new(context, screen, views, Some(journal))?;
    fleet.transfers = plan.package.is_some();
    let mut files = EndFiles::new(&ends);
    let stopped = roll(&mut fleet, &mut rollout, &task, &common, &mut files)?;
    if let Some(package) = &plan.package {
        package.remember(&mut digests);
    }
    let status = conclude(&mut fleet, &common, files, &id)?;
    if detach && fleet.outcomes.values().any(Outcome::succeeded) {
        print(&format!("{id}\n"))?;
    }
    let Some(reason) = stopped else { return Ok(status) };
    say_where_it_stopped(&mut fleet, &rollout, &reason, &said.again(&id));
    Ok(if status == 0 { 1 } else { status })
}

/// `follow`
///
/// # Errors
/// As [`run()`].
pub(crate) fn follow(screen: Screen, context: Context, job: &JobId, ends: &Ends) -> Result<u8> {
    let common = context.common.clone();
    end_files::prepare(ends, &context.targets)?;
    let told = results::results(&common.places, journal::Run::Id(job.clone()))?;
    let ids: HashMap<usize, JobId> = context
        .targets
        .iter()
        .enumerate()
        .filter_map(|(index, target)| Some((index, told.get(target.name.as_str())?.job.clone()?)))
        .collect();
    let all: Vec<usize> = (0..context.targets.len()).collect();
    let views = views(&common, &screen, &context.targets, ends)?;
    let main = job.clone();
    let task: Arc<Task> = Arc::new(move |context: &Context, reporter: &Reporter| {
        one::follow(context, ids.get(&reporter.target).unwrap_or(&main), reporter)
    });
    let journal = JournalWriter::open(
        &common.places,
        "follow",
        Some(job),
        &context.client_config.by,
        vec![],
    )?;
    let mut fleet = Fleet::new(context, screen, views, Some(journal))?;
    let mut files = EndFiles::new(ends);
    let shared = Arc::clone(&fleet.context);
    fleet.go(&all, &task, &mut |target, outcome| {
        files.ended(target, &shared.targets[target], outcome);
        true
    })?;
    conclude(&mut fleet, &common, files, job)
}

/// Goes through the batches; says why where it stopped before the end.
fn roll(
    fleet: &mut Fleet,
    rollout: &mut Batches,
    task: &Arc<Task>,
    common: &Common,
    files: &mut EndFiles,
) -> Result<Option<String>> {
    let context = Arc::clone(&fleet.context);
    let rolling = common.rolling.is_said();
    loop {
        let batch = match rollout.next() {
            Next::Batch(batch) => batch,
            Next::Finished => return Ok(None),
            Next::Stopped(reason) => return Ok(Some(reason)),
        };
        let names: Vec<String> =
            batch.iter().map(|t| fleet.context.targets[*t].name.to_string()).collect();
        if rolling && (common.verbose || (fleet.screen.err_is_terminal && !common.quiet)) {
            fleet.screen.say(format!("batch: {}", fold(names.iter().map(String::as_str))));
        }
        let held_back = fleet.go(&batch, task, &mut |target, outcome| {
            files.ended(target, &context.targets[target], outcome);
            rollout.result(target, outcome.succeeded());
            rollout.within_budget()
        })?;
        let names: Vec<String> = batch
            .iter()
            .filter(|target| !held_back.contains(target))
            .map(|target| context.targets[*target].name.to_string())
            .collect();
        for target in held_back.into_iter().rev() {
            rollout.put_back(target);
        }
        if fleet.left || fleet.is_interrupted() {
            let skipped = fleet.outcomes.values().any(|o| o.kind == OutcomeKind::Skipped);
            let open = fleet.left || skipped || !rollout.pending().is_empty();
            return Ok((rolling && open).then(|| "cancelled".to_string()));
        }
        files.batch_ended();
        if let Some(gate) = &common.rolling.gate {
            let called = argv::quote(&gate[0]);
            match passes(gate, &names) {
                Ok(true) => {}
                Ok(false) => return Ok(Some(format!("the gate {called} said no"))),
                // What the jobs came to is told all the same.
                Err(error) => {
                    let reason = format!("the gate {called} can't be run: {}", error.message);
                    return Ok(Some(reason));
                }
            }
        }
        if !common.rolling.pause.is_zero() && !rollout.pending().is_empty() {
            fleet.pause(common.rolling.pause);
            if fleet.is_interrupted() || fleet.left {
                return Ok(Some("cancelled".into()));
            }
        }
    }
}

/// Runs the gate with the batch's names behind its own arguments. What it
/// prints goes to standard error: standard output is the jobs'.
fn passes(gate: &[String], names: &[String]) -> Result<bool> {
    let Some((program, arguments)) = gate.split_first() else { return Ok(true) };
    let output = std::io::stderr();
    let output = rustix::io::dup(&output)
        .map_err(|error| Error::new(Exit::Io, "standard error", describe(&error.into())))?;
    let status = Command::new(program)
        .args(arguments)
        .args(names)
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .status()
        .map_err(|error| Error::new(Exit::NotFound, program, describe(&error)))?;
    Ok(status.success())
}

fn open_package(said: &str, digests: &mut DigestCache, screen: &mut Screen) -> Result<Package> {
    if !std::path::Path::new(said).exists()
        && let Some(digest) = Digest::parse(said)
    {
        let name = digests.name(&digest).unwrap_or(said).to_string();
        return Ok(Package::known(digest, name));
    }
    let package = Package::open(said, digests)?;
    hash(&package, digests, screen)?;
    Ok(package)
}

/// Hashes a package; a large one is worth a word to a person.
///
/// # Errors
/// As for reading it.
pub(crate) fn hash(
    package: &Package,
    digests: &mut DigestCache,
    screen: &mut Screen,
) -> Result<()> {
    if let Some(size) = package.unhashed().filter(|size| *size > 256 << 20) {
        let shown = printable(package.name.as_bytes());
        screen.progress(&format!("hashing {shown}, {}", human_size(size)));
    }
    package.hash(&Stop::default());
    package.remember(digests);
    screen.clear();
    package.digest().map(drop)
}

/// Canaries, targets that failed last time, and what a continued rollout has done.
fn known(
    common: &Common,
    targets: &[Target],
    earlier: &HashMap<String, TargetResult>,
    last: &HashMap<String, TargetResult>,
) -> Result<Known> {
    let mut known = Known::default();
    if !common.rolling.is_said() {
        return Ok(known);
    }
    let having = |results: &HashMap<String, TargetResult>, verdict: Verdict| -> HashSet<usize> {
        let told = |target: &Target| results.get(target.name.as_str());
        let is = |t: &Target| told(t).is_some_and(|told| told.result == verdict);
        targets.iter().enumerate().filter(|(_, t)| is(t)).map(|(index, _)| index).collect()
    };
    known.done = having(earlier, Verdict::Ok);
    known.failed = having(if earlier.is_empty() { last } else { earlier }, Verdict::Failed);
    if let Some(canary) = &common.rolling.canary {
        let is = |t: &Target| {
            t.name.as_str() == canary || t.tags.iter().any(|tag| tag.as_str() == canary)
        };
        known.canaries =
            targets.iter().enumerate().filter(|(_, t)| is(t)).map(|(index, _)| index).collect();
        if known.canaries.is_empty() {
            let shown = printable(canary.as_bytes());
            return Err(Error::new(
                Exit::Data,
                shown,
                "none of the selected targets is this canary",
            ));
        }
    }
    Ok(known)
}

/// Targets that an octo-push before this one may have asked for the job: where
/// they don't answer now, that nothing ran can't be said.
fn asked_before(common: &Common, id: &JobId, targets: &[Target]) -> Result<HashSet<usize>> {
    let Some(asked) = pushed::load(&common.places, id)? else { return Ok(HashSet::new()) };
    let asked: HashSet<String> = asked.into_iter().collect();
    let nothing = results::nothing_ran(&common.places, id.clone())?;
    let in_doubt = |name: &str| asked.contains(name) && !nothing.contains(name);
    let all = targets.iter().enumerate();
    Ok(all.filter(|(_, t)| in_doubt(t.name.as_str())).map(|(index, _)| index).collect())
}

/// In a continued rollout a target that failed needs a new id, or it would be
/// told of its old failure; the new one follows from the old, so that an
/// octo-push that was killed in between repeats nothing.
fn retried(
    id: &JobId,
    earlier: &HashMap<String, TargetResult>,
    targets: &[Target],
    common: &Common,
) -> HashMap<usize, JobId> {
    let mut ids = HashMap::new();
    if !common.rolling.is_said() {
        return ids;
    }
    for (index, target) in targets.iter().enumerate() {
        let Some(told) = earlier.get(target.name.as_str()) else { continue };
        let retry = match told.result {
            Verdict::Unknown => told.job.clone(),
            Verdict::Failed => {
                let seed = format!("retry {id} {} {}", target.name, told.failures);
                JobId::derive(id.time(), seed.as_bytes())
            }
            Verdict::Ok => None,
        };
        ids.extend(retry.map(|retry| (index, retry)));
    }
    ids
}

fn views(
    common: &Common,
    screen: &Screen,
    targets: &[Target],
    ends: &Ends,
) -> Result<Vec<Box<dyn View>>> {
    let names: Vec<String> = targets.iter().map(|t| t.name.to_string()).collect();
    let mut views: Vec<Box<dyn View>> = Vec::new();
    if common.json {
        views.push(Box::new(JsonView::new(names.clone(), |screen: &mut Screen, line: &str| {
            screen.print(Stream::Out, line.as_bytes());
        })));
    } else {
        let live = |names: Vec<String>| -> Box<dyn View> {
            if names.len() == 1 {
                Box::new(LiveView::default())
            } else {
                Box::new(PrefixedView::new(names))
            }
        };
        let shown: Box<dyn View> = match (common.gather, common.quiet) {
            (true, _) => Box::new(GatheredView::agreeing(names.clone(), live(names.clone()))),
            (_, true) => Box::new(GatheredView::failing(names.clone(), live(names.clone()))),
            _ => live(names.clone()),
        };
        match &ends.output {
            Some(pattern) => {
                let paths = targets.iter().map(|t| end_files::named(pattern, t)).collect();
                views.push(Box::new(FileView::new(paths, shown)?));
            }
            None => views.push(shown),
        }
    }
    if let Some(path) = &common.record {
        views.push(Box::new(JsonView::new(names, recorder(path)?)));
    }
    let _ = screen;
    Ok(views)
}

/// The end of it all: views, summary, files, exit status.
fn conclude(fleet: &mut Fleet, common: &Common, files: EndFiles, id: &JobId) -> Result<u8> {
    if fleet.left {
        leave(fleet, id);
    }
    fleet.finish();
    let context = Arc::clone(&fleet.context);
    summary::tell(&mut fleet.screen, common, &context.targets, &fleet.outcomes);
    let mut status = overall(fleet.outcomes.values());
    for result in [files.finish(&context.targets, &fleet.outcomes), fleet.screen.finish()] {
        if let Err(error) = result {
            fleet.screen.report(&error);
            // What the jobs came to is worth more than where it was printed.
            if status == 0 {
                status = error.exit.code();
            }
        }
    }
    Ok(status)
}

/// What was accepted runs on; whoever left is told how to come back.
fn leave(fleet: &mut Fleet, id: &JobId) {
    let begun = fleet.begun();
    let accepted = begun.iter().any(|(_, job)| job.is_some());
    for (target, job) in begun {
        let outcome = Outcome::left(job.as_ref().unwrap_or(id), job.is_some());
        fleet.leave(target, outcome);
    }
    if accepted {
        fleet.screen.say(format!("hint: octo-push follow {id}"));
    }
}

fn say_where_it_stopped(fleet: &mut Fleet, rollout: &Batches, reason: &str, command: &str) {
    // A script that calls us knows better how to go on, or says all of this itself.
    let again = std::env::var("OCTO_AGAIN").ok();
    if again.as_deref() == Some("") {
        return;
    }
    let names = |targets: &mut dyn Iterator<Item = usize>| {
        fold(targets.map(|t| fleet.context.targets[t].name.as_str()))
    };
    let outcomes: &BTreeMap<usize, Outcome> = &fleet.outcomes;
    let done = names(&mut outcomes.iter().filter(|(_, o)| o.succeeded()).map(|(t, _)| *t));
    let of = |meant: &dyn Fn(&OutcomeKind) -> bool| -> Vec<usize> {
        outcomes.iter().filter(|(_, o)| !o.succeeded() && meant(&o.kind)).map(|(t, _)| *t).collect()
    };
    let failed = of(&|kind| !matches!(kind, OutcomeKind::Skipped | OutcomeKind::Unknown));
    let failed = names(&mut failed.into_iter());
    let unknown = names(&mut of(&|kind| *kind == OutcomeKind::Unknown).into_iter());
    let skipped = of(&|kind| *kind == OutcomeKind::Skipped).into_iter();
    let pending = names(&mut rollout.pending().iter().copied().chain(skipped));
    fleet.screen.say(format!("rollout stopped: {reason}"));
    for (what, names) in
        [("done", done), ("failed", failed), ("end unknown", unknown), ("not begun", pending)]
    {
        if !names.is_empty() {
            fleet.screen.say(format!("{what}: {names}"));
        }
    }
    let again = again.map_or_else(|| command.to_string(), |a| printable(a.as_bytes()));
    fleet.screen.say(format!("hint: to continue: {again}"));
}

fn describe_run(
    screen: &mut Screen,
    context: &Context,
    plan: &Plan,
    rollout: &mut Batches,
) -> Result<u8> {
    let mut text = String::new();
    let rolling = context.common.rolling.is_said();
    let mut number = 0;
    let stopped = loop {
        let batch = match rollout.next() {
            Next::Batch(batch) => batch,
            Next::Finished => break None,
            Next::Stopped(reason) => break Some(reason),
        };
        number += 1;
        for index in batch {
            let target = &context.targets[index];
            if rolling {
                text.push_str(&format!("batch {number}: "));
            }
            text.push_str(&format!("{} ({}): ", target.name, target.address));
            if let Some(package) = &plan.package {
                let name = printable(package.name.as_bytes());
                text.push_str(&format!("put {name} {}, ", package.digest()?));
            }
            text.push_str(&format!("run {}\n", plan.summary()));
            rollout.result(index, true);
        }
    };
    print(&text)?;
    match stopped {
        None => Ok(0),
        Some(reason) => {
            screen.say(format!("rollout stopped: {reason}"));
            Ok(1)
        }
    }
}
