//! `freeze` and `thaw`: an application is not to be deployed for a while, or may be again. A
//! job of each target, in which octo-exec does that itself.

use crate::cli::call::Call;
use crate::cli::continuation::Words;
use crate::cli::run::{Ends, Run};
use crate::fleet::{jobs, select};
use crate::records::end_files;
use crate::records::journal::labels::Labels;
use jiff::{SignedDuration, Timestamp, Zoned};
use octo_core::base::cli::options::{OptionGroup, Said, value};
use octo_core::base::cli::utc;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::moment;
use octo_core::tentacle::releases::is_name;
use octo_core::tentacle::spec::options::{JobOptions, What};
use octo_core::tentacle::spec::order::{LONGEST_FREEZE, check_reason};
use octo_core::tentacle::spec::{Freezing, Order};

pub(super) static FREEZE: OptionGroup = OptionGroup {
    title: "freeze",
    rows: &[value("", "until", "WHEN", "until then, as in 2h, 3d, 2026-12-01, '2026-12-01 06:00'")],
};

/// `freeze APP --until WHEN REASON…`
pub(super) fn freeze(call: &Call) -> Result<u8> {
    let said = &call.said;
    let words = said.counted(2..=usize::MAX)?;
    let now = Zoned::now();
    let until = said.parsed("until", moment::FORM, |text| moment::coming(text, &now))?;
    let Some(until) = until else {
        return Err(said.misuse("needs --until WHEN: no freeze is for ever"));
    };
    check_until(said, until, now.timestamp())?;
    let (application, reason) = (application(said, &words[0])?, words[1..].join(" "));
    check_reason(&reason).map_err(|why| said.misuse(why))?;
    give(call, Freezing::Freeze { application, until, reason })
}

/// `thaw APP`
pub(super) fn thaw(call: &Call) -> Result<u8> {
    let application = application(&call.said, &call.said.counted(1..=1)?[0])?;
    give(call, Freezing::Thaw { application })
}

fn application(said: &Said, text: &str) -> Result<String> {
    let wrong =
        || said.misuse(format!("'{}': not the name of an application", printable(text.as_bytes())));
    Some(text).filter(|text| is_name(text)).map(str::to_string).ok_or_else(wrong)
}

fn check_until(said: &Said, until: Timestamp, now: Timestamp) -> Result<()> {
    let shown = utc(until);
    if until <= now {
        return Err(said.misuse(format!("--until: {shown} is past")));
    }
    match until.duration_since(now) > SignedDuration::from_hours(LONGEST_FREEZE) {
        true => Err(said.misuse(format!("--until: {shown} is more than a year away"))),
        false => Ok(()),
    }
}

fn give(call: &Call, order: Freezing) -> Result<u8> {
    if call.said.flag("outputs") {
        return Err(call.said.misuse("--outputs: nothing runs that could hand something back"));
    }
    let ends = Ends { end: call.said.one("end")?, outputs: None, output: None };
    let Some((screen, context)) = select::begin(call)? else {
        return end_files::of_nobody(&call.common, &ends).map(|()| 0);
    };
    let words = Words { words: call.words, verb: call.verb, own: 0, named: false };
    let run = Run {
        options: JobOptions::of(What::Order(Order::Freezing(order))),
        ends,
        ask: false,
        prepare: false,
        signature: None,
        labels: Labels::default(),
    };
    jobs::run(screen, context, run, words)
}
