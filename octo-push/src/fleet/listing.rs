//! Lists that a target answers with.

use crate::output::tentacle;
use crate::target::attempts;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use octo_core::base::encoding::printable;
use octo_core::tentacle::job::Stream;
use octo_wire::reply::listed;
use octo_wire::{Fields, Request};

/// Asks for a list and reports its lines: objects for `--json`, else as `line` shows
/// them.
pub(crate) fn list(
    context: &Context,
    reporter: &Reporter,
    request: &Request,
    line: impl Fn(&str, &Fields) -> String,
) -> Outcome {
    let answer = attempts::ask(context, reporter, |client| {
        let reply = client.ask(request, b"")?;
        let body = client.body(&reply)?;
        // A broken list is refused whole, before any of it is shown.
        let whole = listed(request.verb, &body).try_for_each(|item| item.map(drop));
        whole.map_err(|failure| client.wrong(failure))?;
        Ok((reply, body))
    });
    let (reply, body) = match answer {
        Ok(answer) => answer,
        Err(error) => return Outcome::failed(context, error),
    };
    let name = context.name(reporter.target);
    for item in listed(request.verb, &body).flatten() {
        let line = if context.common.json {
            tentacle::object(item.message().word(), name, &item).line()
        } else {
            line(name, &item)
        };
        reporter.output(Stream::Out, line.into_bytes());
    }
    Outcome::answered(&reply)
}

/// A value as a person is shown it, or what stands for none.
pub(crate) fn shown(said: &Fields, key: &str, none: &str) -> String {
    said.get(key).map_or_else(|| none.to_string(), printable)
}
