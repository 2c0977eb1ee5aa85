//! One job on one target: put, run, follow, and all of it again after the
//! connection broke, without running anything twice.
//!
//! The job's id is ours, so that a repeated `run` attaches to what is there. A
//! request that may have arrived is never reported as "nothing ran".

use crate::target::connection::client::{Session, Trouble};
use crate::target::outcome::{Kind, Origin, Outcome};
use crate::target::request::{Plan, Request};
use crate::target::retry::{News, Patience, Teller, Work, failed, over_limit};
use octo_core::base::error::{Error, Exit};
use octo_core::base::names::JobId;
use octo_core::base::refusal::Refusal;
use octo_core::tentacle::job::{EndKind, Stream};
use octo_wire::{Failure, Message};
use std::time::Instant;

/// How far a job has come, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing can have been accepted.
    Before,
    /// The request went out, no answer came.
    Asked,
    /// Accepted.
    Accepted,
}

/// What follows a job's acceptance.
#[derive(Debug)]
struct Course<'a> {
    work: &'a Work,
    teller: &'a Teller,
    job: &'a JobId,
    stage: Stage,
    /// How much of the log has come.
    offset: u64,
    outputs: Vec<u8>,
    /// The person's Ctrl-C was passed on.
    cancelled: bool,
    /// An octo-push before this one may have asked for it.
    in_doubt: bool,
    patience: Patience,
}

/// Runs the job on the teller's target. `in_doubt`: it may be there already.
pub(crate) fn run(
    work: &Work,
    plan: &Plan,
    job: &JobId,
    (detach, in_doubt): (bool, bool),
    teller: &Teller,
) -> Outcome {
    let course = Course { in_doubt, ..Course::new(work, teller, job, Stage::Before) };
    course.go(Some((plan, detach)))
}

/// Follows a job that was accepted before.
pub(crate) fn follow(work: &Work, job: &JobId, teller: &Teller) -> Outcome {
    Course::new(work, teller, job, Stage::Before).go(None)
}

/// Asks for a job's end; its own word comes to those who follow it.
///
/// # Errors
/// The trouble.
pub(crate) fn cancel(work: &Work, target: usize, job: &JobId) -> Result<Message, Trouble> {
    let target = &work.targets[target];
    let mut session = Session::open(&work.caller, target, work.common.wait)?;
    let reply = session.ask(&Message::new("cancel").with("job", job), b"")?;
    session.close();
    Ok(reply)
}

