//! The statement in the body of a request, and its signature. Who signed it, octo-exec
//! verifies: here it is only looked at, so that a pusher hears at once what is wrong.

use crate::host::{No, Peer};
use crate::session::Ended;
use octo_core::tentacle::statement::{
    Asks, Expected, MAXIMUM, MAXIMUM_SIGNATURE, Signed, Statement,
};
use octo_core::{JobId, Refusal};
use octo_wire::{Failure, Fields};

/// A statement and its signature, as they came.
pub(super) struct SignedBody<'a> {
    statement: &'a [u8],
    signature: &'a [u8],
}

/// How long both are, and the statement alone.
///
/// # Errors
/// Where one is missing, or longer than any can be.
pub(super) fn lengths(request: &Fields) -> Result<(u64, u64), Ended> {
    let (statement, signature): (u64, u64) = (request.need("request")?, request.need("signature")?);
    if statement > MAXIMUM || signature > MAXIMUM_SIGNATURE {
        let reason = "the statement or its signature is longer than any can be";
        return Err(Ended::Hopeless(No::new(Refusal::Limit, reason)));
    }
    Ok((statement + signature, statement))
}

impl<'a> SignedBody<'a> {
    /// The front of a body, and what follows it.
    ///
    /// # Errors
    /// Where the body is shorter than that.
    pub(super) fn split(
        request: &Fields,
        bytes: &'a [u8],
    ) -> Result<(SignedBody<'a>, &'a [u8]), Ended> {
        let (both, statement) = lengths(request)?;
        // Both are small numbers.
        let split = bytes.split_at_checked(both as usize);
        let short = || Failure::Malformed("its parts are longer than body".into());
        let (signed, rest) = split.ok_or_else(short)?;
        let (statement, signature) = signed.split_at(statement as usize);
        Ok((SignedBody { statement, signature }, rest))
    }

    /// The statement.
    ///
    /// # Errors
    /// Where it is not of the form.
    pub(super) fn parse(&self) -> Result<Statement, No> {
        let not = || No::new(Refusal::Malformed, "the statement is not of the form");
        Statement::parse(self.statement).ok_or_else(not)
    }

    /// The same with the certificate that this peer has shown.
    pub(super) fn by<'b>(&self, peer: &'b Peer) -> Signed<'b>
    where
        'a: 'b,
    {
        let (statement, signature) = (self.statement, self.signature);
        Signed { statement, signature, certificate: &peer.certificate }
    }
}

/// Is the statement about this, of this peer, for the tentacle that it has seen?
///
/// # Errors
/// Why not.
pub(super) fn check(peer: &Peer, statement: &Statement, job: &JobId, asks: Asks) -> Result<(), No> {
    let tentacle = [peer.tentacle];
    let expected = Expected { job, asks, pusher: peer.thumbprint, tentacle: &tentacle };
    let checked = statement.check(&expected, jiff::Timestamp::now());
    checked.map_err(|not| No::new(not.refusal, not.reason))
}
