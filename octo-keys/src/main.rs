//! octo-keys: identities, thumbprints, and the trust file. octo-keys(1)

mod check;
mod explain;
mod identity;
mod listener;
mod new;
mod renew;
mod seal;
mod show;
mod state;
mod tentacle;
mod trust;

use octo_core::base::cli::Tool;
use octo_core::base::cli::help::Help;
use octo_core::base::cli::options::{OptionGroup, flag, value, values};
use octo_core::base::cli::verbs::{self, PlainVerb, groups, listed, verb};
use octo_core::base::error::Result;
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-keys", help };

static NEW: OptionGroup = OptionGroup {
    title: "new",
    rows: &[
        value("", "name", "NAME", "the name in the certificate (user@host)"),
        value("k", "key", "TYPE", "ed25519 or ecdsa-p256 (ed25519)"),
    ],
};

static RENEW: OptionGroup = OptionGroup {
    title: "renew",
    rows: &[
        value("", "name", "NAME", "the name in the certificate (as before)"),
        value("k", "key", "TYPE", "ed25519 or ecdsa-p256 (as before)"),
    ],
};

static TRUST: OptionGroup = OptionGroup {
    title: "trust",
    rows: &[
        values("o", "options", "OPTIONS", "the options of the line, octo-trust(5)"),
        value("", "like", "OLD", "in place of NAME: names and options of the lines of OLD"),
    ],
};

static DISTRUST: OptionGroup = OptionGroup {
    title: "distrust",
    rows: &[value("", "replaced-by", "NEW", "only if this thumbprint has a line")],
};

static CHECK: OptionGroup =
    OptionGroup { title: "check", rows: &[flag("v", "verbose", "say what is sound, too")] };

static EXPLAIN: OptionGroup =
    OptionGroup { title: "explain", rows: &[value("", "at", "TIME", "at that time, not now")] };

/// In the order of `--help`.
static VERBS: &[PlainVerb] = &[
    verb("new", "[FILE|-]", "make an identity, print its thumbprint; never overwrites")
        .takes(&[&NEW])
        .runs(new::run),
    verb("show", "[FILE|-]", "thumbprint, name, key and dates of an identity or certificate")
        .runs(show::show),
    verb("cert", "[FILE|-]", "the certificate alone, as PEM").runs(show::cert),
    verb("tentacle", "[FILE|-]", "note in CONFIG/tentacle that this is this tentacle's identity")
        .runs(tentacle::run),
    verb("seal", "", "what a target line pins, so that the ends of its jobs are proved")
        .runs(seal::run),
    verb("renew", "", "another identity for this tentacle; says what the octopuses change")
        .takes(&[&RENEW])
        .runs(renew::run),
    verb("trust", "THUMBPRINT NAME", "add a line to CONFIG/trusted: this pusher is let in")
        .takes(&[&TRUST])
        .runs(trust::trust),
    verb("distrust", "THUMBPRINT|NAME", "remove all its lines")
        .takes(&[&DISTRUST])
        .runs(trust::distrust),
    verb("check", "[FILE]", "are trust file, targets file, identity and STATE sound?")
        .takes(&[&CHECK])
        .runs(check::run),
    verb(
        "explain",
        "WHO [ADDRESS] VERB|deploy APP|rollback APP",
        "is it permitted, and by which line?",
    )
    .takes(&[&EXPLAIN])
    .runs(explain::run),
];

fn main() -> ExitCode {
    TOOL.main(run)
}

fn run(tool: &Tool, words: &[String]) -> Result<u8> {
    verbs::call(tool, &[], words, VERBS)
}

fn help() -> String {
    let help = Help {
        usage: &["octo-keys [OPTION]... VERB [ARGUMENT]..."],
        about: "Identities, thumbprints, and who is trusted.",
        verbs: listed(VERBS),
        options: groups(VERBS),
        notes: "For explain, WHO is a thumbprint or NAME, ADDRESS - none, VERB one of octo-push's, or connect.",
        examples: &[
            "octo-keys new",
            "octo-keys trust -o 'from=10.0.0.0/8 user=deploy' \"$thumbprint\" ci-octopus",
            "octo-keys explain --at '2027-03-28 02:30' \"$thumbprint\" 10.0.0.7 run",
            "openssl x509 -in peer.pem -noout -fingerprint -sha256   # is what show prints",
        ],
    };
    help.text()
}
