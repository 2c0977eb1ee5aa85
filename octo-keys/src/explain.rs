//! octo-keys explain: permitted or not, by the very function that decides.

use crate::Call;
use crate::trust::{starter, thumbprint};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};
use octo_core::base::cli::{Tool, print};
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::units::{human_duration, human_size};
use octo_core::trust::{Line, Question, Refused, RunQuestion, Trust, Verb};
use std::net::IpAddr;

pub(crate) fn run(call: &Call) -> Result<u8> {
    let arguments = call.arguments(&["at"], 3, 3)?;
    let tool = call.tool;
    let thumbprint = thumbprint(tool, &arguments[0])?;
    let address: Option<IpAddr> = match arguments[1].as_str() {
        "-" => None,
        text => {
            let wrong = |_| tool.misuse(format!("{text}: not an IP address (- is none)"));
            Some(text.parse().map_err(wrong)?)
        }
    };
    let verb = Verb::from_word(&arguments[2])
        .ok_or_else(|| tool.misuse(format!("{}: no such verb", arguments[2])))?;
    let at = match call.matches.opt_str("at") {
        Some(text) => parse_time(tool, &text)?,
        None => Zoned::now(),
    };

    let trust = Trust::load(&call.places.trusted())?;
    let mut question = Question::new(thumbprint, address, &at, verb);
    if verb == Verb::Run {
        // Whatever it is that runs: a script that it may send or name.
        let by_name = trust.line_of(&question).is_some_and(|line| line.scripts.is_some());
        let starter = starter(call);
        let named = by_name.then_some("SCRIPT");
        question.run = Some(RunQuestion { named, locks: &[], starting: true, starter });
    }
    let mut answer = Answer(String::new());
    let status = match trust.decide(&question) {
        Ok(line) => {
            answer.add("yes", "");
            answer.add("line", line_text(line));
            limits(&mut answer, line, verb);
            0
        }
        Err(refused) => {
            answer.add("no", "");
            refusal(&mut answer, &trust, &question, &refused);
            refused.refusal.exit().code()
        }
    };
    for over in trust.passed_over(&question) {
        answer.add("passed-over", format!("{} {}: {}", over.line.number, over.option, over.reason));
    }
    print(&answer.0)?;
    Ok(status)
}

/// One `key value` a line.
struct Answer(String);

impl Answer {
    fn add(&mut self, key: &str, value: impl AsRef<str>) {
        let line = format!("{key} {}", printable(value.as_ref().as_bytes()));
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }
}

fn line_text(line: &Line) -> String {
    format!("{} {}", line.number, line.text)
}

fn refusal(answer: &mut Answer, trust: &Trust, question: &Question, refused: &Refused) {
    match trust.line_of(question) {
        Some(line) => answer.add("line", line_text(line)),
        None => answer.add("line", "none"),
    }
    if let Some(option) = refused.option {
        answer.add("option", option);
    }
    answer.add("code", refused.refusal.word());
    let known = trust.of(question.thumbprint).next().is_some();
    match known || refused.line.is_some() {
        true => answer.add("reason", &refused.reason),
        false => answer.add("reason", "no line of this thumbprint"),
    }
    if let Some(opens) = &refused.opens {
        answer.add("opens", opens.strftime("%FT%H:%M:%S%:z").to_string());
    }
}

/// What a yes is bounded by.
fn limits(answer: &mut Answer, line: &Line, verb: Verb) {
    match verb {
        Verb::Connect | Verb::Audit => {}
        _ => answer.add("option", "allow"),
    }
    answer.add("name", line.name.as_str());
    match verb {
        Verb::Put => {
            answer.add("max-size", human_size(line.max_size));
            answer.add("max-store", human_size(line.max_store));
        }
        Verb::Run => run_limits(answer, line),
        Verb::Follow | Verb::Cancel | Verb::Jobs | Verb::Get => {
            answer.add("jobs", if line.sees_all_jobs() { "all" } else { "own" });
        }
        _ => {}
    }
}

fn run_limits(answer: &mut Answer, line: &Line) {
    answer.add("user", line.user.as_deref().unwrap_or("the listener's own"));
    answer.add("sudo", if line.sudo { "may gain privileges" } else { "no new privileges" });
    match &line.scripts {
        Some(directory) => {
            answer.add("scripts", format!("only those of {}, by name", directory.display()));
        }
        None => answer.add("scripts", "any that it sends"),
    }
    if line.windows.is_some() {
        answer.add("window", "open");
    }
    if line.hold {
        answer.add("hold", "waits for octo-exec approve");
    }
    for (name, value) in &line.set {
        answer.add("set", format!("{name}={value}"));
    }
    if let Some(locks) = &line.locks {
        let names: Vec<&str> = locks.iter().map(|lock| lock.as_str()).collect();
        answer.add("locks", names.join(","));
    }
    answer.add("max-jobs", line.max_jobs.to_string());
    answer.add("max-log", human_size(line.max_log));
    answer.add("max-wait", human_duration(line.max_wait));
    if let Some(limit) = line.timeout {
        answer.add("timeout", human_duration(limit));
    }
}

/// RFC 3339, or a local `YYYY-MM-DD HH:MM`.
fn parse_time(tool: &Tool, text: &str) -> Result<Zoned> {
    let zone = TimeZone::system();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment.to_zoned(zone));
    }
    let civil: DateTime = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"]
        .iter()
        .find_map(|form| DateTime::strptime(form, text).ok())
        .ok_or_else(|| {
            tool.misuse(format!(
                "--at {text}: a time is 2027-03-28T02:30:00Z or '2027-03-28 02:30'"
            ))
        })?;
    let resolved = zone.to_ambiguous_zoned(civil);
    match resolved.offset() {
        AmbiguousOffset::Gap { .. } => {
            return Err(tool.misuse(format!("--at {text}: the clock skips this time")));
        }
        AmbiguousOffset::Fold { before, .. } => {
            tool.say(format!("{text} comes twice: the first, {before}, is taken"));
        }
        AmbiguousOffset::Unambiguous { .. } => {}
    }
    resolved.earlier().map_err(|error| tool.misuse(format!("--at {text}: {error}")))
}
