//! One target, asked over as many connections as it takes; [`Retry`] says how many.

use crate::records::heads::heard::Watch;
use crate::records::heads::known::Known;
use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use crate::target::connection::deadlines::Deadlines;
use crate::target::connection::first_contact::nobody_is_it;
use crate::target::connection::opening::{Patience, open};
use crate::target::context::Context;
use crate::target::event::{Reporter, TargetEvent};
use crate::target::retry::Retry;
use octo_core::base::error::{Error, Exit};

/// Connects to the reporter's target.
///
/// # Errors
/// Why that failed, which [`Retry::pause_after`] judges.
pub(crate) fn connect<'a>(
    context: &'a Context,
    reporter: &Reporter,
    retry: &mut Retry,
) -> Result<TlsClient<'a>, ClientError> {
    let target = &context.targets[reporter.target];
    if target.is_unknown() {
        return Err(ClientError::Untrusted(
            None,
            nobody_is_it(target, &context.common.targets_said()),
        ));
    }
    // Before anything is asked: what others keep meanwhile, no answer need go on from.
    let known = context.heads.known(target).unwrap_or_else(|error| {
        let text = format!("its audit logs can't be compared: {}", error.message);
        reporter.report(TargetEvent::Waits(text));
        Known::default()
    });
    let watch = Watch::new(&known, &reporter.heard);
    let patience = Patience { wait: retry.begin(), until: retry.deadline() };
    let mut learned = reporter.learned.borrow_mut();
    let mut client = open(&context.client_config, target, patience, &mut learned)?;
    for passed in learned.passed.drain(..) {
        reporter.detail(format!("{}; another way leads there", passed.message));
    }
    retry.connected();
    reporter.peer.set(client.peer());
    if let Some(identity) = client.peer() {
        watch.meet(&known, identity);
    }
    client.watch = watch;
    client.set_deadlines(Deadlines { limit: context.common.limit, until: retry.deadline() });
    Ok(client)
}

/// Waits until it can be tried again.
///
/// # Errors
/// As [`Retry::pause_after`].
pub(crate) fn pause_after(
    context: &Context,
    reporter: &Reporter,
    retry: &mut Retry,
    error: ClientError,
) -> Result<(), ClientError> {
    let (pause, why) = retry.pause_after(error, std::time::Instant::now())?;
    let text = format!("{}; trying again", why.message);
    // Of a fleet there would be hundreds of such lines.
    if retry.failures() == 4 && context.targets.len() == 1 {
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

/// Asks a question, which does no harm when it is asked twice. All of it is over in a
/// minute, or within `--limit`.
///
/// # Errors
/// Why there is no answer; exit 130 once the person wants no more.
pub(crate) fn ask<'a, T>(
    context: &'a Context,
    reporter: &Reporter,
    mut request: impl FnMut(&mut TlsClient<'a>) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let retry = Retry::asking(context.bounds());
    repeat(retry, context, reporter, true, |client, _| request(client))
}

/// Moves bytes, for as long as they flow; the [`Retry`] is told what was gained.
///
/// # Errors
/// As [`ask`].
pub(crate) fn transfer<'a, T>(
    context: &'a Context,
    reporter: &Reporter,
    request: impl FnMut(&mut TlsClient<'a>, &mut Retry) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    repeat(Retry::new(context.bounds()), context, reporter, true, request)
}

fn repeat<'a, T>(
    mut retry: Retry,
    context: &'a Context,
    reporter: &Reporter,
    heeds_stop: bool,
    mut request: impl FnMut(&mut TlsClient<'a>, &mut Retry) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let target = &context.targets[reporter.target];
    loop {
        if heeds_stop && context.stop.is_set() {
            let error = Error::new(Exit::Cancelled, &target.roads, "cancelled");
            return Err(ClientError::Local(error));
        }
        let asked = connect(context, reporter, &mut retry).and_then(|mut client| {
            let answer = request(&mut client, &mut retry)?;
            client.close();
            Ok(answer)
        });
        match asked {
            Ok(answer) => return Ok(answer),
            Err(error) => pause_after(context, reporter, &mut retry, error)?,
        }
    }
}

/// Asks a question although the person wants no more: that they don't is the question.
///
/// # Errors
/// Why there is no answer.
pub(crate) fn ask_all_the_same<'a, T>(
    context: &'a Context,
    reporter: &Reporter,
    mut request: impl FnMut(&mut TlsClient<'a>) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let retry = Retry::asking(context.bounds());
    repeat(retry, context, reporter, false, |client, _| request(client))
}

#[cfg(test)]
mod tests {
    use crate::target::connection::client::Client;
    use crate::target::connection::first_contact::Introduction;
    use crate::target::connection::via::Via;
    use octo_core::base::thumbprint::Thumbprint;
    use octo_core::targets::Targets;
    use octo_core::trust::Verb;
    use octo_wire::{Duplex, Request};
    use std::cell::RefCell;
    use std::io::{self, Read, Write};
    use std::path::Path;
    use std::rc::Rc;
    use std::time::Instant;

    /// A tentacle that says ok, and the deadlines that it was given.
    #[derive(Clone, Default)]
    struct Watched(Rc<RefCell<Vec<Option<Instant>>>>);

    impl Read for Watched {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer[..3].copy_from_slice(b"ok\n");
            Ok(3)
        }
    }

    impl Write for Watched {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Duplex for Watched {
        fn set_deadline(&mut self, deadline: Option<Instant>) {
            self.0.borrow_mut().push(deadline);
        }
    }

    #[test]
    fn whatever_is_waited_for_has_its_deadline() {
        let target =
            Targets::parse(Path::new("t"), b"web1 h webpki\n").expect("sound").all.remove(0);
        let thumbprint = Thumbprint::of_certificate(b"x");
        let us = Introduction { thumbprint, name: "ann".into(), config: "/c".into() };
        let watched = Watched::default();
        let mut client = Client::over(&us, Via { target: &target, road: None }, watched.clone());
        let began = Instant::now();
        let given = |wanted: &[u64]| {
            let given = watched.0.take().into_iter().map(|at| Some((at? - began).as_secs()));
            let given: Option<Vec<u64>> = given.collect();
            // One that was held up has more, one that forgets it has none.
            let near = |(given, wanted): (&u64, &u64)| (*wanted..wanted + 30).contains(given);
            let is_so = given.as_ref().is_some_and(|given| {
                given.len() == wanted.len() && given.iter().zip(wanted).all(near)
            });
            assert!(is_so, "{given:?} for {wanted:?}");
        };
        // What was not asked for takes as long as it takes.
        assert_eq!(watched.0.take(), [None]);
        client.ask(&Request::new(Verb::Status), b"").expect("ok");
        given(&[60]);
        let body = [0; 65 << 10];
        let run = Request::new(Verb::Run).with("body", body.len());
        client.ask(&run, &body).expect("ok");
        given(&[30, 94, 31, 60]);
        client.ask_about(&Request::new(Verb::Put), 1 << 30).expect("ok");
        given(&[30, 60 + 128]);
        client.flows();
        assert_eq!(watched.0.take(), [None]);
    }
}
