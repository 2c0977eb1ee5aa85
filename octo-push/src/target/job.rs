//! One job on one target: put, run, follow, and all of it again after the
//! connection broke, without running anything twice.
//!
//! The job's id is ours, so that a repeated `run` attaches to what is there. A
//! request that may have arrived is never reported as "nothing ran".

use crate::target::connection::client::{Client, ClientError};
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
use crate::target::request::{Plan, Request};
use crate::target::retry::{Context, Reporter, Retry, TargetEvent, failed, over_limit};
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
struct JobClient<'a> {
    context: &'a Context,
    reporter: &'a Reporter,
    job: &'a JobId,
    stage: Stage,
    /// How much of the log has come.
    offset: u64,
    outputs: Vec<u8>,
    /// The person's Ctrl-C was passed on.
    cancelled: bool,
    /// An octo-push before this one may have asked for it.
    in_doubt: bool,
    retry: Retry,
}

/// Runs the job on the reporter's target. `in_doubt`: it may be there already.
pub(crate) fn run(
    context: &Context,
    plan: &Plan,
    job: &JobId,
    (detach, in_doubt): (bool, bool),
    reporter: &Reporter,
) -> Outcome {
    let client = JobClient { in_doubt, ..JobClient::new(context, reporter, job, Stage::Before) };
    client.go(Some((plan, detach)))
}

/// Follows a job that was accepted before.
pub(crate) fn follow(context: &Context, job: &JobId, reporter: &Reporter) -> Outcome {
    JobClient::new(context, reporter, job, Stage::Before).go(None)
}

/// Asks for a job's end; its own word comes to those who follow it.
///
/// # Errors
/// The error.
pub(crate) fn cancel(
    context: &Context,
    target: usize,
    job: &JobId,
) -> Result<Message, ClientError> {
    let target = &context.targets[target];
    let mut client = Client::open(&context.client_config, target, context.common.wait)?;
    let reply = client.ask(&Message::new("cancel").with("job", job), b"")?;
    client.close();
    Ok(reply)
}

