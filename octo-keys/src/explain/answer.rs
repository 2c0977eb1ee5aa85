//! What an answer looks like: one `key value` a line.

use octo_core::base::encoding::printable;
use octo_core::trust::{AllowWord, Denial, Line, Question, Trust, TrustOption, Verb};

/// One `key value` a line.
#[derive(Default)]
pub(super) struct Explanation(pub(super) String);

impl Explanation {
    pub(super) fn add(&mut self, key: &str, value: impl AsRef<str>) {
        let line = format!("{key} {}", printable(value.as_ref().as_bytes()));
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }
}

/// Why it is a no.
pub(super) fn no(told: &mut Explanation, trust: &Trust, question: &Question, denial: &Denial) {
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
pub(super) fn bounds(told: &mut Explanation, line: &Line, verb: Verb) {
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

/// Lines before the one that decides, which don't hold.
pub(super) fn passed_over(told: &mut Explanation, trust: &Trust, question: &Question) {
    for over in trust.passed_over(question) {
        told.add("passed-over", format!("{} {}: {}", over.line.number, over.option, over.reason));
    }
}
