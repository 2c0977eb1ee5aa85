//! What a tentacle tells of a job after `follow`: its states, its output, its end.

mod proof;

pub(crate) use proof::Followed;

use crate::target::connection::client::Client;
use crate::target::connection::client_error::ClientError;
use crate::target::event::{Reporter, TargetEvent};
use crate::target::outcome::Outcome;
use octo_core::base::names::JobId;
use octo_core::tentacle::job::{EndKind, MAXIMUM_OUTPUTS, Stream};
use octo_core::tentacle::outputs;
use octo_core::trust::Verb;
use octo_wire::{Duplex, Failure, Fields, Request, StreamWord};
use proof::{Heard, Proof, Received, disbelieved, judge};

/// How much of a job's stream has come, over all connections.
#[derive(Debug, Default)]
pub(super) struct JobStream {
    /// Its output, which begins with its first byte whatever broke.
    heard: Heard,
    /// The lines that it handed back, or what is wrong with them.
    outputs: Option<Result<Vec<u8>, String>>,
    /// What seals its end.
    sealed: Option<Received>,
    /// What it waits for that has been told, once a kind: each connection hears of it again.
    told: Told,
}

#[derive(Debug, Default)]
struct Told {
    approval: bool,
    lock: bool,
}

impl JobStream {
    /// Asks for what has not come yet.
    pub(super) fn ask<S: Duplex>(
        &self,
        client: &mut Client<'_, S>,
        job: &JobId,
    ) -> Result<(), ClientError> {
        let request =
            Request::new(Verb::Follow).with("job", job).with("offset", self.heard.length());
        client.ask(&request, b"")?;
        // From now on it takes as long as the job does.
        client.flows();
        Ok(())
    }

    /// How many bytes of its output have come.
    pub(super) fn offset(&self) -> u64 {
        self.heard.length()
    }

    /// Takes the next message; the outcome, once that was the end.
    pub(super) fn next<S: Duplex>(
        &mut self,
        client: &mut Client<'_, S>,
        reporter: &Reporter,
        followed: &Followed<'_>,
    ) -> Result<Option<Outcome>, ClientError> {
        let (word, said) = client.next()?;
        match word {
            Some(StreamWord::Out) => self.take(client, reporter, Stream::Out, &said)?,
            Some(StreamWord::Err) => self.take(client, reporter, Stream::Err, &said)?,
            Some(StreamWord::State) => self.told.tell(reporter, followed.job, &said),
            Some(StreamWord::Outputs) => self.outputs = Some(values(client, &said)?),
            Some(StreamWord::Seal) => self.sealed = Some(Received::read(client, &said)?),
            Some(StreamWord::No) => return Err(client.refused(&said)),
            Some(StreamWord::End) => {
                return self.end(client, reporter, followed, &said).map(Some);
            }
            Some(StreamWord::Tick | StreamWord::Part) | None => client.skip(&said)?,
        }
        Ok(None)
    }

    fn take<S: Duplex>(
        &mut self,
        client: &mut Client<'_, S>,
        reporter: &Reporter,
        stream: Stream,
        said: &Fields,
    ) -> Result<(), ClientError> {
        client.pieces(said.body(), |bytes| {
            // Counted piece by piece: what came before a cut is not asked for again.
            self.heard.take(&bytes);
            reporter.output(stream, bytes);
            Ok(())
        })
    }

    fn end<S: Duplex>(
        &mut self,
        client: &mut Client<'_, S>,
        reporter: &Reporter,
        followed: &Followed<'_>,
        said: &Fields,
    ) -> Result<Outcome, ClientError> {
        let word: &str = said.get("kind").unwrap_or("");
        let Some(end) = EndKind::from_words(word, said.get("code").unwrap_or(0)) else {
            return Err(client.wrong(Failure::Malformed(format!("an end of kind {word}"))));
        };
        let job = followed.job;
        let sealed = self.sealed.take();
        // Those that are refused are none: where the seal knows of some, it doesn't fit.
        let values = self.outputs.as_ref().and_then(|values| values.as_deref().ok());
        let values = values.unwrap_or_default();
        let is_proved = match judge(followed, end, said, sealed.as_ref(), &self.heard, values) {
            Proof::Proved(key) => {
                reporter.detail(format!("job {job} is proved, by seal={key}"));
                true
            }
            Proof::Unproved(why) => {
                reporter.detail(format!("job {job} is unproved: {why}"));
                false
            }
            // Neither its values nor its reason are told: nothing of it is believed.
            Proof::Wrong(why) => return Ok(disbelieved(job, end, &why).with_heads(said)),
        };
        let mut outcome = Outcome::ended(end, said.get("reason"));
        outcome.proved = Some(is_proved);
        let why = [outcome.message].into_iter().filter(|message| !message.is_empty());
        outcome.message = why.chain(remarks(said)).collect::<Vec<_>>().join("; ");
        if outcome.succeeded() && !outcome.message.is_empty() {
            // Not as it should be, though the script knows nothing of it.
            reporter.note(&outcome.message);
        }
        let values = self.outputs.take().unwrap_or_else(|| Ok(Vec::new()));
        Ok(outcome.with_heads(said).with_values(values))
    }
}

