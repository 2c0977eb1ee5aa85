//! `octo-push plumb`: questions of our own scripts, so that bash reads no file
//! and escapes no value by rules of its own. octo-push(1), PLUMBING.

mod ask;
mod environments;
mod offers;
pub(super) mod package;
mod settings;
mod thumbprint;
mod values;
mod variables;

use octo_core::base::cli::Tool;
use octo_core::base::cli::help::Help;
use octo_core::base::cli::options::{OptionGroup, value};
use octo_core::base::cli::verbs::{PlainVerb, call, groups, listed, verb};
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::base::names::PusherName;

static WORDS: &[PlainVerb] = &[
    verb("places", "", "CONFIG and STATE, a line each").runs(ask::places),
    verb("hosts", "TARGET...", "the host of each, without port and brackets").runs(ask::hosts),
    verb("nearest", "WORD KNOWN...", "the known word that may have been meant, or nothing")
        .options_first()
        .runs(ask::nearest),
    verb(
        "values",
        "-- [LABEL KIND VALUE]...",
        "each value in its one form, a line each; exit 64 if it is not of its kind",
    )
    .options_first()
    .runs(values::values),
    verb("share", "OF at-most|at-least N|P%", "how many of so many a share is")
        .options_first()
        .runs(values::share_of),
    verb("job", "", "a new id of a job, for run -j").runs(ask::job),
    verb(
        "settings",
        "FILE...",
        "the lines of files that say how an application is deployed: where, option, =VALUE",
    )
    .runs(settings::settings),
    verb("environment", "[ENVIRONMENT]", "the name, if there is such an environment; or all")
        .takes(&[&environments::OPTIONS])
        .runs(environments::environment),
    verb("package", "FILE", "application and version by the file's name, its sha256 if asked for")
        .takes(&[&package::OPTIONS])
        .runs(package::package),
    verb(
        "thumbprint",
        "NAME ADDRESS",
        "of what answers there, whoever it is; to be compared by a person",
    )
    .takes(&[&thumbprint::OPTIONS])
    .runs(thumbprint::thumbprint),
    verb("offers", "KIND...", "what the completion offers: all values of these kinds")
        .takes(&[&environments::OPTIONS])
        .runs(offers::offers),
    verb("variables", "TARGET...", "what octo-vars shows")
        .takes(&[&variables::OPTIONS])
        .runs(variables::variables),
];

static OPTIONS: OptionGroup = OptionGroup {
    title: "before the word",
    rows: &[value("", "as", "TOOL", "the name in front of messages, not octo-push")],
};

/// The answer, if this command line is `[--config DIR] [--state DIR] plumb …`.
pub(crate) fn asked(tool: &Tool, arguments: &[String]) -> Option<Result<u8>> {
    let word = place_of_word(arguments)?;
    Some(answer(tool, &arguments[..word], &arguments[word + 1..]))
}

/// Where `plumb` stands, if nothing but places stands before it.
fn place_of_word(arguments: &[String]) -> Option<usize> {
    let mut index = 0;
    loop {
        match arguments.get(index)?.as_str() {
            "plumb" => return Some(index),
            "--config" | "--state" => index += 2,
            word if word.starts_with("--config=") || word.starts_with("--state=") => index += 1,
            _ => return None,
        }
    }
}

fn answer(tool: &Tool, before: &[String], behind: &[String]) -> Result<u8> {
    let tool = Tool { name: tool.name, help };
    let (name, behind) = caller(behind);
    let name = match name {
        Some(name) if PusherName::parse(name).is_none() => {
            let shown = printable(name.as_bytes());
            return Err(tool.misuse(format!("--as {shown}: not {}", PusherName::FORM)));
        }
        // A tool's name is for ever; this process answers one question.
        Some(name) => Box::leak(name.to_string().into_boxed_str()),
        None => tool.name,
    };
    let tool = Tool { name, help };
    // With the name that was asked for: the caller would say ours.
    Ok(call(&tool, &[], &[before, behind].concat(), WORDS).unwrap_or_else(|error| {
        tool.report(&error);
        error.exit.code()
    }))
}

/// Who is said to ask, right behind `plumb`, and the words behind that.
fn caller(words: &[String]) -> (Option<&str>, &[String]) {
    match words {
        [option, name, rest @ ..] if option == "--as" => (Some(name), rest),
        [option, rest @ ..] => match option.strip_prefix("--as=") {
            Some(name) => (Some(name), rest),
            None => (None, words),
        },
        [] => (None, words),
    }
}

fn help() -> String {
    let help = Help {
        usage: &["octo-push [--config DIR] [--state DIR] plumb [--as TOOL] WORD [ARGUMENT]..."],
        about: "Answers questions of scripts, a line a value. octo-push(1) says more.",
        verbs: listed(WORDS),
        options: [vec![&OPTIONS], groups(WORDS)].concat(),
        notes: "",
        examples: &["octo-push plumb values -- --wait TIME 5m", "octo-push plumb places"],
    };
    help.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_stand_before_the_word() {
        for (line, place) in [
            ("plumb nearest x", Some(0)),
            ("--config /c --state=/s plumb nearest x", Some(3)),
            ("run plumb", None),
            ("-t plumb status", None),
            ("--config plumb", None),
            ("--config plumb status", None),
        ] {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            assert_eq!(place_of_word(&words), place, "{line}");
        }
    }
}
