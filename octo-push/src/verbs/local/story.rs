//! `journal --story`: what was rolled out from here, a line a rollout. Its runs are those
//! that are labelled with an application, and with the rollout that they are part of.

use crate::output::json::JsonObject;
use crate::records::journal::entry::{BEGUN, Entry, SKIPPED};
use crate::records::journal::labels::{APPLICATION, ENVIRONMENT, FROM, ROLLOUT, VERSION, WHAT};
use jiff::Timestamp;
use octo_core::base::cli::utc;
use octo_core::base::encoding::printable;
use octo_core::base::names::JobId;
use octo_core::targets::fold;
use std::collections::{BTreeMap, HashMap};

/// How a target stands after a run, and what stands for that.
const STANDINGS: [&str; 5] = ["succeeded", "failed", "unreachable", "unknown", SKIPPED];

/// All rollouts, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Story {
    rollouts: Vec<Rollout>,
    /// Their places by the run.
    runs: HashMap<JobId, (usize, usize)>,
    /// And by their application and what they are called.
    names: HashMap<(String, String), usize>,
}

/// A rollout: its run, and those that were made because of it, as to take it back.
#[derive(Debug)]
pub(super) struct Rollout {
    name: String,
    who: String,
    application: String,
    environment: Option<String>,
    pub(super) last: Timestamp,
    runs: Vec<Run>,
    /// By target: the last run that may have changed it, and how that stands.
    changed: BTreeMap<String, (usize, &'static str)>,
}

#[derive(Debug)]
struct Run {
    began: Timestamp,
    id: JobId,
    what: Option<String>,
    from: Option<String>,
    version: Option<String>,
    /// The last word on each target.
    targets: BTreeMap<String, &'static str>,
}

impl Story {
    /// Adds a line; the oldest come first.
    pub(super) fn add(&mut self, entry: &Entry) {
        let Some((rollout, run)) = self.place(entry) else { return };
        let rollout = &mut self.rollouts[rollout];
        rollout.last = rollout.last.max(entry.time);
        let (target, standing) = (entry.target.clone(), standing(entry));
        if !matches!(standing, "unreachable" | SKIPPED) && !rollout.runs[run].is("once") {
            rollout.changed.insert(target.clone(), (run, standing));
        }
        let targets = &mut rollout.runs[run].targets;
        match entry.job {
            // Never begun this time: how it stands is from before.
            None if standing == SKIPPED => *targets.entry(target).or_insert(standing),
            _ => targets.insert(target, standing).unwrap_or(standing),
        };
    }

    /// The rollouts, oldest first.
    pub(super) fn rollouts(&self) -> impl Iterator<Item = &Rollout> {
        self.rollouts.iter()
    }

    /// Where the line belongs: one of a run that has no label, as of a later `follow`, to
    /// those of that run.
    fn place(&mut self, entry: &Entry) -> Option<(usize, usize)> {
        let known = self.runs.get(&entry.run).copied();
        if known.is_some() || entry.verb != "run" {
            return known;
        }
        let label = |name: &str| entry.labels.get(name).map(String::from);
        let application = label(APPLICATION)?;
        let name = label(ROLLOUT).unwrap_or_else(|| entry.run.to_string());
        let known = self.names.entry((application.clone(), name.clone()));
        let rollout = *known.or_insert_with(|| {
            self.rollouts.push(Rollout {
                name,
                who: entry.who.clone(),
                application,
                environment: label(ENVIRONMENT),
                last: entry.time,
                runs: Vec::new(),
                changed: BTreeMap::new(),
            });
            self.rollouts.len() - 1
        });
        let runs = &mut self.rollouts[rollout].runs;
        runs.push(Run {
            began: entry.time,
            id: entry.run.clone(),
            what: label(WHAT),
            from: label(FROM),
            version: label(VERSION),
            targets: BTreeMap::new(),
        });
        let place = (rollout, runs.len() - 1);
        self.runs.insert(entry.run.clone(), place);
        Some(place)
    }
}

fn standing(entry: &Entry) -> &'static str {
    match entry.kind.as_str() {
        _ if entry.succeeded() => "succeeded",
        // No end followed: octo-push was killed, or is at work.
        BEGUN | "unknown" => "unknown",
        SKIPPED => SKIPPED,
        _ if entry.is_unreachable() => "unreachable",
        _ => "failed",
    }
}

