//! `run` and `follow`, from what was said to the exit status.

use crate::cli::continuation::Words;
use crate::cli::options::Common;
use crate::cli::run::{Ends, Run};
use crate::fleet::main_loop::Fleet;
use crate::fleet::rolling::batches::Batches;
use crate::fleet::rolling::history::{AssignedJob, History};
use crate::fleet::rolling::rollout::Rollout;
use crate::fleet::rolling::stopped;
use crate::fleet::workers::Task;
use crate::fleet::{conclusion, dry_run, fan_out, packages};
use crate::output::screen::Screen;
use crate::output::views::choice::{self, Views};
use crate::records::end_files::{self, EndFiles};
use crate::records::journal::labels::Labels;
use crate::records::results::{self, RunRecord};
use crate::records::writer::{self, JournalWriter};
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::job;
use crate::target::outcome::{Outcome, OutcomeOrigin};
use crate::target::package::digests::DigestCache;
use crate::target::request::JobPlan;
use octo_core::base::cli::print;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use octo_core::tentacle::spec::draft::{Destination, Draft};
use octo_core::tentacle::spec::options::JobOptions;
use octo_core::tentacle::spec::variable_file::Programs;
use std::sync::Arc;

/// `run`
///
/// # Errors
/// What is wrong before anything is sent; later errors are in the exit status.
pub(crate) fn run(mut screen: Screen, context: Context, run: Run, words: Words) -> Result<u8> {
    let common = context.common.clone();
    end_files::check(&common, &run.ends, run.inputs(), &context.targets)?;
    let Run { options, ends, labels, signature, .. } = run;
    // Only they ask for it; else the journal is not read at all.
    let last = match common.rolling.is_said() || words.name_last() {
        true => results::last_run(&common.places)?,
        false => None,
    };
    let is_fleeting = words.are_fleeting();
    let history = History::read(&common, options.job.as_ref(), last.as_ref())?;
    let state = history.initial_state(&common, &context.targets)?;
    let mut batches = Batches::new(context.targets.len(), &common.rolling, &state);
    let never_asked = state.never_asked();
    let mut digests = DigestCache::load(&common.places);
    let detach = options.detach;
    let plan = plan(&context, options, signature.as_deref(), &mut digests, &mut screen)?;
    if common.dry_run {
        return dry_run::describe(&mut screen, &context, &plan, batches, &never_asked);
    }
    let jobs = Arc::new(history.jobs(&plan.id, &common, &context.targets));
    let mut fleet = fleet(screen, context, &plan, &ends, labels)?;
    let mut files = EndFiles::new(&ends);
    let task = task(&plan, &jobs, detach);
    let rollout = Rollout {
        fleet: &mut fleet,
        batches: &mut batches,
        jobs: &jobs,
        task: &task,
        files: &mut files,
    };
    let why = rollout.roll(&never_asked)?;
    if let Some(package) = &plan.package {
        package.remember(&mut digests);
    }
    if why.is_some() {
        fleet.pass_over(batches.pending().iter().copied());
    }
    let status = conclusion::of_jobs(&mut fleet, files, &plan.id);
    if let Some(order) = plan.draft.order() {
        conclusion::of_order(&mut fleet, order, &words);
    }
    if detach && !common.json && fleet.outcomes.values().any(Outcome::succeeded) {
        print(&format!("{}\n", plan.id))?;
    }
    let Some(why) = why else { return Ok(status) };
    let names: Vec<&str> =
        fleet.context.targets.iter().map(|target| target.name.as_str()).collect();
    let again = words.again(&plan.id, last.as_ref(), is_fleeting.then_some(&names[..]));
    stopped::tell(&mut fleet, &batches, &state, &why, &again);
    Ok(if status == 0 { 1 } else { status })
}

