//! The verbs that ask and print lines: targets, status, jobs, scripts.

use crate::cli::options::Common;
use crate::output::json::JsonObject;
use crate::output::tentacle;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use crate::target::retry;
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::units::human_size;
use octo_core::targets::Targets;
use octo_core::tentacle::job::Stream;
use octo_core::trust::Verb;
use octo_wire::reply::listed;
use octo_wire::{Fields, Request};

/// Clocks that differ by more make windows and expiry dates surprising.
const CLOCKS_AGREE: i64 = 60;

/// `targets`: the file as it is understood; all of it, unless some are selected.
///
/// # Errors
/// As the selection's.
pub(crate) fn targets(common: &Common, all: &Targets) -> Result<u8> {
    let narrowed = !common.take.is_empty() || !common.leave.is_empty() || common.shard.is_some();
    let shown = if narrowed {
        let whole = Common { all: common.take.is_empty(), ..common.clone() };
        crate::fleet::select::select(&whole, all, None)?
    } else {
        all.all.clone()
    };
    let mut text = String::new();
    for target in shown {
        if common.json {
            let object = JsonObject::of("target")
                .text("target", target.name.as_str())
                .text("address", &target.address.to_string())
                .text("trust", &target.trust.to_string())
                .list("tags", target.tags.iter().map(|t| t.as_str()));
            text.push_str(&object.line());
            continue;
        }
        text.push_str(&format!("{} {} {}", target.name, target.address, target.trust));
        for tag in &target.tags {
            text.push_str(&format!(" {tag}"));
        }
        text.push('\n');
    }
    print(&text)?;
    Ok(0)
}

/// `status`
pub(crate) fn status(context: &Context, reporter: &Reporter) -> Outcome {
    let request = Request::new(Verb::Status);
    let reply = match retry::ask(context, reporter, |client| client.ask(&request, b"")) {
        Ok(reply) => reply,
        Err(error) => return Outcome::failed(context, error),
    };
    let name = context.name(reporter.target);
    let line = if context.common.json {
        tentacle::object("status", name, &reply).line()
    } else {
        status_line(name, &reply)
    };
    reporter.output(Stream::Out, line.as_bytes());
    Outcome::answered(&reply)
}

fn status_line(name: &str, reply: &Fields) -> String {
    let free = reply.get("free").map_or_else(|| "?".into(), human_size);
    let mut line = format!(
        "{name}: version {}, {free} free, load {}, {} running",
        shown(reply, "version", "?"),
        shown(reply, "load", "?"),
        shown(reply, "running", "?")
    );
    if let Some(ahead) = clock(reply).filter(|ahead| ahead.abs() > CLOCKS_AGREE) {
        let way = if ahead > 0 { "ahead" } else { "behind" };
        line.push_str(&format!(", its clock is {} s {way}", ahead.abs()));
    }
    line.push('\n');
    line
}

/// Seconds that the tentacle's clock is ahead of ours.
fn clock(reply: &Fields) -> Option<i64> {
    let theirs: jiff::Timestamp = reply.get::<&str>("time")?.parse().ok()?;
    Some(theirs.as_second() - jiff::Timestamp::now().as_second())
}

/// `jobs`
pub(crate) fn jobs(context: &Context, reporter: &Reporter) -> Outcome {
    list(context, reporter, &Request::new(Verb::Jobs), |name, job| {
        let text = |key| shown(job, key, "-");
        let code = job.get::<u64>("code").map_or_else(String::new, |code| format!(" {code}"));
        let what = ["script", "named", "command"].into_iter().find(|key| is_given(job, key));
        format!(
            "{name}: {} {}{code} {} {} {}\n",
            text("job"),
            text("state"),
            text("received"),
            text("name"),
            text(what.unwrap_or("command"))
        )
    })
}

/// `scripts`
pub(crate) fn scripts(context: &Context, reporter: &Reporter) -> Outcome {
    list(context, reporter, &Request::new(Verb::Scripts), |name, script| {
        format!("{name}: {}\n", shown(script, "name", "-"))
    })
}

/// Asks for a list and reports its lines: objects for `--json`, else as `line` shows
/// them.
pub(crate) fn list(
    context: &Context,
    reporter: &Reporter,
    request: &Request,
    line: impl Fn(&str, &Fields) -> String,
) -> Outcome {
    let answer = retry::ask(context, reporter, |client| {
        let reply = client.ask(request, b"")?;
        let body = client.body(&reply)?;
        let items = listed(request.verb, &body).map_err(|failure| client.wrong(failure))?;
        Ok((reply, items))
    });
    let (reply, items) = match answer {
        Ok(answer) => answer,
        Err(error) => return Outcome::failed(context, error),
    };
    let name = context.name(reporter.target);
    for item in &items {
        let line = if context.common.json {
            tentacle::object(item.message().word(), name, item).line()
        } else {
            line(name, item)
        };
        reporter.output(Stream::Out, line.as_bytes());
    }
    Outcome::answered(&reply)
}

/// A value as a person is shown it, or what stands for none.
pub(crate) fn shown(said: &Fields, key: &str, none: &str) -> String {
    said.get(key).map_or_else(|| none.to_string(), printable)
}

fn is_given(said: &Fields, key: &str) -> bool {
    said.get::<&[u8]>(key).is_some()
}
