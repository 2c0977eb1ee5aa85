//! `releases`: what runs where, without a job. Every target is asked once; what they said is
//! put together, marked, and shown to people, scripts, programs and monitoring.

mod answer;
mod json;
mod marks;
mod release;
mod row;
mod table;
mod tsv;

use crate::cli::call::Call;
use crate::fleet::fan_out::FanOut;
use crate::fleet::main_loop::Fleet;
use crate::fleet::{conclusion, fan_out, select};
use crate::verbs::plumb::package::{PLAIN_NAME, is_plain_name};
use answer::Answers;
use octo_core::base::cli::options::{OptionGroup, flag};
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::tentacle::job::Stream;
use row::TargetRow;
use table::Columns;

/// The options of `releases`.
pub(super) static RELEASES: OptionGroup = OptionGroup {
    title: "releases",
    rows: &[flag("", "tsv", "for scripts: a line a target and application, tabs between")],
};

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    Json,
    Tsv,
}

pub(super) fn run(call: &Call) -> Result<u8> {
    call.said.apart("tsv", "json")?;
    if let Some(name) = call.said.arguments().iter().find(|name| !is_plain_name(name)) {
        let shown = printable(name.as_bytes());
        return Err(call.said.misuse(format!("{shown}: not {PLAIN_NAME}")));
    }
    let form = match (call.said.flag("tsv"), call.common.json) {
        (true, _) => Form::Tsv,
        (_, true) => Form::Json,
        _ => Form::Table,
    };
    let Some((screen, context)) = select::begin(call)? else { return Ok(0) };
    if context.common.dry_run {
        return fan_out::describe(&context, "ask");
    }
    let answers = Answers::default();
    let kept = answers.clone();
    let asking = move |context: &_, reporter: &_| kept.ask(context, reporter);
    let mut fleet = fan_out::gather(screen, context, FanOut::asking(asking))?;
    let shown = show(form, rows(&fleet, &answers, call.said.arguments()), call.common.verbose);
    fleet.screen.print(Stream::Out, shown.as_bytes());
    Ok(conclusion::of_questions(&mut fleet))
}

/// What there is to show, in the order of the selection.
fn rows(fleet: &Fleet, answers: &Answers, applications: &[String]) -> Vec<TargetRow> {
    let mut answers = answers.take();
    let mut rows = Vec::new();
    for (index, target) in fleet.context.targets.iter().enumerate() {
        let (answer, outcome) = (answers.remove(&index), fleet.outcomes.get(&index));
        rows.extend(TargetRow::of_target(target.name.as_str(), answer, outcome, applications));
    }
    marks::mark(&mut rows);
    rows
}

fn show(form: Form, mut rows: Vec<TargetRow>, verbose: bool) -> String {
    if form != Form::Tsv {
        rows.sort_by(TargetRow::order);
    }
    match form {
        Form::Table => table::text(&rows, Columns { all: verbose, messages: false }),
        Form::Json => json::lines(&rows),
        Form::Tsv => tsv::lines(&rows),
    }
}
