//! `audit --fetch`: the lines of both logs, copied here and checked while they come.
//!
//! STATE/audit/TARGET/listener.log and exec.log have the form of an audit log. What a
//! tentacle sends can make them longer by lines that follow, and nothing else.

use crate::records::heads::line::Chain;
use crate::target::attempts;
use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
use crate::target::retry::{Gain, Retry};
use octo_core::base::error::{Error, Exit};
use octo_core::base::refusal::Refusal;
use octo_core::base::units::human_size;
use octo_core::tentacle::audit::{AuditCopy, Disagreement, Head};
use octo_core::trust::Verb;
use octo_wire::{Fields, Request};
use std::path::PathBuf;

/// What a target may send in one call, where `--max` says nothing.
pub(super) const USUAL_MOST: u64 = 1 << 30;

/// No reply has more lines: a tentacle sends 1 MiB, and one line that may be longer.
const LONGEST_REPLY: u64 = (1 << 20) + (256 << 10);

/// A reply that is neither so long nor the last is a short one.
const SHORT: u64 = 512 << 10;
/// So many short ones are waited for: who drips lines keeps nobody waiting for ever.
const MOST_SHORT: u32 = 3;

/// One log of one target, on its way here.
struct Fetch<'a> {
    chain: Chain,
    copy: AuditCopy,
    /// The heads that it gave out, and the number that its lines have to reach: what it once
    /// gave out is a promise, whether it states a head now or not.
    heads: Vec<Head>,
    goal: u64,
    /// The head that it stated in this call, first.
    stated: Option<Head>,
    /// How much came, and how much may.
    came: u64,
    most: u64,
    lines: u64,
    short: u32,
    reporter: &'a Reporter,
}

/// Copies what is new of both logs of the reporter's target.
pub(super) fn fetch(context: &Context, reporter: &Reporter, most: u64) -> Outcome {
    let known = match context.heads.known(&context.targets[reporter.target]) {
        Ok(known) => known,
        Err(error) => return Outcome::error(OutcomeKind::Failed, OutcomeOrigin::Octopus, error),
    };
    let mut said = Vec::new();
    let mut wrong: Option<ClientError> = None;
    let mut last = None;
    for chain in Chain::ALL {
        let heads = known.of(chain).asked().into_iter().map(|known| known.head).collect();
        match fetch_chain(context, reporter, chain, heads, most) {
            Ok((told, reply)) => {
                said.push(told);
                last = Some(reply);
            }
            // Each log is looked at: what one of them hides the other may show.
            Err(error @ ClientError::Refused(Refusal::Mismatch | Refusal::Unseen, ..)) => {
                if let Some(former) = wrong.replace(error) {
                    reporter.note(former.into_error().message);
                }
            }
            Err(error) => {
                wrong = Some(error);
                break;
            }
        }
    }
    match wrong {
        Some(error) => Outcome::failed(context, error),
        None => Outcome {
            message: said.join(", "),
            ..last.as_ref().map_or_else(Outcome::done, Outcome::answered)
        },
    }
}

fn fetch_chain(
    context: &Context,
    reporter: &Reporter,
    chain: Chain,
    heads: Vec<Head>,
    most: u64,
) -> Result<(String, Fields), ClientError> {
    let path = path_of(context, reporter, chain);
    let copy = AuditCopy::open(&path).map_err(ClientError::Local)?;
    let goal = heads.iter().map(|head| head.seq).max().unwrap_or(0);
    let (stated, came, lines, short) = (None, 0, 0, 0);
    let mut fetch = Fetch { chain, copy, heads, goal, stated, came, most, lines, short, reporter };
    let reply = attempts::transfer(context, reporter, |client, retry| fetch.all(client, retry))?;
    let end = fetch.copy.end().map_or(0, |head| head.seq);
    Ok((format!("{}: {} new lines, to {end}", whose(chain), fetch.lines), reply))
}

fn path_of(context: &Context, reporter: &Reporter, chain: Chain) -> PathBuf {
    let file = match chain {
        Chain::Listener => "listener.log",
        Chain::Exec => "exec.log",
    };
    let state = &context.common.places.state;
    state.join("audit").join(context.name(reporter.target)).join(file)
}

fn whose(chain: Chain) -> &'static str {
    match chain {
        Chain::Listener => "listener",
        Chain::Exec => "octo-exec",
    }
}

