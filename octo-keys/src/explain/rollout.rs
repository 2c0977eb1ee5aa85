//! A whole rollout of an application, as octo-deploy and octo-rollback ask for it: step by
//! step, each with its own answer.

use super::Scene;
use super::answer::{self, Explanation};
use octo_core::base::cli::Tool;
use octo_core::base::error::Result;
use octo_core::base::package_name::{PLAIN_NAME, is_plain_name};
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::releases::freezes;
use octo_core::trust::{Line, Verb, scripts};
use std::net::IpAddr;

/// What a target runs for them.
const SCRIPT: &str = "octo-release";

/// A rollout of this application.
pub(super) struct Rollout {
    application: String,
    /// Does it bring a package, or go back to one that is there?
    deploys: bool,
}

/// How a step is answered.
enum Step {
    Yes(String),
    /// It would wait.
    Waits(String),
    /// With what it would exit, and why.
    No(u8, String),
}

impl Rollout {
    pub(super) const WORDS: [&'static str; 2] = ["deploy", "rollback"];

    /// `deploy APP` or `rollback APP`; `None` for other words.
    ///
    /// # Errors
    /// Exit 64 without an application.
    pub(super) fn from_words(tool: &Tool, word: &str, rest: &[String]) -> Result<Option<Rollout>> {
        if !Rollout::WORDS.contains(&word) {
            return Ok(None);
        }
        match rest {
            [application] if !is_plain_name(application) => {
                Err(tool.misuse(format!("{application}: not {PLAIN_NAME}")))
            }
            [application] => {
                Ok(Some(Rollout { application: application.clone(), deploys: word == "deploy" }))
            }
            [] => Err(tool.misuse(format!("{word}: of which application?"))),
            [_, more, ..] => Err(tool.misuse(format!("{more}: one argument too many"))),
        }
    }

    /// The first line says whether all of it is permitted; a `step` each says why.
    pub(super) fn explain(
        &self,
        scene: &Scene,
        pusher: Thumbprint,
        address: Option<IpAddr>,
    ) -> Result<(Explanation, u8)> {
        let decided = |verb| match scene.trust.decide(&scene.question(pusher, address, verb)) {
            Ok(_) => Step::Yes(String::new()),
            Err(denial) => {
                let option = denial.option.map_or(String::new(), |option| format!("{option}: "));
                Step::No(denial.refusal.exit().code(), format!("{option}{}", denial.reason))
            }
        };
        let run = scene.question(pusher, address, Verb::Run);
        let line = scene.trust.line_of(&run);
        let mut steps = vec![("releases", decided(Verb::Releases))];
        if self.deploys {
            steps.push(("put", decided(Verb::Put)));
        }
        steps.push(("run", decided(Verb::Run)));
        if let Some(line) = line {
            steps.push(("script", script(line)));
            steps.push(("application", self.application(line)));
            if self.deploys {
                steps.push(("not-frozen", self.frozen(scene, line)?));
            }
            steps.push(("approval", approval(line)));
        }
        let status = steps.iter().find_map(|(_, step)| match step {
            Step::No(status, _) => Some(*status),
            Step::Yes(_) | Step::Waits(_) => None,
        });
        let mut told = Explanation::default();
        told.add(if status.is_none() { "yes" } else { "no" }, "");
        told.add("line", line.map_or("none".into(), |l| format!("{} {}", l.number, l.text)));
        for (name, step) in &steps {
            let (word, why) = match step {
                Step::Yes(why) => ("yes", why),
                Step::Waits(why) => ("waits", why),
                Step::No(_, why) => ("no", why),
            };
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            told.add("step", format!("{name} {word}{why}"));
        }
        if let (None, Some(line)) = (status, line) {
            answer::bounds(&mut told, line, Verb::Run);
        }
        answer::passed_over(&mut told, &scene.trust, &run);
        Ok((told, status.unwrap_or(0)))
    }

    /// As octo-release takes `set=OCTO_APPS`.
    fn application(&self, line: &Line) -> Step {
        match set(line, "OCTO_APPS") {
            Some(all) if !all.split(',').any(|one| one == self.application) => {
                Step::No(77, format!("set=OCTO_APPS permits {all}"))
            }
            _ => {
                let base =
                    set(line, "OCTO_BASE").map_or(String::new(), |base| format!("in {base}"));
                Step::Yes(base)
            }
        }
    }

    fn frozen(&self, scene: &Scene, line: &Line) -> Result<Step> {
        let (all, _) = freezes(scene.places, scene.at.timestamp())?;
        let Some(freeze) = all.iter().find(|freeze| freeze.application == self.application) else {
            return Ok(Step::Yes(String::new()));
        };
        let why = format!("by {} until {}: {}", freeze.by, freeze.until, freeze.reason);
        Ok(match line.options.allow.covers_despite() {
            true => Step::No(75, format!("{why}; octo-deploy --despite REASON may")),
            false => Step::No(75, why),
        })
    }
}

/// By name only what is installed runs.
fn script(line: &Line) -> Step {
    let Some(directory) = &line.options.scripts else {
        return Step::Yes(format!("{SCRIPT} is sent along"));
    };
    match scripts::open(directory, SCRIPT) {
        Ok((_, path)) => Step::Yes(path.display().to_string()),
        Err(error) => Step::No(error.exit.code(), error.message),
    }
}

fn approval(line: &Line) -> Step {
    match line.options.hold {
        0 => Step::Yes("none is needed".into()),
        1 => Step::Waits("hold: until somebody approves it, by octo-exec or octo-push".into()),
        count => Step::Waits(format!(
            "hold={count}: until {count} people approve it, by octo-exec or octo-push"
        )),
    }
}

fn set<'a>(line: &'a Line, name: &str) -> Option<&'a str> {
    let set = line.options.set.iter().find(|(known, _)| known.as_str() == name);
    set.map(|(_, value)| value.as_str())
}
