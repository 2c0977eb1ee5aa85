//! `journal`: what was done from here, oldest first; of these targets only,
//! where some are named. They may have left the targets file.

use crate::cli::call::Call;
use crate::output::json::JsonObject;
use crate::records::journal::entry::Entry;
use crate::records::journal::file::Journal;
use octo_core::base::cli::{print, utc};
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use std::collections::HashSet;

pub(crate) fn run(call: &Call) -> Result<u8> {
    let targets: HashSet<&String> = call.said.arguments().iter().collect();
    let show = if call.common.json { object } else { line };
    let mut printed = Ok(());
    let torn = Journal::at(&call.common.places).all(&mut |entry| {
        if targets.is_empty() || targets.contains(&entry.target) {
            printed = print(&show(&entry));
        }
        printed.is_ok()
    })?;
    printed?;
    if torn > 0 && call.common.verbose {
        call.said.tool().say(format!("journal: {torn} lines were torn by a crash"));
    }
    Ok(0)
}

fn line(entry: &Entry) -> String {
    let mut line = format!(
        "{} {} {} {} {}",
        utc(entry.time),
        printable(entry.verb.as_bytes()),
        printable(entry.target.as_bytes()),
        printable(entry.kind.as_bytes()),
        entry.code.map_or_else(|| "-".to_string(), |code| code.to_string())
    );
    for (key, value) in [
        ("job", entry.job.as_ref().map(JobId::to_string)),
        ("package", entry.package.map(|digest| digest.to_string())),
        ("by", Some(printable(entry.who.as_bytes()))),
        ("audit", entry.audit.map(|head| head.to_string())),
        ("audit-exec", entry.audit_exec.map(|head| head.to_string())),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" {key}={value}"));
        }
    }
    line.push('\n');
    line
}

fn object(entry: &Entry) -> String {
    JsonObject::of("action")
        .text("time", &utc(entry.time))
        .text("verb", &entry.verb)
        .text("target", &entry.target)
        .text("kind", &entry.kind)
        .number_or_null("code", entry.code)
        .number_or_null("status", entry.status.map(u64::from))
        .text("run", entry.run.as_str())
        .text("by", &entry.who)
        .text_or_null("job", entry.job.as_ref().map(JobId::as_str))
        .text_or_null("package", entry.package.map(|digest| digest.to_string()).as_deref())
        .text_or_null("thumbprint", entry.tentacle.map(|seen| seen.to_string()).as_deref())
        .text_or_null("audit", entry.audit.map(|head| head.to_string()).as_deref())
        .text_or_null("audit_exec", entry.audit_exec.map(|head| head.to_string()).as_deref())
        .line()
}
