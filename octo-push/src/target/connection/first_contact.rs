//! Where one side doesn't know the other: the exact line that its admin has to add.

use crate::target::connection::via::Via;
use octo_core::base::error::{Error, Exit};
use octo_core::base::refusal::Refusal;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::targets::{Road, Roads, Target};
use std::path::PathBuf;

/// What an admin who doesn't know us needs to let us in.
#[derive(Debug, Clone)]
pub(crate) struct Introduction {
    /// Of our certificate.
    pub(crate) thumbprint: Thumbprint,
    /// What our line in the trust file may be named.
    pub(crate) name: String,
    /// CONFIG, where our identity and the targets file are.
    pub(crate) config: PathBuf,
}

/// The tentacle doesn't know us.
pub(crate) fn we_are_unknown(us: &Introduction, via: Via) -> Error {
    let thumbprint = us.thumbprint;
    Error::new(Exit::Refused, via, "this tentacle doesn't trust this identity")
        .hint(format!("this identity is {thumbprint}, of {}", us.config.display()))
        .hint(format!(
            "its admin can let it in: octo-keys trust -o user=USER {thumbprint} {}",
            us.name
        ))
}

/// The tentacle's trust file is unsound, or can't be read: no line of ours would help.
pub(crate) fn nobody_is_let_in(us: &Introduction, via: Via) -> Error {
    let reason = "this tentacle lets nobody in at the moment";
    let error = Error::new(Refusal::Policy.exit(), via, reason);
    hint_on_refusal(us, Refusal::Policy, error)
}

/// The line says that its thumbprint stands in a file of its own, and none stands there.
pub(crate) fn nobody_is_it(target: &Target, from: &str) -> Error {
    let name = &target.name;
    Error::new(Exit::Refused, name, "no thumbprint of it is known")
        .hint(format!("octo-enroll {from}{name} looks, and adds it to CONFIG/thumbprints"))
}

/// The tentacle is not the one of the targets file.
pub(crate) fn it_is_another(
    us: &Introduction,
    via: Via,
    expected: &[Thumbprint],
    seen: Thumbprint,
) -> Error {
    let expected: Vec<String> = expected.iter().map(Thumbprint::to_string).collect();
    let target = via.target;
    let mut line = match target.known {
        Some(_) => format!("{} {seen}", target.name),
        None => format!("{} {} {seen}", target.name, shown_roads(&target.roads)),
    };
    if let Some(word) = target.sealed_by() {
        line.push(' ');
        line.push_str(&word);
    }
    for tag in target.tags.iter().filter(|_| target.known.is_none()) {
        line.push(' ');
        line.push_str(tag.as_str());
    }
    let place = match target.known {
        Some(number) => format!("line {number} of {}", us.config.join("thumbprints").display()),
        None => format!("line {} of {}", target.line, target.file.display()),
    };
    Error::new(
        Exit::Refused,
        via,
        format!("another thumbprint: expected {}, seen {seen}", expected.join(" or ")),
    )
    .hint("ask its admin whether this thumbprint is right: octo-keys show, on the target")
    .hint(format!("only then accept it, as {place}: {line}"))
}

/// The addresses as the targets file may have them.
fn shown_roads(roads: &Roads) -> String {
    let shown = |road: &Road| match road {
        Road::Address(address) if address.port() == octo_core::targets::DEFAULT_PORT => {
            address.host().to_string()
        }
        road => road.to_string(),
    };
    roads.all().iter().map(shown).collect::<Vec<_>>().join(",")
}

/// Some refusals have a known remedy.
pub(crate) fn hint_on_refusal(us: &Introduction, refusal: Refusal, error: Error) -> Error {
    match refusal {
        Refusal::Denied => {
            let thumbprint = us.thumbprint;
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
