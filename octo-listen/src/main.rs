//! octo-listen: the tentacle. Listens for those whom this machine's sysadmin
//! trusts, keeps their packages, and has their jobs started.

mod admission;
mod check;
mod conversation;
mod host;
mod launcher;
mod log;
mod records;
mod session;
mod setup;
mod signals;
mod verbs;

use octo_core::base::cli::Tool;
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-listen", help: || HELP.to_string() };

const HELP: &str = "\
usage: octo-listen [-v] [-l ADDRESS[:PORT]]... [--exec FILE]
       octo-listen [-v] --stdio
       octo-listen --check-audit [--head SEQ:HASH]... [FILE...]

Listens for the pushers whom CONFIG/trusted names, keeps the packages they put,
and has the jobs they run started by octo-exec.

  -l ADDRESS[:PORT]  listen there, several times if wanted; port 0 picks one
                     (default: every address, port 10933)
      --stdio        serve the one connection on standard input and output,
                     for inetd, systemd's Accept=yes, or ssh
      --exec FILE    this octo-exec, not the one beside octo-listen or on PATH
      --check-audit  verify the audit log's chain, rotated files first
      --head SEQ:HASH  with it: is this head, which a pusher kept, in the chain?
  -v                 log connections and what succeeds, too
      --config DIR   instead of /etc/octo or ~/.config/octo
      --state DIR    instead of /var/lib/octo or ~/.local/state/octo
      --help  --version

Prints `listening ADDRESS:PORT' for each socket once it is ready. HUP reads the
identity again; the trust file is read for each request anyway. Jobs outlive the
listener: it may be killed and restarted at any moment.

examples:
  octo-keys new && octo-keys trust THUMBPRINT NAME && octo-listen
  octo-listen -l 10.0.0.11 -l '[2001:db8::11]:443'
";

fn main() -> ExitCode {
    TOOL.main(setup::run)
}
