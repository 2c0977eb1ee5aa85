//! The forms in which rows are shown: each a function from rows to text.

mod counts;
mod grid;
mod html;
mod json;
pub(super) mod metrics;
mod nagios;
mod narrow;
mod range;
mod table;
mod tsv;

use super::row::TargetRow;
use nagios::Thresholds;
use octo_core::base::cli::options::{OptionRow, Said, flag, value};
use octo_core::base::cli::terminal::Terminal;
use octo_core::base::cli::utc_now;
use octo_core::base::error::Result;
use range::Range;
use table::Columns;

/// The options that choose one.
pub(super) const TSV: OptionRow =
    flag("", "tsv", "for scripts: a line a target and application, tabs between");
pub(super) const FORM: OptionRow =
    value("", "form", "FORM", "a report: table, json, html or nagios");
pub(super) const WARNING: OptionRow =
    value("", "warning", "RANGE", "nagios: so many marked targets are no warning (0)");
pub(super) const CRITICAL: OptionRow =
    value("", "critical", "RANGE", "nagios: so many bad ones are not critical (0)");
pub(super) const UNVERIFIED: OptionRow =
    value("", "unverified", "FILE", "nagios: files were compared, but of these; why");

/// From rows to text; whether more is asked for.
type Show = fn(&[TargetRow], bool) -> String;

/// How rows are shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// The answer of a verb for scripts, in the order of the selection.
    Fields,
    /// The answer of a verb, whose exit status says whether all targets answered.
    Answer(Show),
    /// A report, which is 1 if something is marked.
    Report(Show),
    /// A report with the exit status of a plugin.
    Plugin(Thresholds),
}

/// On standard output, as it is.
fn table_of(rows: &[TargetRow], all: bool, messages: bool) -> String {
    table::text(rows, Columns { all, messages, terminal: Terminal::of_output() })
}

impl Form {
    /// What the options say.
    ///
    /// # Errors
    /// Exit 64 for another word, and for options that contradict each other.
    pub(super) fn read(said: &Said) -> Result<Form> {
        for (one, other) in [("tsv", "json"), ("tsv", "form"), ("json", "form")] {
            said.apart(one, other)?;
        }
        let range = |name| Ok(said.parsed(name, Range::FORM, Range::parse)?.unwrap_or(Range::NONE));
        let limits = Thresholds {
            warning: range("warning")?,
            critical: range("critical")?,
            is_verified: said.flag("unverified"),
        };
        let form = said.one("form")?;
        for name in ["warning", "critical", "unverified"].into_iter().filter(|name| said.flag(name))
        {
            if form.as_deref() != Some("nagios") {
                return Err(said.misuse(format!("--{name} is of --form nagios")));
            }
        }
        Ok(match form.as_deref() {
            None if said.flag("tsv") => Form::Fields,
            None if said.flag("json") => Form::Answer(|rows, _| json::lines(rows)),
            None => Form::Answer(|rows, all| table_of(rows, all, false)),
            Some("table") => Form::Report(|rows, all| table_of(rows, all, true)),
            Some("json") => Form::Report(|rows, _| json::lines(rows)),
            Some("html") => Form::Report(|rows, _| html::page(rows, &utc_now())),
            Some("nagios") => Form::Plugin(limits),
            Some(other) => {
                return Err(said.misuse(format!("--form {other}: table, json, html or nagios")));
            }
        })
    }

    /// Is it taken for the whole of what was asked for?
    pub(super) fn is_report(self) -> bool {
        matches!(self, Form::Report(_) | Form::Plugin(_))
    }

    /// The text, and the exit status of a report. All but scripts get their rows by
    /// application, then target. `missing` are applications that no target has.
    pub(super) fn show(
        self,
        mut rows: Vec<TargetRow>,
        verbose: bool,
        missing: &[&str],
    ) -> (String, Option<u8>) {
        if !matches!(self, Form::Fields) {
            rows.sort_by(TargetRow::order);
        }
        let is_marked = || rows.iter().flat_map(|row| &row.marks).any(|mark| mark.is_fault());
        match self {
            Form::Fields => (tsv::lines(&rows), None),
            Form::Answer(show) => (show(&rows, verbose), None),
            Form::Report(show) => (show(&rows, verbose), Some(u8::from(is_marked()))),
            Form::Plugin(limits) => {
                let (text, code) = nagios::verdict(&rows, &limits, verbose, missing);
                (text, Some(code))
            }
        }
    }
}
