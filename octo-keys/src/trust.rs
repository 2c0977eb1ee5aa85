//! octo-keys trust and distrust: who is let in.

use crate::call::Call;
use octo_core::base::cli::Tool;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::PusherName;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::trust::edit::{Added, Whose, add_like, add_line, remove_lines, remove_replaced};
use octo_core::trust::{StartedBy, Trust};
use std::io::IsTerminal;

pub(crate) fn trust(call: &Call) -> Result<u8> {
    call.said.apart("like", "options")?;
    let path = call.places.trusted();
    let like = call.said.one("like")?;
    let arguments = call.said.counted(if like.is_some() { 1..=1 } else { 2..=2 })?;
    let pusher = thumbprint(call.tool, &arguments[0])?;
    let added = match like {
        Some(old) => add_like(&path, thumbprint(call.tool, &old)?, pusher)?,
        None => {
            let name = name(call.tool, &arguments[1])?;
            let options = call.said.many("options").join(" ");
            vec![add_line(&path, pusher, &name, &options)?]
        }
    };
    say_added(call, pusher, &added)?;
    Ok(0)
}

/// The new lines alone: what is odd with others is for check to say.
fn say_added(call: &Call, pusher: Thumbprint, added: &[Added]) -> Result<()> {
    let path = call.places.trusted();
    let is_watched = std::io::stderr().is_terminal();
    let [first, ..] = added else {
        if is_watched {
            call.tool.say("nothing to add: a line of the thumbprint holds whenever the others do");
        }
        return Ok(());
    };
    if is_watched {
        for line in added {
            call.tool.say(format!("{}:{}: {}", path.display(), line.number, line.text));
        }
    }
    let trust = Trust::load(&path)?;
    let older = trust.of(pusher).map(|line| line.number).find(|number| *number < first.number);
    if let Some(older) = older {
        call.tool.say(format!("line {older} of this thumbprint decides while its conditions hold"));
    }
    let new = first.number..first.number + added.len();
    let warnings = trust.warnings(&started_by(call), &jiff::Zoned::now());
    for warning in warnings.iter().filter(|warning| new.contains(&warning.line)) {
        call.tool.say(format!("warning: {}", warning.reason));
    }
    Ok(())
}

pub(crate) fn distrust(call: &Call) -> Result<u8> {
    let arguments = call.said.counted(1..=1)?;
    let path = call.places.trusted();
    let removed = match call.said.one("replaced-by")? {
        Some(new) => {
            let old = thumbprint(call.tool, &arguments[0])?;
            remove_replaced(&path, old, thumbprint(call.tool, &new)?)?
        }
        None => remove_lines(&path, &whose(call.tool, &arguments[0])?)?,
    };
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

fn whose(tool: &Tool, text: &str) -> Result<Whose> {
    match (Thumbprint::parse(text), PusherName::parse(text)) {
        (Ok(thumbprint), _) => Ok(Whose::Thumbprint(thumbprint)),
        (_, Some(name)) => Ok(Whose::Name(name)),
        (Err(reason), None) => Err(tool.misuse(format!("{text}: {reason}"))),
    }
}

fn name(tool: &Tool, text: &str) -> Result<PusherName> {
    PusherName::parse(text)
        .ok_or_else(|| tool.misuse(format!("{text}: a pusher's name is {}", PusherName::FORM)))
}

/// A thumbprint from the command line.
pub(crate) fn thumbprint(tool: &Tool, text: &str) -> Result<Thumbprint> {
    Thumbprint::parse(text).map_err(|reason| tool.misuse(format!("{text}: {reason}")))
}

/// Who starts jobs on this machine, as far as it can be told from here.
pub(crate) fn started_by(call: &Call) -> StartedBy {
    if call.places.start().exists() { StartedBy::Elsewhere } else { StartedBy::this_process() }
}
