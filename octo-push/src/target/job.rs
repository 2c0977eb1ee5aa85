//! One job on one target: put, run, follow, and all of it again after the
//! connection broke, without running anything twice.
//!
//! The job's id is ours, so that a repeated `run` attaches to what is there. A
//! request that may have arrived is never reported as "nothing ran".

use crate::target::attempts;
use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::{Reporter, TargetEvent};
use crate::target::job_stream::{Followed, JobStream};
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
use crate::target::package::counters::Sent;
use crate::target::question::{ask, located};
use crate::target::request::{JobPayload, JobPlan};
use crate::target::retry::{Gain, Retry};
use crate::target::statement::{Statements, doubted};
use octo_core::base::digest::Digest;
use octo_core::base::error::{Error, Exit};
use octo_core::base::names::JobId;
use octo_core::base::refusal::Refusal;
use octo_core::tentacle::statement::Asks;
use octo_core::trust::Verb;
use octo_wire::{Fields, Request};
use std::time::Instant;

/// How far a job has come, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing can have been accepted.
    Before,
    /// The request went out, no answer came.
    Asked,
    Accepted,
}

/// How a job is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunMode {
    /// Leave once it is accepted.
    pub(crate) detach: bool,
    /// An octo-push before this one may have asked for it.
    pub(crate) in_doubt: bool,
}

/// Runs the job on the reporter's target.
pub(crate) fn run(
    context: &Context,
    reporter: &Reporter,
    plan: &JobPlan,
    job: &JobId,
    mode: RunMode,
) -> Outcome {
    let client = JobClient { in_doubt: mode.in_doubt, ..JobClient::new(context, reporter, job) };
    client.finish(Some((plan, mode.detach)))
}

/// Follows a job that was accepted before.
pub(crate) fn follow(context: &Context, job: &JobId, reporter: &Reporter) -> Outcome {
    JobClient::new(context, reporter, job).finish(None)
}

/// Asks for a job's end; its own word comes to those who follow it.
///
/// # Errors
/// In words, where it can't be asked, or says no.
pub(crate) fn cancel(context: &Context, reporter: &Reporter, job: &JobId) -> Result<(), String> {
    let mut statements = Statements::new(&context.client_config, job);
    let asked =
        attempts::ask_all_the_same(context, reporter, |client| statements.cancel(client).map(drop));
    asked.map_err(|error| {
        doubted(format!("can't cancel: {}", error.into_error().message), statements.until())
    })
}

/// One job at one target, over as many connections as it takes.
#[derive(Debug)]
struct JobClient<'a> {
    context: &'a Context,
    reporter: &'a Reporter,
    job: &'a JobId,
    stage: Stage,
    statements: Statements<'a>,
    stream: JobStream,
    /// What was asked to run, once it was.
    spec: Option<Digest>,
    /// The person's Ctrl-C was passed on.
    cancelled: bool,
    in_doubt: bool,
    retry: Retry,
}

impl<'a> JobClient<'a> {
    fn new(context: &'a Context, reporter: &'a Reporter, job: &'a JobId) -> JobClient<'a> {
        JobClient {
            context,
            reporter,
            job,
            stage: Stage::Before,
            statements: Statements::new(&context.client_config, job),
            stream: JobStream::default(),
            spec: None,
            cancelled: false,
            in_doubt: false,
            retry: Retry::new(context.bounds()),
        }
    }

    /// Tries until there is an outcome.
    fn finish(mut self, run: Option<(&JobPlan, bool)>) -> Outcome {
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
            let error = match attempt {
                Ok(outcome) => break outcome,
                // Of a job that may be there, these say "not now", not "never".
                Err(ClientError::Refused(refusal, error, _))
                    if self.may_be_there(before, refusal) =>
                {
                    ClientError::Lost(error)
                }
                Err(error) => error,
            };
            let Self { context, reporter, retry, .. } = &mut self;
            if let Err(error) = attempts::pause_after(context, reporter, retry, error) {
                break self.give_up(before, run.is_some(), error);
            }
        };
        let is_disbelieved = outcome.kind == OutcomeKind::Unknown && outcome.proved == Some(false);
        if self.stage != Stage::Accepted || is_disbelieved {
            outcome = outcome.doubted(self.statements.until());
        }
        outcome.job = Some(self.job.clone());
        outcome
    }

    fn may_be_there(&self, before: Stage, refusal: Refusal) -> bool {
        let asked = before != Stage::Before || self.stage == Stage::Accepted;
        (asked || self.in_doubt)
            && matches!(
                refusal,
                Refusal::Busy
                    | Refusal::Unavailable
                    | Refusal::Io
                    | Refusal::Full
                    | Refusal::Policy
            )
    }

