//! `scripts`: those that the target's admin installed.

use crate::cli::call::Call;
use crate::fleet::fan_out;
use crate::fleet::listing::{list, shown};
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use octo_core::base::error::Result;
use octo_core::trust::Verb;
use octo_wire::Request;

pub(super) fn run(call: &Call) -> Result<u8> {
    fan_out::ask(call, scripts)
}

fn scripts(context: &Context, reporter: &Reporter) -> Outcome {
    list(context, reporter, &Request::new(Verb::Scripts), |name, script| {
        format!("{name}: {}\n", shown(script, "name", "-"))
    })
}
