//! What a tentacle tells of a job after `follow`: its states, its output, its end.

use crate::target::connection::client::Client;
use crate::target::connection::client_error::ClientError;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use octo_core::base::names::JobId;
use octo_core::tentacle::job::{EndKind, Stream};
use octo_core::trust::Verb;
use octo_wire::{Duplex, Failure, Fields, Request, StreamWord};

/// How much of a job's stream has come, over all connections.
#[derive(Debug, Default)]
pub(super) struct JobStream {
    /// How many bytes of its output.
    offset: u64,
    /// The lines that it handed back.
    outputs: Vec<u8>,
}

impl JobStream {
    /// Asks for what has not come yet.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(super) fn ask<S: Duplex>(
        &self,
        client: &mut Client<'_, S>,
        job: &JobId,
    ) -> Result<(), ClientError> {
        let request = Request::new(Verb::Follow).with("job", job).with("offset", self.offset);
        client.ask(&request, b"").map(drop)
    }

    /// Takes the next message; the outcome, once that was the end.
    ///
    /// # Errors
    /// A refusal, and all that can go wrong with the connection.
    pub(super) fn next<S: Duplex>(
        &mut self,
        client: &mut Client<'_, S>,
        reporter: &Reporter,
        job: &JobId,
    ) -> Result<Option<Outcome>, ClientError> {
        let (word, said) = client.next()?;
        match word {
            Some(StreamWord::Out) => self.take(client, reporter, Stream::Out, &said)?,
            Some(StreamWord::Err) => self.take(client, reporter, Stream::Err, &said)?,
            Some(StreamWord::State) => tell_state(reporter, job, &said),
            Some(StreamWord::Outputs) => self.outputs = client.body(&said)?,
            Some(StreamWord::No) => return Err(client.refused(&said)),
            Some(StreamWord::End) => return self.end(client, reporter, &said).map(Some),
            Some(StreamWord::Tick) | None => client.skip(&said)?,
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
            reporter.output(stream, bytes);
            // Counted piece by piece: what came before a cut is not asked for again.
            self.offset += bytes.len() as u64;
            Ok(())
        })
    }

    fn end<S: Duplex>(
        &mut self,
        client: &Client<'_, S>,
        reporter: &Reporter,
        said: &Fields,
    ) -> Result<Outcome, ClientError> {
        let word: &str = said.get("kind").unwrap_or("");
        let Some(end) = EndKind::from_words(word, said.get("code").unwrap_or(0)) else {
            return Err(client.wrong(Failure::Malformed(format!("an end of kind {word}"))));
        };
        let mut outcome = Outcome::ended(end, said.get("reason"));
        let why = [outcome.message].into_iter().filter(|message| !message.is_empty());
        outcome.message = why.chain(remarks(said)).collect::<Vec<_>>().join("; ");
        if outcome.succeeded() && !outcome.message.is_empty() {
            // Not as it should be, though the script knows nothing of it.
            reporter.note(&outcome.message);
        }
        outcome.outputs = std::mem::take(&mut self.outputs);
        outcome.audit = Outcome::audit_head(said);
        Ok(outcome)
    }
}

fn tell_state(reporter: &Reporter, job: &JobId, said: &Fields) {
    match (said.get("is").unwrap_or(""), said.get("holder").unwrap_or("")) {
        ("held", _) => {
            reporter.note(format!("waits for approval there: octo-exec approve {job}"));
        }
        ("waiting", "") => reporter.note("waits for a lock"),
        ("waiting", holder) => reporter.note(format!("waits for a lock, held by {holder}")),
        (state, _) => reporter.detail(format!("job {job} is {state}")),
    }
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
