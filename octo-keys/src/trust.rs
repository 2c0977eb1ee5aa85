//! octo-keys trust and distrust: who is let in.

use crate::call::Call;
use octo_core::base::cli::Tool;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::PusherName;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::trust::edit::{Whose, add_line, remove_lines};
use octo_core::trust::{StartedBy, Trust};
use std::io::IsTerminal;

pub(crate) fn trust(call: &Call) -> Result<u8> {
    let arguments = call.said.counted(2..=2)?;
    let thumbprint = thumbprint(call.tool, &arguments[0])?;
    let name = PusherName::parse(&arguments[1]).ok_or_else(|| {
        let wrong = &arguments[1];
        call.tool.misuse(format!("{wrong}: a pusher's name is {}", PusherName::FORM))
    })?;
    let options = call.said.many("options").join(" ");
    let path = call.places.trusted();
    let added = add_line(&path, thumbprint, &name, &options)?;
    if std::io::stderr().is_terminal() {
        call.tool.say(format!("{}:{}: {}", path.display(), added.number, added.text));
    }
    if let [first, ..] = added.older[..] {
        call.tool.say(format!("line {first} of this thumbprint decides while its conditions hold"));
    }
    // The new line alone: what is odd with others is for check to say.
    let trust = Trust::load(&path)?;
    let now = jiff::Zoned::now();
    for warning in trust.warnings(&started_by(call), &now).iter().filter(|w| w.line == added.number)
    {
        call.tool.say(format!("warning: {}", warning.reason));
    }
    Ok(0)
}

pub(crate) fn distrust(call: &Call) -> Result<u8> {
    let arguments = call.said.counted(1..=1)?;
    let whose = match (Thumbprint::parse(&arguments[0]), PusherName::parse(&arguments[0])) {
        (Ok(thumbprint), _) => Whose::Thumbprint(thumbprint),
        (_, Some(name)) => Whose::Name(name),
        (Err(reason), None) => {
            return Err(call.tool.misuse(format!("{}: {reason}", arguments[0])));
        }
    };
    let path = call.places.trusted();
    let removed = remove_lines(&path, &whose)?;
    if std::io::stderr().is_terminal() {
        for (number, text) in &removed.lines {
            call.tool.say(format!("{}:{number}: removed: {text}", path.display()));
        }
    }
    if removed.problems.is_empty() {
        return Ok(0);
    }
    for problem in &removed.problems {
        call.tool.say(problem.heading());
        call.tool.say(format!("  {}", problem.text));
    }
    let reason = "the lines are removed, but nobody is let in while others are wrong";
    Err(Error::new(Exit::Configuration, path.display(), reason))
}

/// A thumbprint from the command line.
pub(crate) fn thumbprint(tool: &Tool, text: &str) -> Result<Thumbprint> {
    Thumbprint::parse(text).map_err(|reason| tool.misuse(format!("{text}: {reason}")))
}

/// Who starts jobs on this machine, as far as it can be told from here.
pub(crate) fn started_by(call: &Call) -> StartedBy {
    if call.places.start().exists() { StartedBy::Elsewhere } else { StartedBy::this_process() }
}
