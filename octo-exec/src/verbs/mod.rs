//! One file a verb, or a few that belong together.

mod add;
mod approve;
mod approved;
mod end;
mod following;
mod forward;
mod jobs;
mod list;
mod named;
mod prune;
mod run;
mod show;

use octo_core::base::cli::{Tool, places_of};
use octo_core::base::error::Result;

/// Parses what stands before the verb, and calls the verb.
pub(crate) fn run(tool: &Tool, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    let Some((verb, rest)) = matches.free.split_first() else {
        return Err(tool.misuse("no verb is given"));
    };
    let places = places_of(&matches)?;
    match verb.as_str() {
        "run" => run::run(tool, &places, rest),
        "job" => forward::job(tool, &places, rest),
        "start" => jobs::start(tool, &places, rest),
        "cancel" => jobs::cancel(tool, &places, rest),
        "list" => list::list(tool, &places, rest),
        "add" => add::add(tool, &places, rest),
        "end" => end::end(tool, rest),
        "show" => show::show(tool, &places, rest),
        "approve" => approve::approve(tool, &places, rest),
        "deny" => approve::deny(tool, &places, rest),
        "prune" => prune::prune(tool, &places, rest),
        _ => Err(tool.misuse(format!("unknown verb {verb}"))),
    }
}
