//! `held`: what waits for approval on the tentacles, whoever asked for it.

use crate::cli::call::Call;
use crate::fleet::fan_out;
use crate::fleet::listing::{list, shown};
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use octo_core::base::error::Result;
use octo_core::trust::Verb;
use octo_wire::{Fields, Request};

/// `held`
pub(crate) fn run(call: &Call) -> Result<u8> {
    fan_out::ask(call, held)
}

fn held(context: &Context, reporter: &Reporter) -> Outcome {
    list(context, reporter, &Request::new(Verb::Held), line)
}

fn line(name: &str, job: &Fields) -> String {
    let text = |key| shown(job, key, "-");
    let is_given = |key: &&str| job.get::<&[u8]>(key).is_some();
    let what = ["script", "named", "command"].into_iter().find(is_given).unwrap_or("command");
    let mut line = format!("{name}: {} of {} since {}: ", text("job"), text("name"), text("since"));
    line.push_str(&text(what));
    for (key, before) in [("arguments", " "), ("package", ", package ")] {
        if is_given(&key) {
            line.push_str(&format!("{before}{}", text(key)));
        }
    }
    if let Some(needs) = job.get::<u64>("needs").filter(|needs| *needs > 1) {
        let by = job.get::<&str>("approved").filter(|by| !by.is_empty());
        let count = by.map_or(0, |by| by.split(',').count());
        line.push_str(&format!(", {count} of {needs} approved"));
        if by.is_some() {
            line.push_str(&format!(" by {}", text("approved").replace(',', ", ")));
        }
    }
    line.push('\n');
    line
}