impl<'a> Course<'a> {
    fn new(work: &'a Work, teller: &'a Teller, job: &'a JobId, stage: Stage) -> Course<'a> {
        Course {
            work,
            teller,
            job,
            stage,
            offset: 0,
            outputs: Vec::new(),
            cancelled: false,
            in_doubt: false,
            patience: Patience::new(),
        }
    }

    fn go(mut self, run: Option<(&Plan, bool)>) -> Outcome {
        let mut outcome = loop {
            if self.work.stop.is_set() && self.stage == Stage::Before {
                break Outcome::skipped("cancelled before it began");
            }
            let before = self.stage;
            let attempt = self.attempt(run);
            if self.stage == Stage::Asked && matches!(attempt, Err(Trouble::No(..))) {
                // It was answered: there is no more doubt than there was.
                self.stage = before;
            }
            match attempt {
                Ok(outcome) => break outcome,
                // Of a job that may be there, these say "not now", not "never".
                Err(Trouble::No(refusal, error)) if self.may_be_there(before, refusal) => {
                    if let Err(trouble) =
                        self.patience.after(self.work, self.teller, Trouble::Lost(error))
                    {
                        break self.give_up(before, run.is_some(), trouble);
                    }
                }
                Err(trouble) => match self.patience.after(self.work, self.teller, trouble) {
                    Ok(()) => {}
                    Err(trouble) => break self.give_up(before, run.is_some(), trouble),
                },
            }
        };
        outcome.job = Some(self.job.clone());
        outcome
    }

    fn may_be_there(&self, before: Stage, refusal: Refusal) -> bool {
        let asked = before != Stage::Before || self.stage == Stage::Accepted;
        (asked || self.in_doubt)
            && matches!(refusal, Refusal::Busy | Refusal::Io | Refusal::Full | Refusal::Policy)
    }

    fn attempt(&mut self, run: Option<(&Plan, bool)>) -> Result<Outcome, Trouble> {
        let work = self.work;
        let target = &work.targets[self.teller.target];
        let mut session = Session::open(&work.caller, target, self.patience.wait(work))?;
        self.patience.met();
        self.teller.peer.set(session.peer());
        session.set_deadline(self.patience.deadline(work));
        if let Some((plan, detach)) = run
            && self.stage != Stage::Accepted
        {
            if let Some(package) = &plan.package {
                package.put(&mut session, &work.counters, &work.stop)?;
                self.patience.progress();
            }
            let request = plan.request(target.name.as_str(), self.job).map_err(Trouble::Here)?;
            let reply = self.ask_to_run(&mut session, &request)?;
            self.accepted();
            if detach {
                session.close();
                let audit = reply.text("audit").map(str::to_string);
                return Ok(Outcome { audit, ..Outcome::done() });
            }
        }
        let outcome = self.follow(&mut session)?;
        session.close();
        Ok(outcome)
    }

    fn ask_to_run(
        &mut self,
        session: &mut Session<'_>,
        request: &Request,
    ) -> Result<Message, Trouble> {
        let mut message = Message::new("run").with("job", self.job);
        message.push("by", self.work.caller.by.as_bytes());
        let message = message
            .with("spec", request.spec.len())
            .with("script", request.script)
            .with("body", request.body.len());
        // From the first byte on it may arrive, whatever becomes of us.
        self.stage = Stage::Asked;
        session.ask(&message, &request.body)
    }

    fn accepted(&mut self) {
        if self.stage != Stage::Accepted {
            self.stage = Stage::Accepted;
            self.teller.tell(News::Accepted(self.teller.target, self.job.clone()));
        }
        self.patience.progress();
    }

    /// The main thread cancels the jobs that it knows of; one that was accepted
    /// in the same moment sees to it itself.
    fn cancel_if_asked(&mut self) {
        if self.work.stop.is_set() && !self.cancelled {
            self.cancelled = true;
            if let Err(trouble) = cancel(self.work, self.teller.target, self.job) {
                let error = trouble.into_error();
                self.teller.note(format!("can't cancel: {}", error.message));
            }
        }
    }

    fn follow(&mut self, session: &mut Session<'_>) -> Result<Outcome, Trouble> {
        let request = Message::new("follow").with("job", self.job).with("offset", self.offset);
        session.ask(&request, b"")?;
        self.accepted();
        self.cancel_if_asked();
        loop {
            let message = session.next()?;
            match message.word() {
                "out" => self.take(session, Stream::Out, &message)?,
                "err" => self.take(session, Stream::Err, &message)?,
                "state" => self.tell_state(&message),
                "outputs" => self.outputs = session.body(&message)?,
                "no" => return Err(session.refused(&message)),
                "end" => return self.ended(session, &message),
                _ => session.skip(&message)?,
            }
            self.patience.progress();
        }
    }

    fn take(
        &mut self,
        session: &mut Session<'_>,
        stream: Stream,
        message: &Message,
    ) -> Result<(), Trouble> {
        let length = message.body().map_err(|failure| session.wrong(failure))?;
        let (teller, offset) = (self.teller, &mut self.offset);
        session.pieces(length, |bytes| {
            teller.output(stream, bytes);
            // Counted piece by piece: what came before a cut is not asked for again.
            *offset += bytes.len() as u64;
            Ok(())
        })
    }

    fn tell_state(&self, message: &Message) {
        let state = message.text("is").unwrap_or("");
        let holder = message.text("holder").unwrap_or("");
        match state {
            "held" => self
                .teller
                .note(format!("waits for approval there: octo-exec approve {}", self.job)),
            "waiting" if holder.is_empty() => self.teller.note("waits for a lock"),
            "waiting" => self.teller.note(format!("waits for a lock, held by {holder}")),
            other => self.teller.detail(format!("job {} is {other}", self.job)),
        }
    }

    fn ended(&mut self, session: &Session<'_>, message: &Message) -> Result<Outcome, Trouble> {
        let code = message.number("code").map_err(|failure| session.wrong(failure))?;
        let word = message.text("kind").unwrap_or("");
        let Some(end) = EndKind::from_words(word, code.unwrap_or(0)) else {
            return Err(session.wrong(Failure::Malformed(format!("an end of kind {word}"))));
        };
        let mut outcome = Outcome::ended(end, message.text("reason"));
        let said = [&outcome.message].into_iter().filter(|m| !m.is_empty()).cloned();
        outcome.message = said.chain(besides(message)).collect::<Vec<_>>().join("; ");
        if outcome.succeeded() && !outcome.message.is_empty() {
            // Not as it should be, though the script knows nothing of it.
            self.teller.note(&outcome.message);
        }
        outcome.outputs = std::mem::take(&mut self.outputs);
        outcome.audit = message.text("audit").map(str::to_string);
        Ok(outcome)
    }

    /// `before` is the stage in which the last try began: its own refusal is an
    /// answer, one after an unanswered request is not.
    fn give_up(&self, before: Stage, runs: bool, trouble: Trouble) -> Outcome {
        let answered = matches!(trouble, Trouble::No(..) | Trouble::Stranger(_));
        let unheard = matches!(trouble, Trouble::Unreachable(_) | Trouble::Lost(_));
        let known = match self.stage {
            Stage::Accepted => Stage::Accepted,
            _ if answered => before,
            Stage::Before if self.in_doubt && unheard => Stage::Asked,
            stage => stage,
        };
        let limit = self.patience.deadline(self.work).is_some_and(|d| Instant::now() >= d);
        // One who only follows has nothing at stake but the answer.
        let asked = if runs { Stage::Asked } else { Stage::Accepted };
        if known < asked {
            if self.work.stop.is_set() {
                return Outcome::skipped("cancelled before it began");
            }
            return failed(self.work, trouble);
        }
        let error = trouble.into_error();
        let reason = if limit { over_limit(self.work) } else { error.message };
        let said = if known == Stage::Accepted {
            format!("accepted, its end unknown: {reason}")
        } else {
            format!("perhaps accepted, its end unknown: {reason}")
        };
        let error = Error { exit: Exit::UnknownEnd, message: said, hints: Vec::new() };
        let target = &self.work.targets[self.teller.target].name;
        let error = error.hint(format!("octo-push -t {target} follow {}", self.job));
        Outcome::error(Kind::Unknown, Origin::Octopus, error)
    }
}

/// What an end says besides how it ended.
fn besides(end: &Message) -> Vec<String> {
    let mut said = Vec::new();
    if end.text("truncated") == Some("yes") {
        said.push("its output is longer than its log may be: cut".to_string());
    }
    if let Some(strays) = end.text("strays") {
        // Without their numbers, so that equal ends are equal; the record has them.
        let name =
            |stray: &'_ str| stray.split_once(' ').map_or(stray, |(_, name)| name).to_string();
        let mut names: Vec<String> = strays.lines().map(name).collect();
        names.dedup();
        said.push(format!("left running with its output open: {}", names.join(", ")));
    }
    said
}
