//! `releases`: what is current on each target, without a job.

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
    fan_out::ask(call, releases)
}

fn releases(context: &Context, reporter: &Reporter) -> Outcome {
    list(context, reporter, &Request::new(Verb::Releases), |name, item| {
        let said = |key| shown(item, key, "-");
        format!("{name}: {} {} {}\n", said("application"), said("version"), said("result"))
    })
}
