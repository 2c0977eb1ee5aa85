//! octo-push: one verb to one or many tentacles.

mod cli;
mod fleet;
mod output;
mod records;
mod target;
mod verbs;

use crate::cli::run::Verb;
use crate::output::screen::Screen;
use crate::target::context::Context;
use octo_core::base::cli::Tool;
use octo_core::base::error::Result;
use octo_core::targets::Targets;
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-push", help: || cli::help::TEXT.to_string() };

fn main() -> ExitCode {
    TOOL.main(run)
}

fn run(tool: &Tool, arguments: &[String]) -> Result<u8> {
    if let Some(answered) = verbs::plumb::asked(tool, arguments) {
        return answered;
    }
    let Some((common, verb)) = cli::run::read(tool, arguments)? else { return Ok(0) };
    if let Verb::Journal(targets) = &verb {
        if !common.take.is_empty() || !common.leave.is_empty() || common.shard.is_some() {
            return Err(tool.misuse("journal takes names behind it: no -t, -x or --shard"));
        }
        return verbs::journal::show(&common, targets);
    }
    let mut screen = Screen::of(tool);
    let all = Targets::load(&common.places.targets())?;
    if let Verb::Targets = verb {
        return target::listing::targets(&common, &all);
    }
    let job = match &verb {
        Verb::Follow(job, _) | Verb::Cancel(job) => Some(job),
        Verb::Get(get) => Some(&get.job),
        _ => None,
    };
    let targets = fleet::select::select(&common, &all, job)?;
    if targets.is_empty() {
        // Only a shard may be: the others have all there is.
        return Ok(0);
    }
    if !common.quiet {
        fleet::select::warn_of_clones(&mut screen, &all, &targets);
    }
    let context = Context::new(common, targets)?;
    match verb {
        Verb::Run(run) => fleet::jobs::run(screen, context, *run, arguments),
        Verb::Follow(job, ends) => fleet::jobs::follow(screen, context, &job, &ends),
        other => fleet::fan_out::act(screen, context, other),
    }
}
