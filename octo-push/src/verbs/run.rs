//! `run`: a script as a job of each target, followed to its end; `--ask`: would it be?

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
use crate::target::question;
use crate::target::request::JobPlan;
use octo_core::base::error::Result;
use octo_core::tentacle::spec::draft::{Destination, Draft};
use octo_core::tentacle::spec::options::JobOptions;
use octo_core::tentacle::spec::variable_file::Programs;

pub(super) fn run(call: &Call) -> Result<u8> {
    let run = Run::read(call)?;
    let Some((screen, context)) = select::begin(call)? else {
        return end_files::of_nobody(&call.common, &run.ends).map(|()| 0);
    };
    if run.ask {
        return ask(screen, context, run.options);
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

fn ask_one(context: &Context, reporter: &Reporter, plan: &JobPlan) -> Outcome {
    let target = &context.targets[reporter.target];
    let asked =
        attempts::ask(context, reporter, |client| question::ask(client, target, plan, &plan.id));
    match asked {
        Ok(()) => Outcome { message: "would be accepted".into(), ..Outcome::done() },
        Err(error) => Outcome::failed(context, error),
    }
}
