//! `run`: a script as a job of each target, followed to its end; `--ask`: would it be?
//! `--prepare`: where it would be, the package is put, so that all have it before one runs it.

use crate::cli::call::Call;
use crate::cli::continuation::Words;
use crate::cli::run::Run;
use crate::fleet::fan_out::{self, FanOut};
use crate::fleet::{jobs, select};
use crate::output::screen::Screen;
use crate::records::end_files;
use crate::records::writer::new_id;
use crate::target::attempts;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use crate::target::package::digests::DigestCache;
use crate::target::question;
use crate::target::request::JobPlan;
use crate::verbs::put;
use octo_core::base::error::Result;
use octo_core::tentacle::spec::draft::{Destination, Draft};
use octo_core::tentacle::spec::options::JobOptions;
use octo_core::tentacle::spec::variable_file::Programs;
use octo_core::trust::Verb;

pub(super) fn run(call: &Call) -> Result<u8> {
    let run = Run::read(call)?;
    let Some((screen, context)) = select::begin(call)? else {
        return end_files::of_nobody(&call.common, &run.ends).map(|()| 0);
    };
    if run.ask {
        return ask(screen, context, run.options);
    }
    if run.prepare {
        return prepare(screen, context, run);
    }
    let words = Words {
        words: call.words,
        verb: call.verb,
        own: run.options.arguments.len(),
        named: run.options.job.is_some(),
    };
    jobs::run(screen, context, run, words)
}

/// Asks each target. The package is not looked at: it may be made yet.
fn ask(screen: Screen, context: Context, options: JobOptions) -> Result<u8> {
    let there = context.targets.iter().map(|target| Destination::Target(target.name.as_str()));
    let there: Vec<_> = there.collect();
    let draft = Draft::read(&context.common.places, options, &there, Programs::Run)?;
    let plan = JobPlan::new(new_id()?, None, draft);
    plan.check(&context.targets)?;
    let fan_out = FanOut::asking(move |context, reporter| ask_one(context, reporter, &plan));
    fan_out::run(screen, context, fan_out)
}

/// Asks each target, and puts the package over the same connection where the answer is yes.
fn prepare(mut screen: Screen, context: Context, run: Run) -> Result<u8> {
    let common = &context.common;
    end_files::check(common, &run.ends, run.inputs(), &context.targets)?;
    let mut digests = DigestCache::load(&common.places);
    let signature = run.signature.as_deref();
    let plan = jobs::plan(&context, run.options, signature, &mut digests, &mut screen)?;
    // One whose sha256 was said is there, or isn't: there is nothing to put.
    let packages: Vec<_> = plan.package.iter().filter(|p| p.is_sent()).cloned().collect();
    let what = match packages.is_empty() {
        true => "ask".into(),
        false => format!("ask, then {}", put::described(&packages)?),
    };
    let sent = packages.clone();
    let fan_out = FanOut {
        what,
        journal: (!packages.is_empty()).then_some(Verb::Put),
        packages: packages.clone(),
        ..FanOut::asking(move |context, reporter| put::put(context, reporter, &sent, Some(&plan)))
    };
    let status = fan_out::run(screen, context, fan_out)?;
    packages.iter().for_each(|package| package.remember(&mut digests));
    Ok(status)
}

fn ask_one(context: &Context, reporter: &Reporter, plan: &JobPlan) -> Outcome {
    let target = &context.targets[reporter.target];
    let asked =
        attempts::ask(context, reporter, |client| question::ask(client, target, plan, &plan.id));
    match asked {
        Ok(()) => Outcome { message: question::YES.into(), ..Outcome::done() },
        Err(error) => Outcome::failed(context, error),
    }
}