impl Rollout {
    /// Was it about one of these targets?
    pub(super) fn concerns(&self, is_meant: impl Fn(&String) -> bool) -> bool {
        self.runs.iter().flat_map(|run| run.targets.keys()).any(is_meant)
    }

    /// The run of the rollout itself: another of its runs may have come before it.
    fn main(&self) -> Option<&Run> {
        let own = self.runs.iter().find(|run| run.id.as_str() == self.name);
        own.or(self.runs.first())
    }

    /// Does all that it was about run its version, by its own report, and was nothing taken
    /// back since?
    fn is_complete(&self, main: &Run) -> bool {
        let is_same = |run: &Run| {
            let runs_it = run.version.is_some() && run.version == main.version;
            run.id == main.id || runs_it && !run.is("unhealthy")
        };
        let is_done =
            |(run, standing): &(usize, &str)| *standing == "succeeded" && is_same(&self.runs[*run]);
        main.targets.keys().all(|target| self.changed.get(target).is_some_and(is_done))
    }

    pub(super) fn line(&self) -> String {
        let Some(main) = self.main() else { return String::new() };
        let word = |word: Option<&str>| word.map_or("-".into(), |word| printable(word.as_bytes()));
        let result = |run: &Run| {
            let mut said: Vec<String> = run.what.iter().map(|what| word(Some(what))).collect();
            // What is not well goes nowhere.
            let to = if run.is("unhealthy") { "" } else { "to " };
            for (other, version) in [("from ", &run.from), (to, &run.version)] {
                // The line has that of the rollout itself.
                if *version != main.version && (other == to || version.is_some()) {
                    said.push(format!("{other}{}", word(version.as_deref())));
                }
            }
            let colon = if said.is_empty() { "" } else { ": " };
            format!("{}{colon}{}", said.join(" "), run.result())
        };
        let results: Vec<String> = self.runs.iter().map(result).collect();
        format!(
            "{} {} {} {} {} {} {}\n",
            utc(main.began),
            word(Some(&self.application)),
            word(main.version.as_deref()),
            word(self.environment.as_deref()),
            word(Some(&self.who)),
            fold(main.targets.keys().map(String::as_str)),
            results.join("; then "),
        )
    }

    pub(super) fn object(&self) -> String {
        let Some(main) = self.main() else { return String::new() };
        let object = JsonObject::of("rollout")
            .text("time", &utc(main.began))
            .text("last", &utc(self.last))
            .text("application", &self.application);
        let object = main
            .named(object)
            .text_or_null("environment", self.environment.as_deref())
            .text("by", &self.who)
            .text("rollout", &self.name);
        let run = |object: JsonObject, run: &Run| {
            STANDINGS.iter().fold(object, |object, word| object.list(word, run.being(word)))
        };
        let others = self.runs.iter().filter(|other| other.id != main.id);
        let others = others.fold(JsonObject::new(), |object, other| {
            object.object(other.id.as_str(), run(other.named(JsonObject::new()), other))
        });
        let object = run(object, main).object("others", others);
        object.flag("complete", self.is_complete(main)).line()
    }
}

impl Run {
    /// Does it do this?
    fn is(&self, what: &str) -> bool {
        self.what.as_deref() == Some(what)
    }

    /// What it does, from where to where.
    fn named(&self, object: JsonObject) -> JsonObject {
        object
            .text_or_null("what", self.what.as_deref())
            .text_or_null("from", self.from.as_deref())
            .text_or_null("version", self.version.as_deref())
    }

    fn being<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.targets.iter().filter(move |target| *target.1 == word).map(|target| target.0.as_str())
    }

    fn result(&self) -> String {
        let counts = STANDINGS.iter().map(|word| (self.being(word).count(), *word));
        let counts = counts.filter(|(count, _)| *count > 0).map(|(count, word)| {
            format!("{count} {}", if word == SKIPPED { "not begun" } else { word })
        });
        counts.collect::<Vec<_>>().join(", ")
    }
}
