//! `octo-exec show`: what a job is, and what a held one would do.

use super::approved::{Approved, script_file};
use super::named::named;
use crate::admission::approval;
use crate::changes;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::record::Record;
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::tentacle::spec::{Script, stdin};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Two scripts of so many bytes differ in seconds; of larger ones it may take minutes.
const LARGEST_SHOWN: u64 = 1 << 20;

/// `show JOB`: its records, and for a held job what is to be approved.
pub(super) fn show(said: &Said, places: &Places) -> Result<u8> {
    let job = named(said, places, &said.counted(1..=1)?[0])?;
    let state = job.state()?;
    let mut text = format!("job {}\nstate {}\n", job.id(), state.word());
    for name in [
        "origin", "request", "spec", "held", "approved", "grant", "waiting", "started", "cancel",
        "end",
    ] {
        let record = if name == "spec" { Some(spec_record(&job)?) } else { job.record(name)? };
        let Some(record) = record else { continue };
        let _ = writeln!(text, "\n{name}:");
        for (key, values) in record.lines() {
            let values: Vec<String> = values.iter().map(|v| printable(v)).collect();
            let _ = writeln!(text, "  {key} {}", values.join(" "));
        }
    }
    if state == State::Held {
        text.push_str(&difference(&Approved::read(places)?, &job)?);
        if let Some(bytes) = job.read("stdin", stdin::MAXIMUM)? {
            let _ = writeln!(text, "\n{}", stdin::shown(&bytes).join("\n"));
        }
        if let Some(changes) = changes::up_to_date(places, &job)? {
            let _ = writeln!(text, "\n{}", changes.lines().join("\n"));
        }
        let _ = writeln!(
            text,
            "\nto approve exactly this:\n  octo-exec approve {} {}",
            job.id(),
            approval::held_digest(&job)?
        );
    }
    print(&text)?;
    Ok(0)
}

fn spec_record(job: &JobDirectory) -> Result<Record> {
    Record::parse(&job.spec_bytes()?).map_err(|line| {
        Error::new(
            Exit::Data,
            format!("{}:{line}", job.file("spec").display()),
            "not of the form of octo-job(5)",
        )
    })
}

/// What a held job would do: its script beside the last one of its name that was
/// approved, or its command.
pub(super) fn difference(approved: &Approved, job: &JobDirectory) -> Result<String> {
    let (spec, _) = job.spec()?;
    // A command is shown whole: what its first line hides would be approved, too.
    if let Script::Command(command) = &spec.script {
        let lines = command.lines().map(|line| format!("  {}\n", printable(line.as_bytes())));
        return Ok(format!("\nits command:\n{}", lines.collect::<String>()));
    }
    let Some(now) = script_file(job, &spec) else { return Ok(String::new()) };
    let (title, before) = match approved.last(&spec) {
        Some((id, path)) => (format!("its script, beside that of {id}:"), path.as_path()),
        None => ("its script, the first of this name:".to_string(), Path::new("/dev/null")),
    };
    let mut text = format!("\n{title}\n");
    let is_large = |path: &Path| path.metadata().is_ok_and(|found| found.len() > LARGEST_SHOWN);
    if is_large(before) || is_large(&now) {
        let _ = writeln!(text, "  too large to be shown here; read it before you approve it:");
        let _ = writeln!(text, "  diff -a -u {} {}", before.display(), now.display());
        return Ok(text);
    }
    let mut diff = Command::new("diff");
    // All of it is text: of a script with a NUL byte nothing would be shown.
    diff.args(["-a", "-u", "--"]).args([before, &now]).stdin(Stdio::null());
    let output =
        diff.output().map_err(|e| Error::new(Exit::Configuration, "diff", describe(&e)))?;
    if !matches!(output.status.code(), Some(0 | 1)) {
        let said = printable(output.stderr.trim_ascii());
        return Err(Error::new(Exit::Io, format!("diff {}", now.display()), said));
    }
    if output.stdout.is_empty() {
        text.push_str("  the same, byte for byte\n");
    }
    for line in output.stdout.split(|b| *b == b'\n').skip(2) {
        // A script is a pusher's: nothing of it may drive the operator's terminal.
        let _ = writeln!(text, "  {}", printable(line).replace("\\t", "\t"));
    }
    Ok(text)
}