impl Fetch<'_> {
    /// Asks until the lines reach the highest head that is known, and the one that was stated
    /// first; the last reply.
    fn all(
        &mut self,
        client: &mut TlsClient<'_>,
        retry: &mut Retry,
    ) -> Result<Fields, ClientError> {
        // The line that we have is asked for once more: it has to be the same.
        let mut from = self.copy.end().map_or(1, |end| end.seq);
        loop {
            let reply = client.ask(&self.question(from), b"")?;
            let length = reply.body();
            if length > LONGEST_REPLY {
                let reason = format!("{} of lines in one reply", human_size(length));
                let error = Error::new(Exit::Protocol, whose(self.chain), reason);
                return Err(ClientError::Protocol(error));
            }
            let bytes = client.body(&reply)?;
            self.came += bytes.len() as u64;
            self.heard(&reply)?;
            self.take(&bytes, from)?;
            retry.gain(Gain::Output, self.came);
            if self.is_over(&reply, bytes.len() as u64)? {
                return Ok(reply);
            }
            from = self.copy.end().map_or(1, |end| end.seq + 1);
        }
    }

    fn question(&self, from: u64) -> Request {
        let request = Request::new(Verb::Audit).with("from", from);
        match self.chain {
            Chain::Listener => request,
            Chain::Exec => request.with("chain", "exec"),
        }
    }

    /// The first head that it states is the one to reach: the log may grow meanwhile.
    fn heard(&mut self, reply: &Fields) -> Result<(), ClientError> {
        let key = match self.chain {
            Chain::Listener => "audit",
            Chain::Exec => "audit-exec",
        };
        let stated = reply.get(key).and_then(Head::parse);
        if self.stated.is_none()
            && let Some(stated) = stated
        {
            if let Some(end) = self.copy.end()
                && (stated.seq < end.seq || stated.seq == end.seq && stated != end)
            {
                let reason = format!("went backwards: its head is {stated}, our copy ends {end}");
                return Err(self.disagrees(reason));
            }
            self.stated = Some(stated);
            self.goal = self.goal.max(stated.seq);
            self.heads.push(stated);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], from: u64) -> Result<(), ClientError> {
        let before = self.copy.end();
        if bytes.is_empty() && before.is_some_and(|end| end.seq == from) {
            let reason = format!("went backwards: it has no line {from}, with which our copy ends");
            return Err(self.disagrees(reason));
        }
        let (lines, wrong) = self.copy.add(bytes, &self.heads).map_err(ClientError::Local)?;
        self.lines += lines;
        if before.is_none()
            && let Some(end) = self.copy.end()
            && end.seq > lines
        {
            let first = end.seq + 1 - lines;
            let whose = whose(self.chain);
            self.reporter.note(format!("{whose}: its log begins with line {first}"));
        }
        match wrong {
            None => Ok(()),
            Some(Disagreement::Gone { from, to }) => {
                let path = self.copy.path().display().to_string();
                let reason = format!("can't see lines {from} to {to}: they are not kept there");
                let hint = format!("mv {path} {path}.1; then --fetch begins with line {}", to + 1);
                let error = Error::new(Exit::Unavailable, whose(self.chain), reason).hint(hint);
                Err(ClientError::Refused(Refusal::Unseen, error, Vec::new()))
            }
            Some(Disagreement::Other(reason)) => Err(self.disagrees(reason)),
        }
    }

    /// Is all here that was to come? Who promises more and sends little is not believed long.
    fn is_over(&mut self, reply: &Fields, length: u64) -> Result<bool, ClientError> {
        let end = self.copy.end().map_or(0, |end| end.seq);
        let goal = self.goal;
        let more = reply.get::<&str>("more").is_some();
        if end >= goal && (self.stated.is_some() || !more) {
            return Ok(true);
        }
        if length < SHORT {
            self.short += 1;
        }
        if self.short > MOST_SHORT {
            let reason = format!("withholds lines: its head is {goal}, and they end with {end}");
            return Err(self.disagrees(reason));
        }
        if self.came >= self.most {
            let reason = format!("{} came, to line {end} of {goal}", human_size(self.came));
            let error = Error::new(Exit::Temporary, whose(self.chain), reason);
            return Err(ClientError::Local(error.hint("the same again goes on there")));
        }
        Ok(false)
    }

    /// What it shows is not what it showed.
    fn disagrees(&self, reason: String) -> ClientError {
        let path = self.copy.path().display();
        let mut error = Error::new(Exit::Data, whose(self.chain), reason);
        error = error.hint(format!("what it sent before: {path}"));
        if self.copy.conflict().exists() {
            error = error.hint(format!("what it sends now: {}", self.copy.conflict().display()));
        }
        ClientError::Refused(Refusal::Mismatch, error, Vec::new())
    }
}
