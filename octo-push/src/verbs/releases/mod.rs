//! `releases`: what runs where, without a job. Every target is asked once; what they said is
//! put together, marked, and shown to people, scripts, programs and monitoring: octo-status(1)
//! and octo-health(1) are calls of it.

mod answer;
mod forms;
mod mark;
mod marking;
mod release;
mod row;
mod unverified;

use crate::cli::call::Call;
use crate::fleet::fan_out::FanOut;
use crate::fleet::main_loop::Fleet;
use crate::fleet::{conclusion, fan_out, select};
use crate::records::end_files;
use answer::Answers;
use forms::{CRITICAL, FORM, Form, TSV, UNVERIFIED, WARNING, metrics};
use octo_core::base::cli::options::{OptionGroup, Said, value};
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::package_name::{PLAIN_NAME, is_plain_name};
use octo_core::base::result_file;
use octo_core::tentacle::job::Stream;
use octo_core::tentacle::releases::Directory;
use row::TargetRow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use unverified::Unverified;

/// The options of `releases`.
pub(super) static RELEASES: OptionGroup = OptionGroup {
    title: "releases",
    rows: &[
        value("", "base", "DIR", "only what lives in DIR/APP there"),
        TSV,
        FORM,
        WARNING,
        CRITICAL,
        UNVERIFIED,
        value("", "prometheus", "FILE", "metrics into this file too"),
        value("", "timeout", "TIME", "who hasn't answered by then isn't waited for"),
    ],
};

/// What is to be shown, and how.
#[derive(Debug)]
struct Wanted {
    /// Of these applications, or of all.
    applications: Vec<String>,
    base: Option<String>,
    form: Form,
    verbose: bool,
    /// Files were compared just now, where this doesn't say otherwise.
    unverified: Option<Unverified>,
    prometheus: Option<PathBuf>,
}

pub(super) fn run(call: &Call) -> Result<u8> {
    let timeout = call.said.time("timeout")?;
    let wanted = Wanted::read(&call.said, call.common.verbose)?;
    let metrics = wanted.prometheus.iter().map(|path| ("--prometheus", path.clone()));
    end_files::check_files(&call.common, [], metrics)?;
    wanted.prometheus.as_deref().map_or(Ok(()), result_file::check)?;
    let Some((screen, context)) = select::begin(call)? else {
        let (text, code) = wanted.show(Vec::new())?;
        print(&text)?;
        return Ok(code.unwrap_or(0));
    };
    if context.common.dry_run {
        return fan_out::describe(&context, "ask");
    }
    let answers = Answers::default();
    let kept = answers.clone();
    let asking = move |context: &_, reporter: &_| kept.ask(context, reporter);
    let fan_out = FanOut { within: timeout, ..FanOut::asking(asking) };
    let mut fleet = fan_out::gather(screen, context, fan_out)?;
    let rows = wanted.rows(&fleet, &answers);
    // Half a report would be taken for the whole; where their time is over, who hasn't
    // answered is told by that.
    if fleet.is_interrupted() && !fleet.is_overdue() && wanted.form.is_report() {
        let reason = "cancelled before all had answered";
        return Err(Error::new(Exit::Cancelled, "releases", reason));
    }
    let (text, code) = wanted.show(rows)?;
    fleet.screen.print(Stream::Out, text.as_bytes());
    Ok(match code {
        None => conclusion::of_questions(&mut fleet),
        Some(code) => conclusion::of_report(&mut fleet, code),
    })
}

impl Wanted {
    fn read(said: &Said, verbose: bool) -> Result<Wanted> {
        let applications = said.arguments().to_vec();
        if let Some(name) = applications.iter().find(|name| !is_plain_name(name)) {
            let shown = printable(name.as_bytes());
            return Err(said.misuse(format!("{shown}: not {PLAIN_NAME}")));
        }
        // The spelling that targets have.
        let spelt = |path: &str| {
            let directory = Directory::parse(Path::new(path).join("x").to_str()?)?;
            Some(directory.base)
        };
        let unverified = said.one("unverified")?;
        Ok(Wanted {
            applications,
            base: said.parsed("base", "an absolute path", spelt)?,
            form: Form::read(said)?,
            verbose,
            unverified: unverified.map(|path| Unverified::read(Path::new(&path))).transpose()?,
            prometheus: said.one("prometheus")?.map(PathBuf::from),
        })
    }

    /// What there is to show, in the order of the selection.
    fn rows(&self, fleet: &Fleet, answers: &Answers) -> Vec<TargetRow> {
        let mut answers = answers.take();
        let mut rows = Vec::new();
        for (index, target) in fleet.context.targets.iter().enumerate() {
            let mut answer = answers.remove(&index);
            if let Some(answer) = &mut answer {
                answer.end(fleet.is_overdue());
                answer.keep(&self.applications, self.base.as_deref());
            }
            rows.extend(TargetRow::of_target(
                target.name.as_str(),
                answer,
                fleet.outcomes.get(&index),
            ));
        }
        marking::mark(&mut rows);
        // What was seen whenever somebody asked for it is no news for monitoring.
        match &self.unverified {
            Some(unverified) => unverified.mark(&mut rows),
            None if matches!(self.form, Form::Plugin(_)) => {
                rows.iter_mut().for_each(|row| row.marks.retain(|mark| !mark.is_of_files()));
            }
            None => {}
        }
        rows
    }

    /// The text and the exit status of a report; the metrics are written.
    fn show(&self, rows: Vec<TargetRow>) -> Result<(String, Option<u8>)> {
        if let Some(path) = &self.prometheus {
            let text =
                metrics::text(&rows, self.unverified.is_some(), jiff::Timestamp::now().as_second());
            result_file::write(path, text.as_bytes(), 0o644)?;
        }
        let missing = self.missing(&rows);
        Ok(self.form.show(rows, self.verbose, &missing))
    }

    /// The applications that were named, and that no target has; a shard may have none.
    fn missing(&self, rows: &[TargetRow]) -> Vec<&str> {
        if rows.is_empty() {
            return Vec::new();
        }
        let seen = rows.iter().filter_map(|row| row.release.as_ref()).filter(|r| r.is_seen());
        let seen: HashSet<&str> = seen.map(|release| release.application.as_str()).collect();
        let named = self.applications.iter().map(String::as_str);
        named.filter(|application| !seen.contains(application)).collect()
    }
}
