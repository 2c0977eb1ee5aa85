//! What a pusher who is trusted can cause at will, without anything coming of it: requests
//! that are refused, questions, connections without a request. Of each kind the first is
//! recorded at once, and the others once a minute, as counts.

use crate::gathered::{Gathered, More, Rules, Seen};
use crate::log::Log;
use octo_core::Thumbprint;
use octo_core::tentacle::audit::Audit;
use std::sync::Arc;

/// So many kinds of refusals, each of a verb and a code.
const REFUSALS: usize = 64;
/// So many questions: those about a job are of a kind of their own for each job.
const QUESTIONS: usize = 256;

/// What was asked of late, by pusher.
pub(crate) struct Chatter {
    refusals: Arc<Gathered<Option<Thumbprint>, String>>,
    questions: Arc<Gathered<Option<Thumbprint>, String>>,
}

impl Chatter {
    /// Counts for these logs.
    pub(crate) fn new(audit: &Arc<Audit>, log: Log) -> Chatter {
        let gather = |event: &'static str, kinds| {
            let audit = Arc::clone(audit);
            let rules = Rules { kinds, another_counts: false };
            Gathered::new(rules, move |more| write(&audit, log, event, more))
        };
        Chatter { refusals: gather("denied", REFUSALS), questions: gather("repeated", QUESTIONS) }
    }

    /// Is this refusal to be recorded by itself?
    pub(crate) fn is_new_refusal(&self, pusher: Thumbprint, verb: &str, code: &str) -> bool {
        self.refusals.note(Some(pusher), &format!("{verb} {code}")) != Seen::Counted
    }

    /// Is this question to be recorded by itself? `about` is the job, where it is about one.
    pub(crate) fn is_new_question(&self, pusher: Thumbprint, event: &str, about: &str) -> bool {
        let kind = if about.is_empty() { event.to_string() } else { format!("{event} {about}") };
        self.questions.note(Some(pusher), &kind) != Seen::Counted
    }

    /// Writes what was counted so far.
    pub(crate) fn flush(&self) {
        self.refusals.flush();
        self.questions.flush();
    }
}

fn write(audit: &Audit, log: Log, event: &str, more: &More<Option<Thumbprint>, String>) {
    let who = more.party.map_or("some".to_string(), |thumbprint| thumbprint.to_string());
    let told: u64 = more.kinds.iter().map(|(_, count)| count).sum();
    let mut what: Vec<String> =
        more.kinds.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
    if told < more.count {
        what.push(format!("others: {}", more.count - told));
    }
    let (what, count) = (what.join("; "), more.count.to_string());
    let fields = [("thumbprint", who.as_str()), ("count", &count), ("what", &what)];
    // First: a log that nobody reads holds up who writes there.
    log.ok(audit.append(event, &fields));
    match event {
        "denied" => log.warning(format_args!("{who}: refused {count} times more: {what}")),
        _ => log.detail(format_args!("{who}: asked {count} times more: {what}")),
    }
}