impl Told {
    fn tell(&mut self, reporter: &Reporter, job: &JobId, said: &Fields) {
        let holder: &str = said.get("holder").unwrap_or("");
        match said.get("is").unwrap_or("") {
            "held" if !std::mem::replace(&mut self.approval, true) => {
                let text = format!(
                    "waits for approval: octo-exec approve {job} there, or by somebody else \
                     octo-push -a approve {job}"
                );
                reporter.report(TargetEvent::Waits(text));
            }
            "waiting" if !std::mem::replace(&mut self.lock, true) => {
                let text = match holder {
                    "" => "waits for a lock".to_string(),
                    _ => format!("waits for a lock, held by {holder}"),
                };
                reporter.report(TargetEvent::Waits(text));
            }
            state => reporter.detail(format!("job {job} is {state}")),
        }
    }
}

/// What the job handed back. A tentacle that was taken over sends what it likes, and people
/// feed this on.
fn values<S: Duplex>(
    client: &mut Client<'_, S>,
    said: &Fields,
) -> Result<Result<Vec<u8>, String>, ClientError> {
    if said.body() > MAXIMUM_OUTPUTS {
        client.skip(said)?;
        return Ok(Err(format!("larger than {MAXIMUM_OUTPUTS} bytes")));
    }
    let values = client.body(said)?;
    Ok(outputs::check(&values).map(|()| values))
}

