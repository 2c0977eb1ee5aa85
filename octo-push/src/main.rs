//! octo-push: one verb to one or many tentacles.

mod cli;
mod fleet;
mod output;
mod records;
mod target;
mod verbs;

use crate::cli::command_line::Verb;
use crate::cli::options::Common;
use crate::output::{Screen, UploadCounters};
use crate::target::connection::client::ClientConfig;
use crate::target::retry::Context;
use crate::target::stop::Stop;
use octo_core::base::cli::Tool;
use octo_core::base::error::Result;
use octo_core::targets::{Target, Targets};
use octo_wire::Identity;
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-push", help: || cli::help::TEXT.to_string() };

fn main() -> ExitCode {
    TOOL.main(run)
}

fn run(tool: &Tool, arguments: &[String]) -> Result<u8> {
    if let Some(answered) = verbs::plumb::asked(tool, arguments) {
        return answered;
    }
    let Some((common, verb)) = cli::command_line::read(tool, arguments)? else { return Ok(0) };
    if let Verb::Journal(targets) = &verb {
        if !common.take.is_empty() || !common.leave.is_empty() || common.shard.is_some() {
            return Err(tool.misuse("journal takes names behind it: no -t, -x or --shard"));
        }
        return records::results::show(&common, targets);
    }
    let mut screen = Screen::of(tool);
    let all = Targets::load(&common.places.targets())?;
    if let Verb::Targets = verb {
        return verbs::lists::targets(&common, &all);
    }
    let job = match &verb {
        Verb::Follow(job, _) | Verb::Cancel(job) => Some(job),
        Verb::Get(get) => Some(&get.job),
        _ => None,
    };
    let targets = cli::select::select(&common, &all, job)?;
    if targets.is_empty() {
        // Only a shard may be: the others have all there is.
        return Ok(0);
    }
    if !common.quiet {
        cli::select::warn_of_clones(&mut screen, &all, &targets);
    }
    let context = context(common, targets)?;
    match verb {
        Verb::Run(run) => fleet::rollout::run(screen, context, *run, arguments),
        Verb::Follow(job, ends) => fleet::rollout::follow(screen, context, &job, &ends),
        other => verbs::acts::act(screen, context, other),
    }
}

fn context(common: Common, targets: Vec<Target>) -> Result<Context> {
    let path = common.identity.clone().unwrap_or_else(|| common.places.identity());
    let identity = Identity::load(&path)?;
    let by = target::connection::first_contact::claim();
    let client_config = ClientConfig {
        identity,
        name: target::connection::first_contact::proposed_name(&by),
        by,
        config: common.places.config.clone(),
        transport: common.transport.clone(),
    };
    Ok(Context {
        client_config,
        common,
        targets,
        stop: Stop::default(),
        counters: UploadCounters::default(),
    })
}
