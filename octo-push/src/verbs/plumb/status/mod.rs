//! What runs where, from what `octo-release status` said on each target: marked,
//! and shown to people, programs and monitoring. octo-status(1), octo-health(1).
//!
//! A tentacle is believed nothing but values of the right form: what it says
//! becomes labels, cells and members of ours.

mod html;
mod json;
mod marks;
mod metrics;
mod nagios;
mod release;
mod table;

use marks::{Mark, TargetRow};
use octo_core::base::cli::options::{OptionGroup, Said, value};
use octo_core::base::cli::{print, utc_now};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::PusherName;
use octo_core::base::paths::{Places, if_there, read_bounded};
use octo_core::base::result_file;
use release::TargetState;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The options of `status`.
pub(super) static OPTIONS: OptionGroup = OptionGroup {
    title: "status",
    rows: &[
        value("", "outputs", "DIR", "what octo-release status said, in DIR/TARGET"),
        value("", "form", "FORM", "table, json, html or nagios"),
        value("", "prometheus", "FILE", "metrics into this file too"),
        value("", "warning", "N", "so many marked targets are a warning"),
        value("", "critical", "N", "so many that failed or don't answer are critical"),
    ],
};

/// More than this no target has to say; 10,000 applications are 2 MB.
const LARGEST: u64 = 16 << 20;

/// `status`: a line of `octo-exec end` for each target is on standard input. With
/// `--prometheus` and without `--outputs` it only looks whether FILE could be written.
pub(super) fn status(said: &Said, _: &Places) -> Result<u8> {
    let tool = said.tool();
    let prometheus = said.one("prometheus")?.map(PathBuf::from);
    if let Some(path) = &prometheus {
        result_file::check(path)?;
    }
    let Some(outputs) = said.one("outputs")? else {
        if prometheus.is_some() && said.arguments().is_empty() {
            return Ok(0);
        }
        return Err(tool.misuse("status needs --outputs DIR"));
    };
    let limit = |name| Ok(said.number(name, 0..=u64::MAX)?.unwrap_or(1));
    let limits = nagios::Thresholds { warning: limit("warning")?, critical: limit("critical")? };
    let form = said.one("form")?.unwrap_or_else(|| "table".into());
    let show: fn(&[TargetRow]) -> String = match form.as_str() {
        "table" => table::text,
        "json" => json::lines,
        "html" => |rows| html::page(rows, &utc_now()),
        "nagios" => |_| String::new(),
        _ => return Err(tool.misuse(format!("--form {form}: table, json, html or nagios"))),
    };
    if let Some(bad) = said.arguments().iter().find(|name| PusherName::parse(name).is_none()) {
        return Err(tool.misuse(format!("{}: not a target's name", printable(bad.as_bytes()))));
    }
    if !said.arguments().is_empty() && !Path::new(&outputs).is_dir() {
        return Err(Error::new(Exit::Data, &outputs, "not a directory"));
    }
    let ends = read_bounded(&mut io::stdin().lock(), Path::new("standard input"), LARGEST * 16)?;
    let rows = marks::marked(read(Path::new(&outputs), said.arguments(), &ends)?);
    if let Some(path) = &prometheus {
        let text = metrics::text(&rows, jiff::Timestamp::now().as_second());
        result_file::write(path, text.as_bytes(), 0o644)?;
    }
    if form == "nagios" {
        let (text, code) = nagios::verdict(&rows, &limits);
        print(&text)?;
        return Ok(code);
    }
    print(&show(&rows))?;
    Ok(u8::from(rows.iter().any(|row| row.mark.is_some())))
}

/// The states of these targets, in the order of their applications.
fn read(outputs: &Path, targets: &[String], ends: &[u8]) -> Result<Vec<(String, TargetState)>> {
    let ends = String::from_utf8_lossy(ends);
    let ends: Vec<&str> = ends.lines().collect();
    if ends.len() != targets.len() {
        let reason = format!("{} ends of {} targets", ends.len(), targets.len());
        return Err(Error::new(Exit::Data, "standard input", reason));
    }
    let mut states = Vec::new();
    for (name, end) in targets.iter().zip(ends) {
        for state in states_of(&outputs.join(name), end)? {
            states.push((name.clone(), state));
        }
    }
    Ok(states)
}

/// What one target said: a state for each application, or one of the whole.
fn states_of(output: &Path, end: &str) -> Result<Vec<TargetState>> {
    let fields: Vec<&str> = end.splitn(5, '\t').collect();
    let [kind, code, _status, _job, message] = fields[..] else {
        return Err(Error::new(Exit::Data, "standard input", "not a line of octo-exec end"));
    };
    if (kind, code) != ("exit", "0") {
        let message = if message == "-" { format!("{kind} {code}") } else { message.to_string() };
        return Ok(vec![TargetState::Unknown(message)]);
    }
    let Some(mut file) = if_there(output, File::open(output))? else {
        return Ok(vec![TargetState::Empty]);
    };
    Ok(match read_bounded(&mut file, output, LARGEST) {
        Ok(bytes) => release::states(&bytes),
        Err(error) if error.exit == Exit::Data => vec![TargetState::unreadable()],
        Err(error) => return Err(error),
    })
}

/// How many targets, and how many of them have a mark.
struct Counts {
    targets: usize,
    failed: usize,
    unknown: usize,
    drift: usize,
}

impl Counts {
    fn of(rows: &[TargetRow]) -> Counts {
        let count = |wanted: &dyn Fn(&TargetRow) -> bool| {
            let mut names: Vec<&str> =
                rows.iter().filter(|row| wanted(row)).map(|row| row.target.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            names.len()
        };
        Counts {
            targets: count(&|_| true),
            failed: count(&|row| row.mark == Some(Mark::Failed)),
            unknown: count(&|row| row.mark == Some(Mark::Unknown)),
            drift: count(&|row| row.mark == Some(Mark::Drift)),
        }
    }
}

/// `1 target`, `3 targets`
fn targets(count: usize) -> String {
    format!("{count} target{}", if count == 1 { "" } else { "s" })
}
