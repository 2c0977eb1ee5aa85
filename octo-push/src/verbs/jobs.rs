//! `jobs`: the jobs of this pusher.

use crate::cli::call::Call;
use crate::fleet::fan_out;
use crate::fleet::listing::{list, shown};
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use octo_core::base::error::Result;
use octo_core::tentacle::spec::Order;
use octo_core::trust::Verb;
use octo_wire::{Fields, Request};

pub(super) fn run(call: &Call) -> Result<u8> {
    fan_out::ask(call, jobs)
}

fn jobs(context: &Context, reporter: &Reporter) -> Outcome {
    list(context, reporter, &Request::new(Verb::Jobs), line)
}

fn line(name: &str, job: &Fields) -> String {
    let text = |key| shown(job, key, "-");
    let code = job.get::<u64>("code").map_or_else(String::new, |code| format!(" {code}"));
    let is_given = |key: &&str| job.get::<&[u8]>(key).is_some();
    let orders = Order::WORDS;
    let what = ["script", "named", "command"].into_iter().chain(orders).find(is_given);
    // Of these alone it doesn't say what they are.
    let order = what.filter(|word| orders.contains(word));
    format!(
        "{name}: {} {}{code} {} {} {}{}\n",
        text("job"),
        text("state"),
        text("received"),
        text("name"),
        order.map(|word| format!("{word} ")).unwrap_or_default(),
        text(what.unwrap_or("command"))
    )
}