/// `follow`
pub(crate) fn follow(
    screen: Screen,
    context: Context,
    job: &JobId,
    record: RunRecord,
    ends: &Ends,
) -> Result<u8> {
    let common = context.common.clone();
    end_files::check(&common, ends, [], &context.targets)?;
    if common.dry_run {
        return fan_out::describe(&context, &format!("follow {job}"));
    }
    let all: Vec<usize> = (0..context.targets.len()).collect();
    let job_of = |target: &usize| record.job_of(context.name(*target), job).clone();
    let jobs: Vec<(usize, JobId)> = all.iter().map(|target| (*target, job_of(target))).collect();
    let followed = jobs.clone();
    let task: Arc<Task> = Arc::new(move |context: &Context, reporter: &Reporter| {
        job::follow(context, &followed[reporter.target].1, reporter)
    });
    let by = context.client_config.by.clone();
    let journal = JournalWriter::new(&common.places, "follow", job, &by, vec![]);
    let views = views(&context, ends);
    let mut fleet = Fleet::new(context, screen, views, Some(journal))?;
    let mut files = EndFiles::new(ends);
    let context = Arc::clone(&fleet.context);
    files.begin(&common, &context.targets, &jobs)?;
    fleet.serve(&all, &task, &mut |target, outcome| {
        files.ended(target, &context.targets[target], outcome);
        true
    })?;
    Ok(conclusion::of_jobs(&mut fleet, files, job))
}

/// Reads all that the job needs, and checks what the targets will be sent.
///
/// # Errors
/// What is wrong with that.
pub(crate) fn plan(
    context: &Context,
    options: JobOptions,
    signature: Option<&str>,
    digests: &mut DigestCache,
    screen: &mut Screen,
) -> Result<Arc<JobPlan>> {
    let id = match &options.job {
        Some(job) => job.clone(),
        None => writer::new_id()?,
    };
    let package = options.package.clone();
    let there = context.targets.iter().map(|target| Destination::Target(target.name.as_str()));
    let there: Vec<_> = there.collect();
    let programs = if context.common.dry_run { Programs::Leave } else { Programs::Run };
    let draft = Draft::read(&context.common.places, options, &there, programs)?;
    // Hashed last: that may take minutes.
    let open = |said: String| packages::open(&said, signature, &context.common, digests, screen);
    let package = package.map(open).transpose()?;
    let package = package.map(Arc::new);
    let plan = JobPlan::new(id, package, draft);
    plan.check(&context.targets)?;
    Ok(Arc::new(plan))
}

fn fleet(
    screen: Screen,
    context: Context,
    plan: &JobPlan,
    ends: &Ends,
    labels: Labels,
) -> Result<Fleet> {
    let (places, by) = (&context.common.places, &context.client_config.by);
    let packages = plan.package.iter().cloned().collect();
    let journal =
        JournalWriter::new(places, plan.draft.verb(), &plan.id, by, packages).labelled(labels);
    let views = views(&context, ends);
    let mut fleet = Fleet::new(context, screen, views, Some(journal))?;
    fleet.transfers = plan.package.is_some();
    Ok(fleet)
}

fn task(plan: &Arc<JobPlan>, jobs: &Arc<Vec<AssignedJob>>, detach: bool) -> Arc<Task> {
    let (plan, jobs) = (Arc::clone(plan), Arc::clone(jobs));
    Arc::new(move |context: &Context, reporter: &Reporter| {
        let job = &jobs[reporter.target];
        let mode = job::RunMode { detach, in_doubt: job.in_doubt };
        let mut outcome = job::run(context, reporter, &plan, &job.id, mode);
        // octo-exec does it itself: there is no script that could have said so.
        if plan.draft.order().is_some() && outcome.origin == OutcomeOrigin::Script {
            outcome.origin = OutcomeOrigin::Tentacle;
        }
        outcome
    })
}

fn views(context: &Context, ends: &Ends) -> Views {
    let common: &Common = &context.common;
    let files = ends.output.as_ref().map(|pattern| {
        context.targets.iter().map(|target| end_files::named(pattern, target)).collect()
    });
    choice::of_jobs(common, &context.names(), files)
}
