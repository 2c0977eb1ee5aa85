//! `status`: version, free space, load, running jobs, and whether the clocks agree.

use crate::cli::call::Call;
use crate::fleet::fan_out;
use crate::fleet::listing::shown;
use crate::output::tentacle;
use crate::target::attempts;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use octo_core::base::error::Result;
use octo_core::base::units::human_size;
use octo_core::tentacle::job::Stream;
use octo_core::trust::Verb;
use octo_wire::{Fields, Request};

/// Clocks that differ by more make windows and expiry dates surprising.
const CLOCKS_AGREE: i64 = 60;

pub(super) fn run(call: &Call) -> Result<u8> {
    fan_out::ask(call, status)
}

fn status(context: &Context, reporter: &Reporter) -> Outcome {
    let request = Request::new(Verb::Status);
    let reply = match attempts::ask(context, reporter, |client| client.ask(&request, b"")) {
        Ok(reply) => reply,
        Err(error) => return Outcome::failed(context, error),
    };
    let name = context.name(reporter.target);
    let line = if context.common.json {
        tentacle::object("status", name, &reply).line()
    } else {
        line(name, &reply)
    };
    reporter.output(Stream::Out, line.into_bytes());
    Outcome::answered(&reply)
}

fn line(name: &str, reply: &Fields) -> String {
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