/// What an end says besides how it ended.
fn remarks(end: &Fields) -> Vec<String> {
    let mut remarks = Vec::new();
    if end.flag("truncated") {
        remarks.push("its output is longer than its log may be: cut".to_string());
    }
    if let Some(strays) = end.get::<&str>("strays") {
        // Without their numbers, so that equal ends are equal; the record has them.
        let name = |stray: &str| stray.split_once(' ').map_or(stray, |(_, name)| name).to_string();
        let mut names: Vec<String> = strays.lines().map(name).collect();
        names.dedup();
        remarks.push(format!("left running with its output open: {}", names.join(", ")));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::connection::first_contact::Introduction;
    use crate::target::connection::via::Via;
    use octo_core::base::thumbprint::Thumbprint;
    use octo_core::targets::{Target, Targets};
    use std::io::{self, Cursor, Read, Write};
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};

    const JOB: &str = "20260101T000000-abcdefghijklm";

    /// What a tentacle says, and what it is told.
    struct Talk {
        says: Cursor<Vec<u8>>,
        told: Vec<u8>,
    }

    impl Read for Talk {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Talk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.told.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Duplex for Talk {}

    fn target() -> Target {
        Targets::parse(Path::new("t"), b"web1 h webpki\n").expect("sound").all.remove(0)
    }

    fn introduction() -> Introduction {
        let thumbprint = Thumbprint::of_certificate(b"x");
        Introduction { thumbprint, name: "ann".into(), config: "/c".into() }
    }

    fn reporter() -> (Reporter, Receiver<TargetEvent>) {
        let (sender, events) = channel();
        (Reporter::new(0, move |event| drop(sender.send(event))), events)
    }

    /// Follows a job over these bytes; what came of it, and the stream's state.
    fn follow(
        stream: &mut JobStream,
        says: &[u8],
        reporter: &Reporter,
    ) -> Result<Outcome, ClientError> {
        let (introduction, target) = (introduction(), target());
        let talk = Talk { says: Cursor::new(says.to_vec()), told: Vec::new() };
        let mut client = Client::over(&introduction, Via { target: &target, road: None }, talk);
        let job = JobId::parse(JOB).expect("an id");
        let followed = Followed { job: &job, spec: None, tentacle: None, keys: &target.seals };
        stream.ask(&mut client, &job)?;
        loop {
            if let Some(outcome) = stream.next(&mut client, reporter, &followed)? {
                return Ok(outcome);
            }
        }
    }

    fn told(events: &Receiver<TargetEvent>) -> String {
        let words = events.try_iter().filter_map(|event| match event {
            TargetEvent::Output(stream, bytes) => {
                Some(format!("{stream:?} {}", String::from_utf8_lossy(&bytes)))
            }
            TargetEvent::Waits(text) | TargetEvent::Note(text) => Some(text),
            TargetEvent::Detail(_) => None,
            other => Some(format!("{other:?}")),
        });
        words.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn a_stream_is_told_in_its_order_and_ends_once() {
        let head = format!("7:{}", "0f".repeat(32));
        let says = format!(
            "ok\nstate is=waiting holder=ann\nout body=3\none\
             tick\nnews body=4\nxxxxerr body=3\ntwooutputs body=4\nA=1\n\
             end kind=exit code=3 truncated=yes strays=7%20sleep%0A8%20sleep audit={head} \
             audit-exec=3{head}\n"
        );
        let (reporter, events) = reporter();
        let mut stream = JobStream::default();
        let outcome = follow(&mut stream, says.as_bytes(), &reporter).expect("an end");
        assert_eq!(told(&events), "waits for a lock, held by ann|Out one|Err two");
        assert_eq!((outcome.status, outcome.outputs.as_deref()), (3, Some(&b"A=1\n"[..])));
        assert_eq!(
            outcome.message,
            "exit 3; its output is longer than its log may be: cut; \
             left running with its output open: sleep"
        );
        let heads = [outcome.audit, outcome.audit_exec].map(|head| head.map(|head| head.seq));
        assert_eq!(heads, [Some(7), Some(37)]);
    }

    #[test]
    fn larger_values_than_a_job_may_have_are_passed_over() {
        let values = "x".repeat((2 << 20) + 1);
        let says = format!("ok\noutputs body=2097153\n{values}end kind=exit code=0\n");
        let (reporter, _events) = reporter();
        let outcome =
            follow(&mut JobStream::default(), says.as_bytes(), &reporter).expect("an end");
        assert_eq!((outcome.status, outcome.outputs), (65, None));
        assert_eq!(outcome.message, "its values are refused: larger than 2097152 bytes");
    }

    /// Each connection hears what it waits for; a person wants to hear it once.
    #[test]
    fn what_it_waits_for_is_told_once() {
        let (reporter, events) = reporter();
        let mut stream = JobStream::default();
        let says = "ok\nstate is=held\nstate is=waiting\n";
        for again in ["state is=waiting holder=ann\n", "state is=held\n"] {
            let said = format!("{says}{again}");
            follow(&mut stream, said.as_bytes(), &reporter).expect_err("cut");
        }
        let waits = events.try_iter().filter_map(|event| match event {
            TargetEvent::Waits(text) => Some(text),
            _ => None,
        });
        let approval = format!(
            "waits for approval: octo-exec approve {JOB} there, or by somebody else octo-push \
             -a approve {JOB}"
        );
        assert_eq!(waits.collect::<Vec<_>>(), [approval.as_str(), "waits for a lock"]);
    }

    /// Cut at any byte, the rest comes over another connection, and nothing twice.
    #[test]
    fn what_came_before_a_cut_is_not_asked_for_again() {
        let says = b"ok\nout body=5\nhelloout body=2\n!\n";
        for cut in 0..says.len() {
            let (reporter, events) = reporter();
            let mut stream = JobStream::default();
            let lost = follow(&mut stream, &says[..cut], &reporter).expect_err("cut");
            assert!(matches!(lost, ClientError::Lost(_)), "{cut}: {lost:?}");
            let offset = usize::try_from(stream.offset()).expect("small");
            let rest = &"hello!\n"[offset..];
            let again = format!("ok\nout body={}\n{rest}end kind=exit code=0\n", rest.len());
            let outcome = follow(&mut stream, again.as_bytes(), &reporter).expect("an end");
            assert!(outcome.succeeded());
            assert_eq!(told(&events).replace("|Out ", "").trim_start_matches("Out "), "hello!\n");
        }
    }

    #[test]
    fn what_makes_no_sense_ends_it() {
        for (says, expected) in [
            (&b"ok\nend kind=exit code=999\n"[..], "an end of kind exit"),
            (b"ok\nend kind=party\n", "an end of kind party"),
            (b"ok\nout body=x\n", "body"),
            // Of no length that a seal has is any byte waited for.
            (b"ok\nseal seal=2049 signature=64 body=2400\n", "a seal of impossible length"),
            (b"ok\nseal seal=9 signature=1025 body=2400\n", "a seal of impossible length"),
            (b"ok\nseal seal=9 signature=9 body=17\n", "a seal of impossible length"),
            (b"ok\nseal seal=9 signature=9 body=65555\n", "a seal of impossible length"),
            (b"ok\nseal signature=9 body=99\n", "a seal of impossible length"),
            (b"maybe\n", "an unexpected maybe"),
            (b"\x16\x03\n", "no word begins the line"),
        ] {
            let (reporter, _events) = reporter();
            let error = follow(&mut JobStream::default(), says, &reporter).expect_err("nonsense");
            assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
            let message = error.into_error().message;
            assert!(message.contains(expected), "{message}");
        }
        let (reporter, _events) = reporter();
        let no = b"ok\nno code=missing reason=gone\n";
        let error = follow(&mut JobStream::default(), no, &reporter).expect_err("refused");
        assert!(matches!(error, ClientError::Refused(..)), "{error:?}");
    }
}
