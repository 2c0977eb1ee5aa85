//! Who asks for this? Nothing of an entry is believed before its signature is: the
//! listener that spooled it faces the network.

use crate::admission::admit::{believe_address, lines_of};
use jiff::Timestamp;
use octo_core::base::error::Exit;
use octo_core::base::names::JobId;
use octo_core::base::paths::Places;
use octo_core::base::refusal::Refusal;
use octo_core::tentacle::job::{End, Pusher, Refused};
use octo_core::tentacle::known::OwnThumbprints;
use octo_core::tentacle::signature;
use octo_core::tentacle::spool::Entry;
use octo_core::tentacle::statement::{Asks, Expected, Statement};
use octo_core::trust::{Grant, Question, Trust, Verb};
use octo_core::{PusherName, Thumbprint};

/// Who asks, and what he said.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) statement: Statement,
    /// What his line lets him do.
    pub(super) grant: Grant,
    pub(super) pusher: Pusher,
}

/// An entry that is refused.
#[derive(Debug)]
pub(super) struct Unverified {
    pub(super) end: Box<End>,
    /// Who has signed it, where a trusted pusher has.
    pub(super) signer: Option<Box<Signer>>,
}

/// Who has signed a statement that is refused.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    /// Until when the statement holds.
    pub(super) until: Timestamp,
    /// What the pusher is called.
    pub(super) name: PusherName,
}

impl Unverified {
    /// What is noted of it, besides what it claims itself.
    pub(super) fn note(self) -> Refused {
        let signer = self.signer.map(|signer| *signer);
        let (until, name) = signer.map(|Signer { until, name }| (until, name)).unzip();
        Refused { until, name, ..Refused::new(*self.end) }
    }
}

impl From<End> for Unverified {
    /// Of nobody, as far as is known.
    fn from(end: End) -> Unverified {
        Unverified { end: Box::new(end), signer: None }
    }
}

/// Verifies that a trusted pusher asks this tentacle for this, now, under this id.
///
/// # Errors
/// The end of an entry that is refused.
pub(super) fn verify(
    places: &Places,
    entry: &Entry<'_>,
    job: &JobId,
    asks: Asks,
) -> Result<Verified, Unverified> {
    let no = |reason: String| End::denied(Exit::Refused, reason);
    let signed = &entry.signed;
    let thumbprint = Thumbprint::of_certificate(signed.certificate);
    let trust = lines_of(places, thumbprint)
        .map_err(|error| End::denied(Refusal::Policy.exit(), error.message));
    let trust = trust?;
    // Before a byte of it is parsed: a stranger's certificate may be made for our parser.
    let Some(line) = trust.of(thumbprint).next() else {
        return Err(no(format!("the certificate {thumbprint} is not trusted")).into());
    };
    let statement = Statement::parse(signed.statement);
    let statement = statement.ok_or_else(|| no("its statement is not of the form".into()))?;
    signature::verify(signed.certificate, signed.statement, signed.signature).map_err(no)?;
    let signer = Signer { until: statement.until, name: line.name.clone() };
    let verb = match asks {
        Asks::Cancel => Verb::Cancel,
        // Whether it may run, and now, is decided when it starts.
        Asks::Request(_) => Verb::Connect,
    };
    let grant = is_ours(places, job, asks, thumbprint, &statement)
        .and_then(|()| grant(places, &trust, thumbprint, entry, verb))
        .map_err(|end| Unverified { end: Box::new(end), signer: Some(Box::new(signer)) })?;
    let pusher = Pusher { thumbprint, name: grant.name.clone(), address: entry.address };
    Ok(Verified { statement, grant, pusher })
}

/// Is it about this, for this tentacle, and not too late?
fn is_ours(
    places: &Places,
    job: &JobId,
    asks: Asks,
    pusher: Thumbprint,
    statement: &Statement,
) -> Result<(), End> {
    let own = OwnThumbprints::load(places).map_err(|error| {
        let hints: String = error.hints.iter().map(|hint| format!("; its admin: {hint}")).collect();
        End::denied(error.exit, format!("{}{hints}", error.message))
    })?;
    let tentacle: Vec<Thumbprint> = std::iter::once(own.current).chain(own.previous).collect();
    let expected = Expected { job, asks, pusher, tentacle: &tentacle };
    let checked = statement.check(&expected, Timestamp::now());
    checked.map_err(|not| End::denied(not.refusal.exit(), not.reason))
}

/// The line that lets him ask for this.
fn grant(
    places: &Places,
    trust: &Trust,
    thumbprint: Thumbprint,
    entry: &Entry<'_>,
    verb: Verb,
) -> Result<Grant, End> {
    let now = trust.now();
    believe_address(places, trust, thumbprint, &now)
        .map_err(|reason| End::denied(Exit::Configuration, reason))?;
    let question = Question::new(thumbprint, entry.address, &now, verb);
    trust.decide(&question).map_err(|denial| End::denied(denial.refusal.exit(), denial.reason))
}

/// Whose an entry is, by its own words: for the note, and nothing else.
pub(super) fn claimed(entry: &Entry<'_>) -> Option<Thumbprint> {
    Statement::parse(entry.signed.statement).map(|statement| statement.pusher)
}
