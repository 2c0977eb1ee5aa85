//! `octo-exec list`: a line a job.

use super::approved::Approved;
use super::show::difference;
use octo_core::base::cli::options::{OptionGroup, Said, flag};
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::{JobDirectory, State};
use std::fmt::Write;
pub(super) static LIST: OptionGroup = OptionGroup {
    title: "list",
    rows: &[flag("", "held", "those that wait for approval, and what it would be for")],
};

/// `list [--held]`
pub(super) fn list(said: &Said, places: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    let held = said.flag("held");
    let approved = if held { Approved::read(places)? } else { Approved::default() };
    let mut text = String::new();
    for job in JobDirectory::all(places)? {
        match line(&job) {
            Ok((state, line)) => {
                if !held || state == State::Held {
                    let _ = writeln!(text, "{line}");
                }
                if held && state == State::Held {
                    text.push_str(&to_approve(&approved, &job)?);
                }
            }
            Err(error) => said.tool().report(&error),
        }
    }
    print(&text)?;
    Ok(0)
}

fn line(job: &JobDirectory) -> Result<(State, String)> {
    let state = job.state()?;
    let origin = job.origin()?;
    let (spec, _) = job.spec()?;
    let who = origin.pusher.map_or_else(|| "local".to_string(), |p| p.name.to_string());
    let code = match &state {
        State::Over(end) => end.kind.code().to_string(),
        _ => "-".into(),
    };
    let line = format!(
        "{} {:<9} {:>3} {} {} {} {}",
        job.id(),
        state.word(),
        code,
        origin.received,
        who,
        printable(origin.by.as_bytes()),
        spec.summary()
    );
    Ok((state, line))
}

/// What an approval of this job is about: digests, since when it waits, and how
/// its script differs from the one approved before.
fn to_approve(approved: &Approved, job: &JobDirectory) -> Result<String> {
    let mut text = String::new();
    for (key, values) in job.record("held")?.unwrap_or_default().lines() {
        let value = values.iter().map(|v| printable(v)).collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "    {key} {value}");
    }
    for line in difference(approved, job)?.lines().filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "    {line}");
    }
    Ok(text)
}
