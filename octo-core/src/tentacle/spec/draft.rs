//! A job in the making: the files that its options name, read and checked, and
//! the spec that they make for each target.

use super::options::{JobOptions, What};
use super::seed::Seed;
use super::variables::{self, Variable};
use super::{MAXIMUM_SCRIPT, MAXIMUM_SECRETS, Script, Spec, secrets};
use crate::base::digest::Digest;
use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::{JobId, is_file_name};
use crate::base::no_core;
use crate::base::paths::{Places, read_bounded};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;

/// A job, as far as it is the same for all targets.
#[derive(Debug)]
pub struct Draft {
    options: JobOptions,
    /// The name and the bytes of a script that is sent.
    script: Option<(String, Vec<u8>)>,
    /// Files without %n, read once, by the option's value.
    files: HashMap<String, Vec<Variable>>,
    /// Makes the 32 bytes that hide the secrets' digest.
    seed: Option<Seed>,
}

/// Where a job is to run.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// At the target of this name, which is what `%n` in a file's name means.
    Target(&'a str),
    /// On this machine.
    Here,
}

/// What a destination is given, besides the script.
#[derive(Debug)]
pub struct Parts {
    /// The spec's bytes.
    pub spec: Vec<u8>,
    /// The body of the secrets; empty where there are none.
    pub secrets: Vec<u8>,
}

impl Draft {
    /// Reads what the job needs, but for the files of single targets.
    ///
    /// # Errors
    /// Exit 65 and its kin, naming the file.
    pub fn read(places: &Places, options: JobOptions) -> Result<Draft> {
        let script = match &options.what {
            What::Script(path) => Some(read_script(path)?),
            _ => None,
        };
        let seed = if options.secret_files.is_empty() {
            None
        } else {
            no_core::of_us();
            Some(Seed::load(places)?)
        };
        let mut files = HashMap::new();
        let named = options.variable_files.iter().map(|file| (file, false));
        for (file, secret) in named.chain(options.secret_files.iter().map(|file| (file, true))) {
            if !file.contains("%n") {
                files.insert(file.clone(), variables::read(file, secret)?);
            }
        }
        Ok(Draft { options, script, files, seed })
    }

    /// The bytes of the script that is sent; none where none is.
    pub fn script(&self) -> Option<&[u8]> {
        self.script.as_ref().map(|(_, bytes)| &bytes[..])
    }

    /// What runs, in a few words; escaped.
    pub fn summary(&self) -> String {
        match (&self.options.what, &self.script) {
            (_, Some((name, _))) => printable(name.as_bytes()),
            (What::Command(text), None) => format!("sh -c {}", printable(text.as_bytes())),
            (What::Named(name) | What::Script(name), None) => printable(name.as_bytes()),
        }
    }

    /// Does a target have files of its own?
    pub fn differs(&self) -> bool {
        let mut files = self.options.variable_files.iter().chain(&self.options.secret_files);
        files.any(|file| file.contains("%n"))
    }

    /// The spec and the secrets of this job there.
    ///
    /// # Errors
    /// A file of its own that can't be read, or a spec that would be refused.
    pub fn parts(
        &self,
        job: &JobId,
        destination: Destination,
        package: Option<(Digest, String)>,
    ) -> Result<Parts> {
        let options = &self.options;
        let files = self.variables(&options.variable_files, destination, false)?;
        let environment = variables::merge(&files, &options.variables);
        let hidden = self.variables(&options.secret_files, destination, true)?;
        let hidden = variables::merge(&hidden, &[]);
        let plain: HashSet<_> = environment.iter().map(|(name, _)| name).collect();
        if let Some((name, _)) = hidden.iter().find(|(name, _)| plain.contains(name)) {
            return Err(Error::new(Exit::Data, name, "is both a secret and a plain variable"));
        }
        let place = match destination {
            Destination::Target(name) => name,
            Destination::Here => "local",
        };
        let secrets = match &self.seed {
            Some(seed) if !hidden.is_empty() => {
                secrets::encode_with(&seed.nonce(job, place), &hidden)
            }
            _ => Vec::new(),
        };
        if secrets.len() as u64 > MAXIMUM_SECRETS {
            let reason = format!("are {} bytes, {MAXIMUM_SECRETS} at most", secrets.len());
            return Err(Error::new(Exit::Refused, "--secrets", reason));
        }
        let spec = Spec {
            package,
            arguments: options.arguments.iter().map(|a| a.clone().into_bytes()).collect(),
            environment,
            secrets: hidden.into_iter().map(|(name, _)| name).collect(),
            secrets_digest: (!secrets.is_empty()).then(|| Digest::of(&secrets)),
            timeout: options.timeout,
            grace: options.grace,
            locks: options.locks.clone(),
            ..Spec::of(self.what())
        };
        let spec = spec.encode();
        // Whoever gets it would say the same, later.
        Spec::parse(&spec).map_err(|e| Error::new(e.refusal.exit(), "job", e.reason))?;
        Ok(Parts { spec, secrets })
    }

    fn what(&self) -> Script {
        match (&self.options.what, &self.script) {
            (_, Some((name, bytes))) => {
                Script::Sent { digest: Digest::of(bytes), name: name.clone() }
            }
            (What::Named(name), None) => Script::Named(name.clone()),
            (What::Command(text) | What::Script(text), None) => Script::Command(text.clone()),
        }
    }

