//! signed=: is this package signed by a key of the target's own list? Nobody on the way from
//! its signer has a say in that: neither pusher, nor octopus, nor listener.

use crate::admission::unstarted::Unstarted;
use minisign_verify::{PublicKey, StreamVerifier};
use octo_core::base::encoding::printable;
use octo_core::base::error::Exit;
use octo_core::tentacle::spec::Spec;
use octo_core::trust::Grant;
use octo_core::trust::signed::{self, KeyId, Keys, Signature};
use std::path::Path;

/// Whose signature a package carries: told once it is verified.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    /// The key's id.
    pub(crate) key: KeyId,
    /// The signer's words, to be shown.
    pub(crate) comment: String,
}

/// A signature that is to be verified, by a key that is listed.
pub(super) struct Claimed {
    key: PublicKey,
    signature: minisign_verify::Signature,
    claims: Signed,
    /// What a refusal begins with.
    subject: String,
    /// Where the keys are, as it can be shown.
    list: String,
}

impl Claimed {
    /// What has to be verified of this job's package; `None` where nothing has to. The keys
    /// are read now: one that was taken away signs nothing from now on.
    ///
    /// # Errors
    /// Where it carries no signature that could count.
    pub(super) fn of(spec: &Spec, grant: &Grant) -> Result<Option<Claimed>, Unstarted> {
        let (Some(list), Some((_, package))) = (&grant.signed, &spec.package) else {
            return Ok(None);
        };
        let refused = |reason: String| Unstarted::denied(Exit::Refused, reason);
        let signature = spec.signature.as_ref().ok_or_else(|| refused(signed::missing(package)))?;
        let claimed = Claimed::by(signature, list, package)?;
        Ok(Some(claimed))
    }

    fn by(signature: &Signature, list: &Path, package: &str) -> Result<Claimed, Unstarted> {
        let refused = |reason: String| Unstarted::denied(Exit::Refused, reason);
        let id = signature.key();
        let subject = format!("package {}", printable(package.as_bytes()));
        let keys = Keys::load(list)
            .map_err(|error| Unstarted::denied(Exit::Configuration, error.message))?;
        let list = printable(list.as_os_str().as_encoded_bytes());
        let key = keys.key(id).ok_or_else(|| {
            refused(format!("{subject} is signed by key {id}, which is none of {list}"))
        })?;
        if !signature.is_prehashed() {
            return Err(refused(format!(
                "{subject}: its signature by key {id} of {list} is of minisign's old kind: \
                 sign it anew, by minisign 0.11 or minisign -SH"
            )));
        }
        // Both were read before, by stricter rules than these.
        let broken = |error| refused(format!("{subject}: key {id} of {list}: {error}"));
        Ok(Claimed {
            key: PublicKey::from_base64(&key.text).map_err(broken)?,
            signature: minisign_verify::Signature::decode(signature.text()).map_err(broken)?,
            claims: Signed { key: id, comment: signature.comment() },
            subject,
            list,
        })
    }

    /// Takes the package's bytes.
    pub(super) fn verifier(&self) -> Result<StreamVerifier<'_>, Unstarted> {
        self.key.verify_stream(&self.signature).map_err(|_| self.refused())
    }

    /// Is it the signature of the bytes that this was given, and is its trusted comment its
    /// signer's?
    ///
    /// # Errors
    /// Where it is not.
    pub(super) fn verified(&self, mut verifier: StreamVerifier<'_>) -> Result<Signed, Unstarted> {
        verifier.finalize().map_err(|_| self.refused())?;
        Ok(self.claims.clone())
    }

    fn refused(&self) -> Unstarted {
        let Claimed { claims, subject, list, .. } = self;
        let reason = format!(
            "{subject}: its signature by key {} of {list} is not of these bytes, or its trusted \
             comment was changed",
            claims.key
        );
        Unstarted::denied(Exit::Refused, reason)
    }
}
