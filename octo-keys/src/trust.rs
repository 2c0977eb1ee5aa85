//! octo-keys trust and distrust: who is let in.

use crate::listener;
use octo_core::base::cli::Tool;
use octo_core::base::cli::options::Said;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::PusherName;
use octo_core::base::paths::Places;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::trust::edit::{Added, Whose, add_like, add_line, remove_lines, remove_replaced};
use octo_core::trust::{StartedBy, Trust};
use std::io::IsTerminal;

pub(crate) fn trust(said: &Said, places: &Places) -> Result<u8> {
    said.apart("like", "options")?;
    let path = places.trusted();
    let like = said.one("like")?;
    let arguments = said.counted(if like.is_some() { 1..=1 } else { 2..=2 })?;
    let pusher = thumbprint(said.tool(), &arguments[0])?;
    let added = match like {
        Some(old) => add_like(&path, thumbprint(said.tool(), &old)?, pusher)?,
        None => {
            let name = name(said.tool(), &arguments[1])?;
            let options = said.many("options").join(" ");
            vec![add_line(&path, pusher, &name, &options)?]
        }
    };
    say_added(said, places, pusher, &added)?;
    Ok(0)
}

/// The new lines alone: what is odd with others is for check to say.
fn say_added(said: &Said, places: &Places, pusher: Thumbprint, added: &[Added]) -> Result<()> {
    let path = places.trusted();
    let is_watched = std::io::stderr().is_terminal();
    let [first, ..] = added else {
        if is_watched {
            said.tool()
                .say("nothing to add: a line of the thumbprint holds whenever the others do");
        }
        return Ok(());
    };
    if is_watched {
        for line in added {
            said.tool().say(format!("{}:{}: {}", path.display(), line.number, line.text));
        }
    }
    let trust = Trust::load(&path)?;
    let older = trust.of(pusher).map(|line| line.number).find(|number| *number < first.number);
    if let Some(older) = older {
        said.tool()
            .say(format!("line {older} of this thumbprint decides while its conditions hold"));
    }
    let new = first.number..first.number + added.len();
    let mut warnings = trust.warnings(&started_by(places), &jiff::Zoned::now());
    warnings.retain(|warning| new.contains(&warning.line));
    warnings.extend(trust.unknown_users(new));
    for warning in warnings {
        said.tool().say(format!("warning: {}", warning.reason));
    }
    if listener::other_user(places).is_some() {
        for problem in trust.addresses_decide(&jiff::Zoned::now()) {
            said.tool().problem("warning: runs are refused: ", &problem);
        }
    }
    Ok(())
}

pub(crate) fn distrust(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(1..=1)?;
    let path = places.trusted();
    let removed = match said.one("replaced-by")? {
        Some(new) => {
            let old = thumbprint(said.tool(), &arguments[0])?;
            remove_replaced(&path, old, thumbprint(said.tool(), &new)?)?
        }
        None => remove_lines(&path, &whose(said.tool(), &arguments[0])?)?,
    };
    if std::io::stderr().is_terminal() {
        for (number, text) in &removed.lines {
            said.tool().say(format!("{}:{number}: removed: {text}", path.display()));
        }
    }
    if removed.problems.is_empty() {
        return Ok(0);
    }
    for problem in &removed.problems {
        said.tool().problem("", problem);
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
pub(crate) fn started_by(places: &Places) -> StartedBy {
    StartedBy::at(places)
}
