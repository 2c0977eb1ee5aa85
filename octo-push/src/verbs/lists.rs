//! The verbs that ask and print lines: targets, status, jobs, scripts.

use crate::cli::options::Common;
use crate::output::Stream;
use crate::output::json::JsonObject;
use crate::target::outcome::Outcome;
use crate::target::retry::{self, Context, Reporter, failed};
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::units::{human_size, whole};
use octo_core::targets::Targets;
use octo_wire::{Failure, Message};

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
        crate::cli::select::select(&whole, all, None)?
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
    let request = Message::new("status");
    let reply = match retry::ask(context, reporter, |client| client.ask(&request, b"")) {
        Ok(reply) => reply,
        Err(error) => return failed(context, error),
    };
    let name = context.targets[reporter.target].name.as_str();
    if context.common.json {
        tell_object(context, reporter, "status", &reply);
    } else {
        let text = |key: &str| printable(reply.value(key).unwrap_or(b"?"));
        let free = reply.text("free").and_then(whole).map_or_else(|| "?".into(), human_size);
        let mut line = format!(
            "{name}: version {}, {free} free, load {}, {} running",
            text("version"),
            text("load"),
            text("running")
        );
        if let Some(ahead) = clock(&reply).filter(|ahead| ahead.abs() > CLOCKS_AGREE) {
            let way = if ahead > 0 { "ahead" } else { "behind" };
            line.push_str(&format!(", its clock is {} s {way}", ahead.abs()));
        }
        line.push('\n');
        reporter.output(Stream::Out, line.as_bytes());
    }
    with_audit(&reply)
}

/// Seconds that the tentacle's clock is ahead of ours.
fn clock(reply: &Message) -> Option<i64> {
    let theirs: jiff::Timestamp = reply.text("time")?.parse().ok()?;
    Some(theirs.as_second() - jiff::Timestamp::now().as_second())
}

/// `jobs`
pub(crate) fn jobs(context: &Context, reporter: &Reporter) -> Outcome {
    listed(context, reporter, &Message::new("jobs"), "job", |name, line| {
        let text = |key: &str| printable(line.value(key).unwrap_or(b"-"));
        let code = line.text("code").map(|code| format!(" {}", printable(code.as_bytes())));
        let what = ["script", "named", "command"].iter().find_map(|key| line.value(key));
        format!(
            "{name}: {} {}{} {} {} {}\n",
            text("job"),
            text("state"),
            code.unwrap_or_default(),
            text("received"),
            text("name"),
            printable(what.unwrap_or(b"-"))
        )
    })
}

/// `scripts`
pub(crate) fn scripts(context: &Context, reporter: &Reporter) -> Outcome {
    listed(context, reporter, &Message::new("scripts"), "script", |name, line| {
        format!("{name}: {}\n", printable(line.value("name").unwrap_or(b"-")))
    })
}

/// Asks for a list and tells its lines, each by `show`.
pub(crate) fn listed(
    context: &Context,
    reporter: &Reporter,
    request: &Message,
    kind: &str,
    show: impl Fn(&str, &Message) -> String,
) -> Outcome {
    let answer = retry::ask(context, reporter, |client| {
        let reply = client.ask(request, b"")?;
        let body = client.body(&reply)?;
        let lines = parse(&body).map_err(|failure| client.wrong(failure))?;
        Ok((reply, lines))
    });
    let (reply, lines) = match answer {
        Ok(answer) => answer,
        Err(error) => return failed(context, error),
    };
    let name = context.targets[reporter.target].name.as_str();
    for line in &lines {
        if context.common.json {
            tell_object(context, reporter, kind, line);
        } else {
            reporter.output(Stream::Out, show(name, line).as_bytes());
        }
    }
    with_audit(&reply)
}

fn parse(body: &[u8]) -> std::result::Result<Vec<Message>, Failure> {
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    if body.is_empty() {
        return Ok(Vec::new());
    }
    body.split(|b| *b == b'\n').map(Message::parse).collect()
}

fn tell_object(context: &Context, reporter: &Reporter, kind: &str, message: &Message) {
    let name = context.targets[reporter.target].name.as_str();
    let mut object = JsonObject::of(kind).text("target", name);
    for key in message.keys().filter(|key| *key != "body") {
        object = object.bytes(key, message.value(key).unwrap_or(b""));
    }
    reporter.output(Stream::Out, object.line().as_bytes());
}

/// Done, with the audit head that the reply carries.
pub(crate) fn with_audit(reply: &Message) -> Outcome {
    Outcome { audit: reply.text("audit").map(str::to_string), ..Outcome::done() }
}
