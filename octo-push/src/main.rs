//! octo-push: one verb to one or many tentacles.

mod acts;
mod again;
mod argv;
mod audit;
mod dial;
mod ends;
mod escape;
mod firstcontact;
mod fleet;
mod fold;
mod get;
mod help;
mod job;
mod json;
mod ledger;
mod lists;
mod options;
mod outcome;
mod output;
mod pushed;
mod put;
mod reach;
mod remember;
mod rolling;
mod rollout;
mod run;
mod select;
mod session;
mod signals;
mod source;
mod stop;
mod summary;
mod verbs;

use crate::options::Common;
use crate::output::{Counters, Screen};
use crate::reach::Work;
use crate::session::Caller;
use crate::stop::Stop;
use crate::verbs::Verb;
use octo_core::base::cli::Tool;
use octo_core::base::error::Result;
use octo_core::targets::{Target, Targets};
use octo_wire::Identity;
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-push", help: help::TEXT };

fn main() -> ExitCode {
    TOOL.main(run)
}

fn run(tool: &Tool, arguments: &[String]) -> Result<u8> {
    let Some((common, verb)) = verbs::read(tool, arguments)? else { return Ok(0) };
    if let Verb::Journal(targets) = &verb {
        if !common.take.is_empty() || !common.leave.is_empty() || common.shard.is_some() {
            return Err(tool.misuse("journal takes names behind it: no -t, -x or --shard"));
        }
        return ledger::show(&common, targets);
    }
    let mut screen = Screen::of(tool);
    let all = Targets::load(&common.places.targets())?;
    if let Verb::Targets = verb {
        return lists::targets(&common, &all);
    }
    let job = match &verb {
        Verb::Follow(job, _) | Verb::Cancel(job) => Some(job),
        Verb::Get(get) => Some(&get.job),
        _ => None,
    };
    let targets = select::select(&common, &all, job)?;
    if targets.is_empty() {
        // Only a shard may be: the others have all there is.
        return Ok(0);
    }
    if !common.quiet {
        select::warn_of_clones(&mut screen, &all, &targets);
    }
    let work = work(common, targets)?;
    match verb {
        Verb::Run(run) => rollout::run(screen, work, *run, arguments),
        Verb::Follow(job, ends) => rollout::follow(screen, work, &job, &ends),
        other => acts::act(screen, work, other),
    }
}

fn work(common: Common, targets: Vec<Target>) -> Result<Work> {
    let path = common.identity.clone().unwrap_or_else(|| common.places.identity());
    let identity = Identity::load(&path)?;
    let by = firstcontact::claim();
    let caller = Caller {
        identity,
        name: firstcontact::proposed_name(&by),
        by,
        config: common.places.config.clone(),
        transport: common.transport.clone(),
    };
    Ok(Work { caller, common, targets, stop: Stop::default(), counters: Counters::default() })
}
