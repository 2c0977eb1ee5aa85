//! `audit`: do each tentacle's logs still hold what it once told?
//!
//! Every reply carries the heads of both chains, the listener's and octo-exec's, and
//! STATE/heads keeps them. A chain that was rewritten since can't hold the head that
//! we have.

mod fetch;
mod heads;
mod prove;

use crate::cli::call::Call;
use crate::fleet::fan_out::{self, FanOut};
use crate::fleet::select;
use octo_core::base::cli::options::{OptionGroup, flag, value};
use octo_core::base::error::Result;
use octo_core::base::units;
use octo_core::trust::Verb;
use prove::Given;

/// What is asked of the logs.
pub(super) static AUDIT: OptionGroup = OptionGroup {
    title: "audit",
    rows: &[
        flag("", "heads", "print the heads that are known, ask nobody"),
        value("", "check", "FILE", "ask for the heads of this file, of --heads elsewhere"),
        flag("", "fetch", "copy the logs' lines, and check that they follow"),
        value("", "max", "SIZE", "with --fetch: so much of a log in one call (1G)"),
    ],
};

pub(super) fn run(call: &Call) -> Result<u8> {
    call.said.counted(0..=0)?;
    for (one, other) in [("heads", "check"), ("heads", "fetch"), ("check", "fetch")] {
        call.said.apart(one, other)?;
    }
    let most = call.said.parsed("max", "a size such as 100M", units::size)?;
    if most.is_some() && !call.said.flag("fetch") {
        return Err(call.said.misuse("--max: needs --fetch"));
    }
    if call.said.flag("heads") {
        return heads::print_known(call);
    }
    let given = match call.said.one("check")? {
        Some(file) => Given::Of(heads::read(&file)?, file),
        None => Given::Known,
    };
    let Some((screen, context)) = select::begin(call)? else { return Ok(0) };
    if call.said.flag("fetch") {
        let most = most.unwrap_or(fetch::USUAL_MOST);
        let task = FanOut::asking(move |context, reporter| fetch::fetch(context, reporter, most));
        let what = "fetch its audit logs".into();
        return fan_out::run(screen, context, FanOut { what, journal: Some(Verb::Fetch), ..task });
    }
    let task = FanOut::asking(move |context, reporter| prove::prove(context, reporter, &given));
    fan_out::run(screen, context, FanOut { journal: Some(Verb::Audit), ..task })
}