    fn variables(
        &self,
        files: &[String],
        destination: Destination,
        secret: bool,
    ) -> Result<Vec<Variable>> {
        let mut all = Vec::new();
        for file in files {
            match (self.files.get(file), destination) {
                (Some(read), _) => all.extend(read.iter().cloned()),
                (None, Destination::Target(name)) => {
                    all.extend(variables::read(&file.replace("%n", name), secret)?);
                }
                (None, Destination::Here) => all.extend(variables::read(file, secret)?),
            }
        }
        Ok(all)
    }
}

fn read_script(path: &str) -> Result<(String, Vec<u8>)> {
    if path == "-" {
        let place = Path::new("standard input");
        let bytes = read_bounded(&mut std::io::stdin().lock(), place, MAXIMUM_SCRIPT)?;
        return Ok(("stdin".into(), bytes));
    }
    let path = Path::new(path);
    let name = path.file_name().and_then(|n| n.to_str()).filter(|n| is_file_name(n.as_bytes()));
    let name = name.ok_or_else(|| Error::new(Exit::Data, path.display(), "has no file name"))?;
    let mut file = File::open(path).map_err(|error| {
        let is_missing = error.kind() == std::io::ErrorKind::NotFound;
        let failed = Error::io(path, &error);
        if is_missing { failed.hint("to run a command line: run -c COMMAND") } else { failed }
    })?;
    let bytes = read_bounded(&mut file, path, MAXIMUM_SCRIPT)?;
    Ok((name.to_string(), bytes))
}

#[cfg(test)]
mod tests {
    use super::super::options::{BY_NAME, JOB};
    use super::*;
    use crate::base::cli::Tool;
    use crate::base::cli::options::Order;
    use std::os::unix::fs::PermissionsExt;

    const ID: &str = "20260101T000000-abcdefghijklm";

    fn draft(directory: &Path, words: &[&str]) -> Result<Draft> {
        const TOOL: Tool = Tool { name: "x", help: String::new };
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let said = TOOL.said(&[&JOB, &BY_NAME], &words, Order::BeforeArguments)?;
        let options = JobOptions::read(&said.expect("no --help"))?;
        let places = Places { config: "/c".into(), state: directory.join("state") };
        Draft::read(&places, options)
    }

    fn parts(draft: &Draft, target: &str) -> Result<Parts> {
        let job = JobId::parse(ID).expect("an id");
        draft.parts(&job, Destination::Target(target), None)
    }

    #[test]
    fn later_variables_win_and_targets_have_their_own() {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(at("all"), "A=1\nB=1\n").expect("write");
        std::fs::write(at("web1"), "B=2\n").expect("write");
        let (all, own) = (at("all"), at("%n"));
        let words = ["-e", "C=3", "-e", "A=4", "-E", &all, "-E", &own, "-c", "true", "x"];
        let draft = draft(directory.path(), &words).expect("a draft");
        assert!(draft.differs());
        let text = String::from_utf8(parts(&draft, "web1").expect("parts").spec).expect("text");
        assert_eq!(text, "command true\narg x\nenv A 4\nenv B 2\nenv C 3\n");
        assert!(parts(&draft, "web2").expect_err("no file").message.contains("web2"));
        // Here %n is a name like any other.
        let job = JobId::parse(ID).expect("an id");
        let error = draft.parts(&job, Destination::Here, None).expect_err("no file");
        assert!(error.message.contains("%n"), "{error}");
    }

    #[test]
    fn secrets_are_hidden_and_repeatable() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("s");
        let file = path.display().to_string();
        std::fs::write(&path, "TOKEN=hunter2\n").expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        let error = draft(directory.path(), &["-S", &file, "-ctrue"]).expect_err("readable");
        assert!(error.message.contains("others can read") && error.exit == Exit::Configuration);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let hidden = draft(directory.path(), &["-S", &file, "-c", "true"]).expect("a draft");
        let [one, again, other] = ["web1", "web1", "web2"].map(|t| parts(&hidden, t).expect(t));
        assert_eq!((&one.spec, &one.secrets), (&again.spec, &again.secrets));
        assert_ne!(one.spec, other.spec);
        assert!(!String::from_utf8_lossy(&one.spec).contains("hunter2"));
        let words = ["-e", "TOKEN=x", "-S", &file, "-c", "true"];
        let both = draft(directory.path(), &words).expect("a draft");
        assert_eq!(parts(&both, "web1").expect_err("both").exit, Exit::Data);
    }

    #[test]
    fn secrets_that_their_reader_would_refuse_are_not_published() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("s");
        let file = path.display().to_string();
        for (lines, fits) in [(8, true), (12, false)] {
            let value = "x".repeat(100_000);
            let lines: String = (0..lines).map(|i| format!("A{i}={value}\n")).collect();
            std::fs::write(&path, lines).expect("write");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
            let draft = draft(directory.path(), &["-S", &file, "-c", "true"]).expect("a draft");
            let made = parts(&draft, "web1");
            assert_eq!(made.is_ok(), fits, "{:?}", made.err());
            if let Err(error) = made {
                assert_eq!(error.exit, Exit::Refused);
                assert!(error.message.starts_with("--secrets: are "), "{error}");
            }
        }
    }

    #[test]
    fn what_is_missing_or_too_large_is_told() {
        let directory = tempfile::tempdir().expect("tempdir");
        let error = draft(directory.path(), &["/nonexistent/x.sh"]).expect_err("missing");
        assert_eq!(error.exit, Exit::Data);
        assert!(error.hints[0].contains("-c COMMAND"));
        let long = "x".repeat(200_000);
        let large = draft(directory.path(), &["-c", "true", &long]).expect("a draft");
        assert_eq!(parts(&large, "web1").expect_err("too large").exit, Exit::Refused);
    }
}