    fn attempt(&mut self, run: Option<(&JobPlan, bool)>) -> Result<Outcome, ClientError> {
        let context = self.context;
        let target = &context.targets[self.reporter.target];
        let mut client = attempts::connect(context, self.reporter, &mut self.retry)?;
        context.written()?;
        if let Some((plan, detach)) = run
            && self.stage != Stage::Accepted
        {
            if let Some(package) = &plan.package {
                if package.is_sent() && self.stage == Stage::Before {
                    ask(&mut client, target, plan, self.job)?;
                }
                let retry = &mut self.retry;
                // Of the one package that is put, or there, again after a break.
                let sent = self.reporter.sent.get().map(|sent| Sent { size: 0, ..sent });
                self.reporter.sent.set(sent);
                package.put(&mut client, context, self.reporter, retry)?;
                self.retry.gain(Gain::Files, 1);
            }
            let request =
                plan.request(target.name.as_str(), self.job).map_err(ClientError::Local)?;
            let reply = self.ask_to_run(&mut client, plan, &request);
            let reply = reply.map_err(|error| located(plan, target, error))?;
            self.accepted();
            if detach {
                client.close();
                return Ok(Outcome::answered(&reply));
            }
        }
        let outcome = self.follow(&mut client)?;
        client.close();
        Ok(outcome)
    }

    fn ask_to_run(
        &mut self,
        client: &mut TlsClient<'_>,
        plan: &JobPlan,
        job: &JobPayload<'_>,
    ) -> Result<Fields, ClientError> {
        let mut request = Request::new(Verb::Run)
            .with("job", self.job)
            .with("spec", job.spec.len())
            .with("script", job.script.len());
        if let Some(stdin) = job.stdin {
            request = request.with("stdin", stdin.len());
        }
        let frame = plan.frame(job);
        if let Some(frame) = frame {
            request = request.with("frame", frame.len());
        }
        let script = frame.unwrap_or(job.script);
        let spec = Digest::of(&job.spec);
        let signed = self.statements.sign(client, Asks::Request(spec))?;
        self.spec = Some(spec);
        // From now on it may arrive, whatever becomes of us.
        let before = std::mem::replace(&mut self.stage, Stage::Asked);
        let parts = [&job.spec, script, job.stdin.unwrap_or_default(), &job.secrets];
        let asked = self.statements.ask(client, &signed, request, &parts);
        if let Err(ClientError::Local(_)) = &asked {
            // It was us who stopped, before all of it had left.
            self.stage = before;
        }
        asked
    }

    fn accepted(&mut self) {
        if self.stage != Stage::Accepted {
            self.stage = Stage::Accepted;
            self.reporter.report(TargetEvent::Accepted(self.job.clone()));
        }
        self.retry.gain(Gain::Accepted, 1);
    }

    /// The main thread cancels the jobs that it knows of; one that was accepted
    /// in the same moment sees to it itself.
    fn cancel_if_asked(&mut self) {
        if self.context.stop.is_set() && !self.cancelled {
            self.cancelled = true;
            if let Err(why) = cancel(self.context, self.reporter, self.job) {
                self.reporter.note(why);
            }
        }
    }

    fn follow(&mut self, client: &mut TlsClient<'_>) -> Result<Outcome, ClientError> {
        self.stream.ask(client, self.job)?;
        self.accepted();
        self.cancel_if_asked();
        let began = Instant::now();
        let keys = &self.context.targets[self.reporter.target].seals;
        let (job, spec, tentacle) = (self.job, self.spec, client.peer());
        let followed = Followed { job, spec, tentacle, keys };
        loop {
            let ended = self.stream.next(client, self.reporter, &followed);
            self.retry.gain(Gain::Output, self.stream.offset());
            let ended = ended?;
            self.retry.followed(began.elapsed());
            if let Some(outcome) = ended {
                return Ok(outcome);
            }
        }
    }

    /// `before` is the stage in which the last try began: its own refusal is an
    /// answer, one after an unanswered request is not.
    fn give_up(&self, before: Stage, runs: bool, error: ClientError) -> Outcome {
        let answered = matches!(error, ClientError::Refused(..) | ClientError::Untrusted(..));
        let unheard = matches!(
            error,
            ClientError::Unreachable(_)
                | ClientError::Ended(_)
                | ClientError::Lost(_)
                | ClientError::Overdue(_)
        );
        let known = match self.stage {
            Stage::Accepted => Stage::Accepted,
            _ if answered => before,
            Stage::Before if self.in_doubt && unheard => Stage::Asked,
            stage => stage,
        };
        // One who only follows has nothing at stake but the answer.
        let asked = if runs { Stage::Asked } else { Stage::Accepted };
        if known < asked {
            if self.context.stop.is_set() {
                return Outcome::skipped("cancelled before it began");
            }
            return Outcome::failed(self.context, error);
        }
        let reason = error.into_error().message;
        let said = if known == Stage::Accepted {
            format!("accepted, its end unknown: {reason}")
        } else {
            format!("perhaps accepted, its end unknown: {reason}")
        };
        let error = Error { exit: Exit::UnknownEnd, message: said, hints: Vec::new() };
        let target = &self.context.targets[self.reporter.target].name;
        let from = self.context.common.targets_said();
        let error = error.hint(format!("octo-push {from}-t {target} follow {}", self.job));
        Outcome::error(OutcomeKind::Unknown, OutcomeOrigin::Octopus, error)
    }
}
