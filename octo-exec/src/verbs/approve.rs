//! Held jobs, for the local operator: show what one would run, let it, or not.

use super::jobs::named;
use crate::admission::adopt;
use crate::admission::approval;
use crate::start;
use octo_core::base::cli::{Tool, print, utc_now};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::operator;
use octo_core::base::paths::Places;
use octo_core::base::record::Record;
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::{End, EndKind, JobDirectory, State};
use octo_core::tentacle::spec::{Script, Spec};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `show JOB`: its records, and for a held job what is to be approved.
pub(super) fn show(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    let [id] = &matches.free[..] else { return Err(tool.misuse("show takes one job")) };
    let job = named(tool, places, id)?;
    let state = job.state()?;
    let mut text = format!("job {}\nstate {}\n", job.id(), state.word());
    for name in
        ["request", "spec", "held", "approved", "grant", "waiting", "started", "cancel", "end"]
    {
        let record = if name == "spec" { Some(spec_record(&job)?) } else { job.record(name)? };
        let Some(record) = record else { continue };
        let _ = writeln!(text, "\n{name}:");
        for (key, values) in record.lines() {
            let values: Vec<String> = values.iter().map(|v| printable(v)).collect();
            let _ = writeln!(text, "  {key} {}", values.join(" "));
        }
    }
    if state == State::Held {
        text.push_str(&difference(places, &job)?);
        let _ = writeln!(
            text,
            "\nto approve exactly this:\n  octo-exec approve {} {}",
            job.id(),
            digest_of(&job)?
        );
    }
    print(&text)?;
    Ok(0)
}

fn spec_record(job: &JobDirectory) -> Result<Record> {
    Record::parse(&job.spec_bytes()?).map_err(|line| {
        Error::new(Exit::Data, format!("{}:{line}", job.file("spec").display()), "not of the form")
    })
}

/// What a held job would do: its script beside the last one of its name that was
/// approved, or its command.
pub(super) fn difference(places: &Places, job: &JobDirectory) -> Result<String> {
    let (spec, _) = job.spec()?;
    // A command is shown whole: what its first line hides would be approved, too.
    if let Script::Command(command) = &spec.script {
        let lines = command.lines().map(|line| format!("  {}\n", printable(line.as_bytes())));
        return Ok(format!("\nits command:\n{}", lines.collect::<String>()));
    }
    let Some(now) = script_file(job, &spec) else { return Ok(String::new()) };
    let before = last_approved(places, job, &spec)?;
    let (title, before) = match &before {
        Some((id, path)) => (format!("its script, beside that of {id}:"), path.as_path()),
        None => ("its script, the first of this name:".to_string(), Path::new("/dev/null")),
    };
    let output =
        Command::new("diff").arg("-u").arg("--").args([before, &now]).stdin(Stdio::null()).output();
    let output = output.map_err(|e| {
        Error::new(Exit::Configuration, "diff", octo_core::base::error::describe(&e))
    })?;
    let mut text = format!("\n{title}\n");
    if output.stdout.is_empty() {
        text.push_str("  the same, byte for byte\n");
    }
    for line in output.stdout.split(|b| *b == b'\n').skip(2) {
        // A script is a pusher's: nothing of it may drive the operator's terminal.
        let _ = writeln!(text, "  {}", printable(line).replace("\\t", "\t"));
    }
    Ok(text)
}

fn script_file(job: &JobDirectory, spec: &Spec) -> Option<PathBuf> {
    matches!(spec.script, Script::Sent { .. })
        .then(|| job.file("script"))
        .filter(|path| path.exists())
}

/// By the time of the approval: the time in an id is its pusher's word.
fn last_approved(
    places: &Places,
    than: &JobDirectory,
    spec: &Spec,
) -> Result<Option<(String, PathBuf)>> {
    let mut last = None;
    for job in JobDirectory::all(places)? {
        if job.id() == than.id() || !adopt::is_ours(&job, "approved") {
            continue;
        }
        let (Ok((other, _)), Ok(Some(approved))) = (job.spec(), job.record("approved")) else {
            continue;
        };
        if other.summary() == spec.summary()
            && let Some(path) = script_file(&job, &other)
        {
            let at = approved.first("at").unwrap_or_default().to_string();
            last = last.max(Some((at, job.id().to_string(), path)));
        }
    }
    Ok(last.map(|(_, id, path)| (id, path)))
}

fn digest_of(job: &JobDirectory) -> Result<String> {
    let held = job.record("held")?.filter(|_| adopt::is_ours(job, "held"));
    held.as_ref()
        .and_then(|r| r.first("digest"))
        .map(str::to_string)
        .ok_or_else(|| Error::new(Exit::Data, format!("job {}", job.id()), "is not held"))
}

fn held(tool: &Tool, places: &Places, id: &str) -> Result<JobDirectory> {
    let job = named(tool, places, id)?;
    match job.state()? {
        State::Held => Ok(job),
        state => Err(Error::new(
            Exit::Data,
            format!("job {id}"),
            format!("is not held: {}", state.word()),
        )),
    }
}

/// `approve JOB [DIGEST]`
pub(super) fn approve(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    let (id, wanted) = match &matches.free[..] {
        [id] => (id, None),
        [id, digest] => (id, Some(digest)),
        _ => return Err(tool.misuse("approve takes a job, and the digest that show printed")),
    };
    let job = held(tool, places, id)?;
    let digest = digest_of(&job)?;
    if approval::waited_too_long(&job)? {
        start::detached(places, &job)?;
        return Err(Error::new(Exit::Data, format!("job {id}"), "expired: it was held for 7 days"));
    }
    if wanted.is_some_and(|wanted| *wanted != digest) {
        return Err(Error::new(
            Exit::Data,
            format!("job {id}"),
            format!("is not what you saw: it is {digest} now"),
        )
        .hint(format!("{} show {id}", tool.name)));
    }
    // What runs is compared with this once more at the start.
    let mut record = Record::new();
    record.text("digest", &digest);
    record.text("by", operator::at_host());
    record.text("at", utc_now());
    let by = operator::at_host();
    Audit::at(places)
        .append("approve", &[("job", id.as_str()), ("digest", &digest), ("by", &by)])?;
    job.publish_record("approved", &record)?;
    adopt::share_with_publisher(&job, "approved")?;
    start::detached(places, &job)?;
    Ok(0)
}

/// `deny JOB [REASON]`
pub(super) fn deny(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    let Some((id, reason)) = matches.free.split_first() else {
        return Err(tool.misuse("deny takes a job, and a reason that its pusher sees"));
    };
    let job = held(tool, places, id)?;
    let busy = || Error::new(Exit::Temporary, format!("job {id}"), "somebody is starting it");
    let _held = job.try_hold()?.ok_or_else(busy)?;
    if job.end()?.is_some() || job.open("started")?.is_some() {
        return Err(busy());
    }
    let by = operator::at_host();
    let reason = reason.join(" ");
    let said = if reason.is_empty() {
        format!("denied by {by}")
    } else {
        format!("denied by {by}: {reason}")
    };
    let end = End::unstarted(EndKind::Denied(Exit::Refused.code()), said);
    Audit::at(places).append("deny", &[("job", id.as_str()), ("by", &by), ("reason", &reason)])?;
    let _ = crate::job::secrets::unlink(&job);
    job.publish_record("end", &end.record())?;
    adopt::share_with_publisher(&job, "end")?;
    Ok(0)
}
