//! Who we are, and how we connect: the same for all targets.

use crate::target::connection::first_contact::Introduction;
use crate::target::connection::throttle::Throttle;
use octo_core::base::error::Result;
use octo_core::base::names::PusherName;
use octo_core::base::paths::Places;
use octo_core::tentacle::statement::MAXIMUM_BY;
use octo_wire::Identity;
use std::path::PathBuf;
use std::sync::Arc;

/// What every connection needs besides its target.
#[derive(Debug, Clone)]
pub(crate) struct ClientConfig {
    /// Our key and certificate.
    pub(crate) identity: Identity,
    /// Where they were read.
    pub(crate) identity_file: PathBuf,
    /// user@host, as we claim to be.
    pub(crate) by: String,
    /// What an admin who doesn't know us is told.
    pub(crate) introduction: Introduction,
    /// `-P`
    pub(crate) transport: Option<Vec<String>>,
    /// `--bwlimit`
    pub(crate) throttle: Option<Arc<Throttle>>,
}

impl ClientConfig {
    /// With our usual identity, or another.
    ///
    /// # Errors
    /// Where it can't be read or is none.
    pub(crate) fn load(
        places: &Places,
        identity: Option<PathBuf>,
        transport: Option<Vec<String>>,
    ) -> Result<ClientConfig> {
        let identity_file = identity.unwrap_or_else(|| places.identity());
        let identity = Identity::load(&identity_file)?;
        let by = claimed_name();
        let introduction = Introduction {
            thumbprint: identity.thumbprint(),
            name: proposed_name(&by),
            config: places.config.clone(),
        };
        let throttle = None;
        Ok(ClientConfig { identity, identity_file, by, introduction, transport, throttle })
    }
}

/// Who we say we are: `user@host`, the host without its domain.
fn claimed_name() -> String {
    let claim = octo_core::base::operator::at_host();
    let short = match claim.split_once('@') {
        Some((user, host)) => format!("{user}@{}", host.split('.').next().unwrap_or("")),
        None => claim,
    };
    fitting(&short)
}

/// A tentacle believes no statement with a longer claim.
fn fitting(claim: &str) -> String {
    let ends = claim.char_indices().map(|(at, letter)| (at + letter.len_utf8(), letter));
    ends.take_while(|(end, _)| *end <= MAXIMUM_BY).map(|(_, letter)| letter).collect()
}

/// The name that we propose for our line in a trust file.
fn proposed_name(claim: &str) -> String {
    let plain: String = claim
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._@-".contains(c) { c } else { '-' })
        .take(64)
        .collect();
    match PusherName::parse(&plain) {
        Some(name) => name.to_string(),
        None => "octopus".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposed_name_is_a_name() {
        assert_eq!(proposed_name("ann@laptop"), "ann@laptop");
        assert_eq!(proposed_name("a b;c@h"), "a-b-c@h");
        assert_eq!(proposed_name("-x@h"), "octopus");
        assert!(!claimed_name().is_empty());
        assert_eq!(fitting(&format!("{}é@h", "a".repeat(255))), "a".repeat(255));
        assert_eq!(fitting("é@h"), "é@h");
    }
}