impl<'a> JobClient<'a> {
    fn new(
        context: &'a Context,
        reporter: &'a Reporter,
        job: &'a JobId,
        stage: Stage,
    ) -> JobClient<'a> {
        JobClient {
            context,
            reporter,
            job,
            stage,
            offset: 0,
            outputs: Vec::new(),
            cancelled: false,
            in_doubt: false,
            retry: Retry::new(),
        }
    }

    fn go(mut self, run: Option<(&Plan, bool)>) -> Outcome {
        let mut outcome = loop {
            if self.context.stop.is_set() && self.stage == Stage::Before {
                break Outcome::skipped("cancelled before it began");
            }
            let before = self.stage;
            let attempt = self.attempt(run);
            if self.stage == Stage::Asked && matches!(attempt, Err(ClientError::Refused(..))) {
                // It was answered: there is no more doubt than there was.
                self.stage = before;
            }
            match attempt {
                Ok(outcome) => break outcome,
                // Of a job that may be there, these say "not now", not "never".
                Err(ClientError::Refused(refusal, error)) if self.may_be_there(before, refusal) => {
                    if let Err(error) =
                        self.retry.after(self.context, self.reporter, ClientError::Lost(error))
                    {
                        break self.give_up(before, run.is_some(), error);
                    }
                }
                Err(error) => match self.retry.after(self.context, self.reporter, error) {
                    Ok(()) => {}
                    Err(error) => break self.give_up(before, run.is_some(), error),
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

    fn attempt(&mut self, run: Option<(&Plan, bool)>) -> Result<Outcome, ClientError> {
        let context = self.context;
        let target = &context.targets[self.reporter.target];
        let mut client = Client::open(&context.client_config, target, self.retry.wait(context))?;
        self.retry.met();
        self.reporter.peer.set(client.peer());
        client.set_deadline(self.retry.deadline(context));
        if let Some((plan, detach)) = run
            && self.stage != Stage::Accepted
        {
            if let Some(package) = &plan.package {
                package.put(&mut client, &context.counters, &context.stop)?;
                self.retry.progress();
            }
            let request =
                plan.request(target.name.as_str(), self.job).map_err(ClientError::Local)?;
            let reply = self.ask_to_run(&mut client, &request)?;
            self.accepted();
            if detach {
                client.close();
                let audit = reply.text("audit").map(str::to_string);
                return Ok(Outcome { audit, ..Outcome::done() });
            }
        }
        let outcome = self.follow(&mut client)?;
        client.close();
        Ok(outcome)
    }

    fn ask_to_run(
        &mut self,
        client: &mut Client<'_>,
        request: &Request,
    ) -> Result<Message, ClientError> {
        let mut message = Message::new("run").with("job", self.job);
        message.push("by", self.context.client_config.by.as_bytes());
        let message = message
            .with("spec", request.spec.len())
            .with("script", request.script)
            .with("body", request.body.len());
        // From the first byte on it may arrive, whatever becomes of us.
        self.stage = Stage::Asked;
        client.ask(&message, &request.body)
    }

    fn accepted(&mut self) {
        if self.stage != Stage::Accepted {
            self.stage = Stage::Accepted;
            self.reporter.tell(TargetEvent::Accepted(self.reporter.target, self.job.clone()));
        }
        self.retry.progress();
    }

    /// The main thread cancels the jobs that it knows of; one that was accepted
    /// in the same moment sees to it itself.
    fn cancel_if_asked(&mut self) {
        if self.context.stop.is_set() && !self.cancelled {
            self.cancelled = true;
            if let Err(error) = cancel(self.context, self.reporter.target, self.job) {
                let error = error.into_error();
                self.reporter.note(format!("can't cancel: {}", error.message));
            }
        }
    }

    fn follow(&mut self, client: &mut Client<'_>) -> Result<Outcome, ClientError> {
        let request = Message::new("follow").with("job", self.job).with("offset", self.offset);
        client.ask(&request, b"")?;
        self.accepted();
        self.cancel_if_asked();
        loop {
            let message = client.next()?;
            match message.word() {
                "out" => self.take(client, Stream::Out, &message)?,
                "err" => self.take(client, Stream::Err, &message)?,
                "state" => self.tell_state(&message),
                "outputs" => self.outputs = client.body(&message)?,
                "no" => return Err(client.refused(&message)),
                "end" => return self.ended(client, &message),
                _ => client.skip(&message)?,
            }
            self.retry.progress();
        }
    }

    fn take(
        &mut self,
        client: &mut Client<'_>,
        stream: Stream,
        message: &Message,
    ) -> Result<(), ClientError> {
        let length = message.body().map_err(|failure| client.wrong(failure))?;
        let (reporter, offset) = (self.reporter, &mut self.offset);
        client.pieces(length, |bytes| {
            reporter.output(stream, bytes);
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
                .reporter
                .note(format!("waits for approval there: octo-exec approve {}", self.job)),
            "waiting" if holder.is_empty() => self.reporter.note("waits for a lock"),
            "waiting" => self.reporter.note(format!("waits for a lock, held by {holder}")),
            other => self.reporter.detail(format!("job {} is {other}", self.job)),
        }
    }

    fn ended(&mut self, client: &Client<'_>, message: &Message) -> Result<Outcome, ClientError> {
        let code = message.number("code").map_err(|failure| client.wrong(failure))?;
        let word = message.text("kind").unwrap_or("");
        let Some(end) = EndKind::from_words(word, code.unwrap_or(0)) else {
            return Err(client.wrong(Failure::Malformed(format!("an end of kind {word}"))));
        };
        let mut outcome = Outcome::ended(end, message.text("reason"));
        let said = [&outcome.message].into_iter().filter(|m| !m.is_empty()).cloned();
        outcome.message = said.chain(besides(message)).collect::<Vec<_>>().join("; ");
        if outcome.succeeded() && !outcome.message.is_empty() {
            // Not as it should be, though the script knows nothing of it.
            self.reporter.note(&outcome.message);
        }
        outcome.outputs = std::mem::take(&mut self.outputs);
        outcome.audit = message.text("audit").map(str::to_string);
        Ok(outcome)
    }

    /// `before` is the stage in which the last try began: its own refusal is an
    /// answer, one after an unanswered request is not.
    fn give_up(&self, before: Stage, runs: bool, error: ClientError) -> Outcome {
        let answered = matches!(error, ClientError::Refused(..) | ClientError::Untrusted(_));
        let unheard = matches!(error, ClientError::Unreachable(_) | ClientError::Lost(_));
        let known = match self.stage {
            Stage::Accepted => Stage::Accepted,
            _ if answered => before,
            Stage::Before if self.in_doubt && unheard => Stage::Asked,
            stage => stage,
        };
        let limit = self.retry.deadline(self.context).is_some_and(|d| Instant::now() >= d);
        // One who only follows has nothing at stake but the answer.
        let asked = if runs { Stage::Asked } else { Stage::Accepted };
        if known < asked {
            if self.context.stop.is_set() {
                return Outcome::skipped("cancelled before it began");
            }
            return failed(self.context, error);
        }
        let error = error.into_error();
        let reason = if limit { over_limit(self.context) } else { error.message };
        let said = if known == Stage::Accepted {
            format!("accepted, its end unknown: {reason}")
        } else {
            format!("perhaps accepted, its end unknown: {reason}")
        };
        let error = Error { exit: Exit::UnknownEnd, message: said, hints: Vec::new() };
        let target = &self.context.targets[self.reporter.target].name;
        let error = error.hint(format!("octo-push -t {target} follow {}", self.job));
        Outcome::error(OutcomeKind::Unknown, OutcomeOrigin::Octopus, error)
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
