//! octo-keys: identities, thumbprints, and the trust file. octo-keys(1)

mod certificate;
mod check;
mod der;
mod explain;
mod identity;
mod new;
mod public_key;
mod show;
mod trust;
mod x509;

use getopts::Matches;
use octo_core::base::cli::Tool;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use std::process::ExitCode;

const HELP: &str = "\
usage: octo-keys [--config DIR] [--state DIR] VERB ...

  new [--name NAME] [-k ed25519|ecdsa-p256] [FILE]
                        makes an identity, prints its thumbprint; never overwrites
  show [FILE|-]         the thumbprint, name, key and dates of an identity or certificate
  cert [FILE|-]         the certificate alone, as PEM
  trust [-o OPTIONS] THUMBPRINT NAME
                        adds a line to CONFIG/trusted: this pusher is let in
  distrust THUMBPRINT|NAME
                        removes all its lines
  check [-v] [FILE]     is the trust file sound, and the targets file, and the identity?
  explain [--at TIME] THUMBPRINT ADDRESS VERB
                        is it permitted, and by which line? ADDRESS - is none;
                        VERB: connect status put run follow cancel jobs get scripts audit

      --config DIR      instead of /etc/octo or ~/.config/octo
      --state DIR       instead of /var/lib/octo or ~/.local/state/octo
      --version  --help

examples:
  octo-keys new
  octo-keys trust -o 'from=10.0.0.0/8 user=deploy' \"$thumbprint\" ci-octopus
  octo-keys explain --at '2027-03-28 02:30' \"$thumbprint\" 10.0.0.7 run
  openssl x509 -in peer.pem -noout -fingerprint -sha256   # is what show prints
";

const TOOL: Tool = Tool { name: "octo-keys", help: || HELP.to_string() };

fn main() -> ExitCode {
    TOOL.main(run)
}

fn run(tool: &Tool, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    let Some((verb, rest)) = matches.free.split_first() else {
        return Err(tool.misuse("no verb"));
    };
    let verb: fn(&Call) -> Result<u8> = match verb.as_str() {
        "new" => new::run,
        "show" => show::show,
        "cert" => show::cert,
        "trust" => trust::trust,
        "distrust" => trust::distrust,
        "check" => check::run,
        "explain" => explain::run,
        _ => return Err(tool.misuse(format!("{verb}: no such verb"))),
    };
    let mut options = tool.options();
    options.optopt("", "name", "", "NAME");
    options.optopt("k", "key", "", "TYPE");
    options.optmulti("o", "options", "", "OPTIONS");
    options.optopt("", "at", "", "TIME");
    options.optflag("v", "verbose", "");
    let Some(own) = tool.parse_untabled(&options, rest)? else { return Ok(0) };
    let either = |name| own.opt_str(name).or_else(|| matches.opt_str(name));
    let places = Places::find(either("config"), either("state"))?;
    let verb_name = &matches.free[0];
    verb(&Call { tool, verb: verb_name, matches: &own, places })
}

/// A verb with what stands behind it.
struct Call<'a> {
    tool: &'a Tool,
    verb: &'a str,
    matches: &'a Matches,
    places: Places,
}

impl Call<'_> {
    /// The arguments, if there are as many as `least` to `most`, and no options
    /// of other verbs.
    fn arguments(&self, options: &[&str], least: usize, most: usize) -> Result<&[String]> {
        let misuse = |what: String| Err(self.tool.misuse(format!("{}: {what}", self.verb)));
        for option in ["name", "key", "options", "at", "verbose"] {
            if self.matches.opt_present(option) && !options.contains(&option) {
                return misuse(format!("--{option} is not an option of this verb"));
            }
        }
        let free = &self.matches.free[..];
        if let Some(late) = free.iter().find(|a| a.len() > 1 && a.starts_with('-')) {
            return misuse(format!("{late}: options come before the arguments"));
        }
        if free.len() < least {
            return misuse("an argument is missing".into());
        }
        if free.len() > most {
            return misuse(format!("{}: one argument too many", free[most]));
        }
        Ok(free)
    }
}
