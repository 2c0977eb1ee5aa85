//! Who we are, and how we connect: the same for all targets.

use crate::target::connection::first_contact::Introduction;
use octo_core::base::error::Result;
use octo_core::base::names::PusherName;
use octo_core::base::paths::Places;
use octo_wire::Identity;
use std::path::PathBuf;

/// What every connection needs besides its target.
#[derive(Debug, Clone)]
pub(crate) struct ClientConfig {
    /// Our key and certificate.
    pub(crate) identity: Identity,
    /// user@host, as we claim to be.
    pub(crate) by: String,
    /// What an admin who doesn't know us is told.
    pub(crate) introduction: Introduction,
    /// `-P`
    pub(crate) transport: Option<Vec<String>>,
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
        let path = identity.unwrap_or_else(|| places.identity());
        let identity = Identity::load(&path)?;
        let by = claimed_name();
        let introduction = Introduction {
            thumbprint: identity.thumbprint(),
            name: proposed_name(&by),
            config: places.config.clone(),
        };
        Ok(ClientConfig { identity, by, introduction, transport })
    }
}

/// Who we say we are: `user@host`, the host without its domain.
fn claimed_name() -> String {
    let claim = octo_core::base::operator::at_host();
    let short = match claim.split_once('@') {
        Some((user, host)) => format!("{user}@{}", host.split('.').next().unwrap_or("")),
        None => claim,
    };
    short.chars().take(200).collect()
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
    }
}
