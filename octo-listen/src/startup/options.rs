//! The options of octo-listen, and its help.

use octo_core::base::cli::help::Help;
use octo_core::base::cli::options::{OptionGroup, flag, value, values};

/// All that octo-listen can be told, besides what every tool can.
pub(crate) const OPTIONS: OptionGroup = OptionGroup {
    title: "options",
    rows: &[
        values("l", "", "ADDRESS[:PORT]", "listen there (default: everywhere, port 10933)"),
        flag("", "stdio", "serve the connection that standard input and output are"),
        value("u", "user", "USER", "started by root: listen as USER, who can't read the key"),
        value("", "exec", "FILE", "this octo-exec, not the one beside octo-listen or on PATH"),
        flag("", "check-audit", "verify the chains of both audit logs, rotated files first"),
        values("", "head", "SEQ:HASH", "with it: is this head in the chain?"),
        flag("v", "", "log connections and what succeeds, too"),
    ],
};

/// The whole of `--help`.
pub(crate) fn help() -> String {
    Help {
        usage: &[
            "octo-listen [-v] [-l ADDRESS[:PORT]]... [-u USER] [--exec FILE]",
            "octo-listen [-v] --stdio",
            "octo-listen --check-audit [--head SEQ:HASH]... [FILE...]",
        ],
        about: ABOUT,
        verbs: Vec::new(),
        options: vec![&OPTIONS],
        notes: NOTES,
        examples: &[
            "octo-keys new && octo-keys trust THUMBPRINT NAME && octo-listen",
            "octo-listen -l 10.0.0.11 -l '[2001:db8::11]:443'",
            "octo-exec serve & setsid octo-listen -u octo",
        ],
    }
    .text()
}

const ABOUT: &str = "\
Listens for the pushers whom CONFIG/trusted names, keeps the packages they put,
and has the jobs they run started by octo-exec.";

const NOTES: &str = "\
Prints `listening ADDRESS:PORT' for each socket once it is served; port 0 picks
one. --stdio is for inetd, systemd's Accept=yes, or ssh. Sockets of a socket unit
are taken instead of -l, and the identity may be a credential of systemd's. HUP
reads the identity again, but not with -u; the trust file is looked at for each
request anyway. Jobs outlive the listener: it may be killed and restarted at any moment.";
