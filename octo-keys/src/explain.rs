//! octo-keys explain: permitted or not, by the very function that decides.

use crate::trust::{started_by, thumbprint};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};
use octo_core::base::cli::options::Said;
use octo_core::base::cli::{Tool, print};
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::nearest::nearest;
use octo_core::base::paths::Places;
use octo_core::trust::{AllowWord, Denial, Line, Question, RunQuestion, Trust, TrustOption, Verb};
use std::net::IpAddr;

pub(crate) fn run(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(3..=3)?;
    let tool = said.tool();
    let thumbprint = thumbprint(tool, &arguments[0])?;
    let address: Option<IpAddr> = match arguments[1].as_str() {
        "-" => None,
        text => {
            let wrong = |_| tool.misuse(format!("{text}: not an IP address (- is none)"));
            Some(text.parse().map_err(wrong)?)
        }
    };
    // octo-push(1) has a verb for each of the two orders that are one question here.
    let word = if arguments[2] == "thaw" { Verb::Freeze.word() } else { &arguments[2] };
    let verb = Verb::from_word(word).ok_or_else(|| {
        let meant = nearest(&arguments[2], Verb::all().map(Verb::word));
        let meant = meant.map(|meant| format!("{meant} is one"));
        tool.misspelt(format!("{}: no such verb", arguments[2]), meant)
    })?;
    let at = match said.one("at")? {
        Some(text) => parse_time(tool, &text)?,
        None => Zoned::now(),
    };

    let trust = Trust::load(&places.trusted())?;
    let mut question = Question::new(thumbprint, address, &at, verb);
    if verb == Verb::Run {
        // Whatever it is that runs: a script that it may send or name.
        let by_name = trust.line_of(&question).is_some_and(|line| line.options.scripts.is_some());
        let started_by = started_by(places);
        let named = by_name.then_some("SCRIPT");
        let (locks, variables) = (Vec::new(), Vec::new());
        let despite = false;
        question.run =
            Some(RunQuestion { named, locks, variables, despite, starting: true, started_by });
    }
    let mut told = Explanation(String::new());
    let line = trust.line_of(&question);
    let decided = trust.decide(&question);
    told.add(if decided.is_ok() { "yes" } else { "no" }, "");
    told.add("line", line.map_or("none".into(), |l| format!("{} {}", l.number, l.text)));
    let mut status = 0;
    match (decided, line) {
        (Err(denial), _) => {
            no(&mut told, &trust, &question, &denial);
            status = denial.refusal.exit().code();
        }
        (Ok(_), Some(line)) => bounds(&mut told, line, verb),
        // No yes is without a line.
        (Ok(_), None) => {}
    }
    for over in trust.passed_over(&question) {
        told.add("passed-over", format!("{} {}: {}", over.line.number, over.option, over.reason));
    }
    print(&told.0)?;
    Ok(status)
}

/// One `key value` a line.
struct Explanation(String);

impl Explanation {
    fn add(&mut self, key: &str, value: impl AsRef<str>) {
        let line = format!("{key} {}", printable(value.as_ref().as_bytes()));
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }
}

fn no(told: &mut Explanation, trust: &Trust, question: &Question, denial: &Denial) {
    if let Some(option) = denial.option {
        told.add("option", option);
    }
    told.add("code", denial.refusal.word());
    let known = trust.of(question.thumbprint).next().is_some();
    told.add("reason", if known { &denial.reason } else { "no line of this thumbprint" });
    if let Some(opens) = &denial.opens {
        told.add("opens", opens.strftime("%FT%H:%M:%S%:z").to_string());
    }
}

/// What a yes is bounded by.
fn bounds(told: &mut Explanation, line: &Line, verb: Verb) {
    if verb.row().allow != AllowWord::Nothing {
        told.add("option", "allow");
    }
    told.add("name", line.name.as_str());
    if matches!(verb, Verb::Follow | Verb::Cancel | Verb::Jobs | Verb::Get) {
        told.add("jobs", if line.options.allow.any { "all" } else { "own" });
    }
    if verb == Verb::Run {
        told.add("despite", if line.options.allow.covers_despite() { "yes" } else { "no" });
    }
    for row in TrustOption::all().filter(|row| row.bounds.contains(&verb)) {
        let values = row.values(&line.options);
        if values.is_empty() {
            told.add(row.key, row.otherwise);
        }
        values.iter().for_each(|value| told.add(row.key, value));
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
