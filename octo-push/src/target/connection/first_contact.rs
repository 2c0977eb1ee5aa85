//! Two admins who have not met: each is shown the exact line to add.

use crate::cli::argv;
use crate::target::connection::client::ClientConfig;
use octo_core::base::error::{Error, Exit};
use octo_core::base::names::PusherName;
use octo_core::base::refusal::Refusal;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::targets::Target;

/// The tentacle doesn't know us.
pub(crate) fn we_are_unknown(client_config: &ClientConfig, target: &Target) -> Error {
    let thumbprint = client_config.identity.thumbprint();
    Error::new(Exit::Refused, &target.address, "this tentacle doesn't trust this identity")
        .hint(format!("this identity is {thumbprint}, of {}", client_config.config.display()))
        .hint(format!(
            "its admin can let it in: octo-keys trust -o user=NAME {thumbprint} {}",
            client_config.name
        ))
}

/// The tentacle is not the one of the targets file.
pub(crate) fn it_is_another(
    client_config: &ClientConfig,
    target: &Target,
    expected: &[Thumbprint],
    seen: Thumbprint,
) -> Error {
    let expected: Vec<String> = expected.iter().map(Thumbprint::to_string).collect();
    let mut line = format!("{} {} {seen}", target.name, shown_address(target));
    for tag in &target.tags {
        line.push(' ');
        line.push_str(tag.as_str());
    }
    let path = client_config.config.join("targets");
    Error::new(
        Exit::Refused,
        &target.address,
        format!("another thumbprint: expected {}, seen {seen}", expected.join(" or ")),
    )
    .hint("ask its admin whether this thumbprint is right: octo-keys show, on the target")
    .hint(format!(
        "only then accept it, as line {} of {}: {line}",
        target.line,
        path.display()
    ))
}

/// The address as the targets file may have it.
fn shown_address(target: &Target) -> String {
    let address = &target.address;
    if address.port() == octo_core::targets::DEFAULT_PORT {
        address.host().to_string()
    } else {
        address.to_string()
    }
}

/// Some refusals have a known remedy.
pub(crate) fn hint_on_refusal(
    client_config: &ClientConfig,
    refusal: Refusal,
    error: Error,
) -> Error {
    match refusal {
        Refusal::Denied => {
            let thumbprint = client_config.identity.thumbprint();
            error.hint(format!(
                "this identity is {thumbprint}; its line in the tentacle's trust file decides"
            ))
        }
        Refusal::Policy => {
            error.hint("the tentacle's trust file is unsound: ask its admin to run octo-keys check")
        }
        _ => error,
    }
}

/// Who we say we are: `user@host`, the host without its domain.
pub(crate) fn claim() -> String {
    let claim = octo_core::base::operator::at_host();
    let short = match claim.split_once('@') {
        Some((user, host)) => format!("{user}@{}", host.split('.').next().unwrap_or("")),
        None => claim,
    };
    short.chars().take(200).collect()
}

/// The name that we propose for our line in a trust file.
pub(crate) fn proposed_name(claim: &str) -> String {
    let plain: String = claim
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._@-".contains(c) { c } else { '-' })
        .take(64)
        .collect();
    match PusherName::parse(&plain) {
        Some(name) => argv::quote(name.as_str()),
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
        assert!(!claim().is_empty());
    }
}
