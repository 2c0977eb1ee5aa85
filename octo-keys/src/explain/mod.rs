//! octo-keys explain: permitted or not, by the very function that decides.

mod answer;
mod rollout;
mod time;

use crate::trust::{started_by, thumbprint};
use answer::Explanation;
use jiff::Zoned;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::{Tool, print};
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::PusherName;
use octo_core::base::nearest::nearest;
use octo_core::base::paths::Places;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::trust::{Network, Question, RunQuestion, StartedBy, Trust, Verb};
use rollout::Rollout;
use std::net::IpAddr;

/// What is asked about.
enum Asked {
    Verb(Verb),
    Rollout(Rollout),
}

/// Where a pusher comes from.
enum From {
    Address(Option<IpAddr>),
    /// From wherever its lines let it.
    Anywhere,
}

/// All that is the same for each thumbprint.
struct Scene<'a> {
    places: &'a Places,
    trust: Trust,
    started_by: StartedBy,
    at: Zoned,
}

pub(crate) fn run(said: &Said, places: &Places) -> Result<u8> {
    let tool = said.tool();
    let arguments = said.counted(2..=4)?;
    let (from, words) = match &arguments[1..] {
        [first, rest @ ..] if !rest.is_empty() && address(first).is_some() => {
            (From::Address(address(first).flatten()), rest)
        }
        words => (From::Anywhere, words),
    };
    let asked = asked(tool, words)?;
    let at = said.one("at")?.map(|text| time::parse(tool, &text)).transpose()?;
    let scene = Scene {
        places,
        trust: Trust::load(&places.trusted())?,
        started_by: started_by(places),
        at: at.unwrap_or_else(Zoned::now),
    };
    let pushers = pushers(tool, &scene.trust, &arguments[0])?;
    let mut status = 0;
    let mut text = String::new();
    for pusher in &pushers {
        if pushers.len() > 1 {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&format!("thumbprint {pusher}\n"));
        }
        let (told, code) = scene.explain(*pusher, &from, &asked)?;
        text.push_str(&told);
        // Of several keys one that may is enough for its pusher to do it.
        status = if pusher == &pushers[0] { code } else { status.min(code) };
    }
    print(&text)?;
    Ok(status)
}

/// `-` is none.
fn address(text: &str) -> Option<Option<IpAddr>> {
    match text {
        "-" => Some(None),
        _ => text.parse().ok().map(Some),
    }
}

fn asked(tool: &Tool, words: &[String]) -> Result<Asked> {
    let (word, rest) = match words {
        [word, rest @ ..] => (word.as_str(), rest),
        [] => return Err(tool.misuse("a verb is missing, or deploy APP, or rollback APP")),
    };
    if let Some(rollout) = Rollout::from_words(tool, word, rest)? {
        return Ok(Asked::Rollout(rollout));
    }
    // octo-push(1) has a verb for each of two orders that are one question here.
    let known = Verb::from_word(match word {
        "thaw" => Verb::Freeze.word(),
        "deny" => Verb::Approve.word(),
        word => word,
    });
    let Some(verb) = known else {
        if !rest.is_empty() {
            return Err(tool.misuse(format!("{word}: not an IP address (- is none)")));
        }
        let meant = nearest(word, Verb::all().map(Verb::word).chain(Rollout::WORDS));
        let meant = meant.map(|meant| format!("{meant} is one"));
        return Err(tool.misspelt(format!("{word}: no such verb"), meant));
    };
    match rest {
        [] => Ok(Asked::Verb(verb)),
        [more, ..] => Err(tool.misuse(format!("{more}: one argument too many"))),
    }
}

/// A thumbprint, or all that a name has.
fn pushers(tool: &Tool, trust: &Trust, text: &str) -> Result<Vec<Thumbprint>> {
    let Some(name) = PusherName::parse(text).filter(|_| Thumbprint::parse(text).is_err()) else {
        return Ok(vec![thumbprint(tool, text)?]);
    };
    let mut all: Vec<Thumbprint> = Vec::new();
    for line in trust.lines.iter().filter(|line| line.name == name) {
        if !all.contains(&line.thumbprint) {
            all.push(line.thumbprint);
        }
    }
    if all.is_empty() {
        let error =
            Error::new(Exit::Data, trust.path.display(), format!("no line is named {text}"));
        let names = trust.lines.iter().map(|line| line.name.as_str());
        return Err(match nearest(text, names) {
            Some(meant) => error.hint(format!("{meant} is one")),
            None => error,
        });
    }
    Ok(all)
}

impl Scene<'_> {
    /// The answer, and what it exits with.
    fn explain(&self, pusher: Thumbprint, from: &From, asked: &Asked) -> Result<(String, u8)> {
        let address = match from {
            From::Address(address) => *address,
            From::Anywhere => self.permitted_from(pusher),
        };
        let (mut told, status) = match asked {
            Asked::Verb(verb) => self.verb(pusher, address, *verb),
            Asked::Rollout(rollout) => rollout.explain(self, pusher, address)?,
        };
        if let From::Anywhere = from {
            told.add("from", address.map_or("anywhere".into(), |address| address.to_string()));
        }
        Ok((told.0, status))
    }

    /// An address from which a line of it lets it in, `None` for one of which no from= knows.
    fn permitted_from(&self, pusher: Thumbprint) -> Option<IpAddr> {
        let named = self.trust.of(pusher).map(|line| {
            line.options.from.as_ref().and_then(|networks| networks.first().map(Network::address))
        });
        let named: Vec<Option<IpAddr>> = named.collect();
        let lets_in = |address: &&Option<IpAddr>| {
            let question = Question::new(pusher, **address, &self.at, Verb::Connect);
            self.trust.decide(&question).is_ok()
        };
        named.iter().find(lets_in).or(named.first()).copied().flatten()
    }

    fn question(&self, pusher: Thumbprint, address: Option<IpAddr>, verb: Verb) -> Question<'_> {
        let mut question = Question::new(pusher, address, &self.at, verb);
        if verb == Verb::Run {
            // Whatever it is that runs: a script that it may send or name.
            let line = self.trust.line_of(&question);
            let by_name = line.is_some_and(|line| line.options.scripts.is_some());
            question.run = Some(RunQuestion {
                stdin: false,
                named: by_name.then_some("SCRIPT"),
                locks: Vec::new(),
                variables: Vec::new(),
                unsigned: None,
                despite: false,
                starting: true,
                started_by: self.started_by.clone(),
            });
        }
        question
    }

    fn verb(&self, pusher: Thumbprint, address: Option<IpAddr>, verb: Verb) -> (Explanation, u8) {
        let question = self.question(pusher, address, verb);
        let mut told = Explanation::default();
        let line = self.trust.line_of(&question);
        let decided = self.trust.decide(&question);
        told.add(if decided.is_ok() { "yes" } else { "no" }, "");
        told.add("line", line.map_or("none".into(), |l| format!("{} {}", l.number, l.text)));
        let mut status = 0;
        match (decided, line) {
            (Err(denial), _) => {
                answer::no(&mut told, &self.trust, &question, &denial);
                status = denial.refusal.exit().code();
            }
            (Ok(_), Some(line)) => answer::bounds(&mut told, line, verb),
            // No yes is without a line.
            (Ok(_), None) => {}
        }
        answer::passed_over(&mut told, &self.trust, &question);
        (told, status)
    }
}
