//! Reaching a target, and reaching it again: how long, how often, how far apart.
//!
//! What fails before there was a connection is told at once, unless `--retries`
//! says otherwise; a connection that breaks is made again, at first at once,
//! then a second apart, then slower, as long as `--reconnect` lets it.

use crate::target::connection::client::{Client, TlsClient};
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use octo_core::base::error::{Error, Exit};
use octo_core::base::refusal::Refusal;
use octo_core::base::units::human_duration;
use std::time::{Duration, Instant};

/// How much longer a target is tried.
#[derive(Debug)]
pub(crate) struct Retry {
    began: Instant,
    /// When contact was lost, or the first try began.
    since: Instant,
    /// There was contact: from now on it can only be lost.
    connected: bool,
    /// Tries that failed since something came.
    failures: u32,
    /// When a try failed last.
    failed: Option<Instant>,
    /// Tries that found nobody, before there was any contact.
    unreachable: u32,
}

/// How seldom a broken connection may be made again without a pause.
const AT_ONCE_EACH: Duration = Duration::from_secs(1);

impl Retry {
    pub(crate) fn new() -> Retry {
        let now = Instant::now();
        Retry {
            began: now,
            since: now,
            connected: false,
            failures: 0,
            failed: None,
            unreachable: 0,
        }
    }

    /// Something came.
    pub(crate) fn progress(&mut self) {
        self.failures = 0;
    }

    /// When `--limit` is over.
    pub(crate) fn deadline(&self, context: &Context) -> Option<Instant> {
        context.common.limit.map(|limit| self.began + limit)
    }

    /// How long this try may take to connect.
    fn wait(&self, context: &Context) -> Duration {
        let wait = context.common.wait;
        match self.deadline(context) {
            Some(deadline) => wait.min(deadline.saturating_duration_since(Instant::now())),
            None => wait,
        }
    }

    /// Connects to the reporter's target.
    ///
    /// # Errors
    /// Why that failed, which [`Retry::pause_after`] judges.
    pub(crate) fn open<'a>(
        &mut self,
        context: &'a Context,
        reporter: &Reporter,
    ) -> Result<TlsClient<'a>, ClientError> {
        let target = &context.targets[reporter.target];
        let mut client = Client::open(&context.client_config, target, self.wait(context))?;
        self.connected = true;
        reporter.peer.set(client.peer());
        client.set_deadline(self.deadline(context));
        Ok(client)
    }

    /// Waits until it can be tried again.
    ///
    /// # Errors
    /// The same error, if it is not to be tried again.
    pub(crate) fn pause_after(
        &mut self,
        context: &Context,
        reporter: &Reporter,
        error: ClientError,
    ) -> Result<(), ClientError> {
        let now = Instant::now();
        if self.deadline(context).is_some_and(|deadline| now >= deadline) {
            return Err(error);
        }
        let Some(bound) = self.bound(context, &error, now) else { return Err(error) };
        // What breaks each time it has begun would be tried as fast as it breaks.
        let rarely = self.failed.is_none_or(|failed| now.duration_since(failed) >= AT_ONCE_EACH);
        let pause = pause(self.failures, rarely && matches!(error, ClientError::Lost(_)));
        if now.duration_since(self.since).saturating_add(pause) >= bound {
            return Err(error);
        }
        self.failures += 1;
        self.failed = Some(now);
        let text = format!("{}; trying again", error.into_error().message);
        // Of a fleet there would be hundreds of such lines.
        if self.failures == 3 && context.targets.len() == 1 {
            reporter.note(text);
        } else {
            reporter.detail(text);
        }
        // The stop ends a pause once; after it, pauses are whole, or trying again
        // would be a busy loop.
        if context.stop.is_set() {
            std::thread::sleep(pause);
        } else {
            context.stop.sleep(pause);
        }
        Ok(())
    }

    /// How long it may go on failing since [`Retry::since`]; `None` for what is not
    /// tried again.
    fn bound(&mut self, context: &Context, error: &ClientError, now: Instant) -> Option<Duration> {
        if self.failures == 0 {
            self.since = now;
        }
        match (error, self.connected) {
            (ClientError::Unreachable(_) | ClientError::Lost(_), true) => {
                Some(context.common.outage)
            }
            (ClientError::Unreachable(_), false) => {
                self.unreachable += 1;
                // So many tries were asked for, not so much time.
                (self.unreachable <= context.common.retries).then_some(Duration::MAX)
            }
            (ClientError::Lost(_), false) => {
                if self.failures == 0 {
                    self.since = self.began;
                }
                Some(context.common.wait)
            }
            // Too much at once: the same request may pass on another connection.
            (ClientError::Refused(Refusal::Busy, _), _) => Some(context.common.wait),
            _ => None,
        }
    }
}

/// At once where that may help; then a second apart, then slower.
fn pause(failures: u32, at_once: bool) -> Duration {
    match failures {
        0 if at_once => Duration::ZERO,
        0..=5 => Duration::from_secs(1),
        6..=9 => Duration::from_secs(1 << (failures - 5)),
        _ => Duration::from_secs(15),
    }
}

/// Does something on a connection that does no harm when it is done twice; tries
/// again as [`Retry`] has it.
pub(crate) fn ask<'a, T>(
    context: &'a Context,
    reporter: &Reporter,
    mut request: impl FnMut(&mut TlsClient<'a>) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let target = &context.targets[reporter.target];
    let mut retry = Retry::new();
    loop {
        if context.stop.is_set() {
            return Err(ClientError::Local(Error::new(
                Exit::Cancelled,
                &target.address,
                "cancelled",
            )));
        }
        let answer = retry.open(context, reporter).and_then(|mut client| {
            let answer = request(&mut client)?;
            client.close();
            Ok(answer)
        });
        match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => retry.pause_after(context, reporter, error)?,
        }
    }
}

/// The words for a limit that is over.
pub(crate) fn over_limit(context: &Context) -> String {
    format!("not over within --limit {}", human_duration(context.common.limit.unwrap_or_default()))
}
