//! A job in the making: the files that its options name, read and checked, and
//! the spec that they make for each target.

#[cfg(test)]
mod tests;

use super::options::{JobOptions, What};
use super::seed::Seed;
use super::variable_file::{self, Programs};
use super::variables::{self, Variable};
use super::words::OwnWords;
use super::{MAXIMUM_SCRIPT, MAXIMUM_SECRETS, Order, Script, Spec, secrets, stdin};
use crate::base::cli::standard_input;
use crate::base::digest::Digest;
use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::{JobId, is_file_name};
use crate::base::no_core;
use crate::base::paths::{Places, read_bounded};
use crate::trust::Verb;
use crate::trust::signed::Signature;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;

/// A job, as far as it is the same for all targets.
#[derive(Debug)]
pub struct Draft {
    options: JobOptions,
    script: Option<SentScript>,
    /// Its standard input, and the sha256 of that.
    stdin: Option<(Vec<u8>, Digest)>,
    /// By their names, `%n` filled in.
    files: HashMap<String, Vec<Variable>>,
    /// Those of `--each`.
    words: OwnWords,
    /// The programs that were not run.
    left: Vec<String>,
    /// Makes the 32 bytes that hide the secrets' digest.
    seed: Option<Seed>,
}

/// A script that is sent.
#[derive(Debug)]
struct SentScript {
    name: String,
    bytes: Vec<u8>,
    digest: Digest,
}

/// Where a job is to run.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// At the target of this name, which is what `%n` in a file's name means.
    Target(&'a str),
    /// On this machine.
    Here,
}

impl<'a> Destination<'a> {
    /// The name there of the file that an option names.
    fn file(self, said: &'a str) -> Cow<'a, str> {
        match self {
            Destination::Target(name) if said.contains("%n") => said.replace("%n", name).into(),
            _ => said.into(),
        }
    }
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
    /// Reads what the job needs at these destinations, each file once: it may be a pipe,
    /// or another a moment later. Variables come first, so that all which are refused are
    /// told before anything else is looked at. A program's variables are unknown where it
    /// is left alone.
    ///
    /// # Errors
    /// Exit 65 and its kin, naming the file; 77 for variables that no pusher may set.
    pub fn read(
        places: &Places,
        options: JobOptions,
        destinations: &[Destination],
        programs: Programs,
    ) -> Result<Draft> {
        if !options.secret_files.is_empty() {
            no_core::of_us();
        }
        let (mut files, mut left) = (HashMap::new(), Vec::new());
        let mut seen = HashSet::new();
        let named = options.variable_files.iter().map(|file| (file, false));
        for (file, secret) in named.chain(options.secret_files.iter().map(|file| (file, true))) {
            let different = if file.contains("%n") { destinations.len() } else { 1 };
            for destination in destinations.iter().take(different) {
                let name = destination.file(file);
                // A pipe is empty the second time, and a program runs once.
                if !seen.insert((name.to_string(), secret)) {
                    continue;
                }
                let read = variable_file::read(&name, secret, programs)?;
                if read.is_none() {
                    left.push(name.to_string());
                }
                files.insert(name.into_owned(), read.unwrap_or_default());
            }
        }
        let targets = destinations.iter().filter_map(|destination| match destination {
            Destination::Target(name) => Some(*name),
            Destination::Here => None,
        });
        if let Some(lacking) = options.installed.lacking(targets) {
            let shown = format!("--installed {lacking}");
            return Err(Error::new(Exit::Data, shown, "is none of the selected targets"));
        }
        let (words, script, stdin, seed) = (OwnWords::default(), None, None, None);
        let mut draft = Draft { options, script, stdin, files, left, words, seed };
        variables::refuse_forbidden(draft.said(destinations))?;
        if let Some(file) = &draft.options.each {
            draft.words = OwnWords::read(destinations.iter().map(|there| there.file(file)))?;
        }
        if let What::Script(path) = &draft.options.what {
            draft.script = Some(SentScript::read(path)?);
        }
        if let Some(path) = &draft.options.stdin {
            // Read once: what was hashed is what is sent, whatever the file is by then.
            let bytes = stdin::read(path)?;
            let digest = Digest::of(&bytes);
            draft.stdin = Some((bytes, digest));
        }
        if !draft.options.secret_files.is_empty() {
            draft.seed = Some(Seed::load(places)?);
        }
        Ok(draft)
    }

    /// All variables as they were said, secrets included, each file once.
    fn said(&self, destinations: &[Destination]) -> Vec<&Variable> {
        let files = self.options.variable_files.iter().chain(&self.options.secret_files);
        let names = files.flat_map(|file| destinations.iter().map(|there| there.file(file)));
        let mut seen = HashSet::new();
        let different = names.filter(|name| seen.insert(name.clone()));
        let read = different.filter_map(|name| self.files.get(&*name)).flatten();
        self.options.variables.iter().chain(read).collect()
    }

    /// The error of a target that refuses these variables, with where each was said for it.
    pub fn located(&self, destination: Destination, names: &[&str], error: Error) -> Error {
        let wanted: HashSet<&str> = names.iter().copied().collect();
        let said = self.said(&[destination]).into_iter();
        let said = said.filter(|variable| wanted.contains(variable.name.as_str()));
        let places: Vec<String> = said.map(|v| format!("{}: {}", v.place, v.name)).collect();
        variables::with_hints(error, places.into_iter())
    }

    /// The files of secrets that are programs and were not run.
    pub fn left(&self) -> &[String] {
        &self.left
    }

    /// The bytes of the script that is sent there; none where none is.
    pub fn script(&self, destination: Destination) -> Option<&[u8]> {
        let sent = self.script.as_ref().filter(|_| !self.is_installed(destination));
        sent.map(|script| &script.bytes[..])
    }

    /// The bytes of its standard input; none where it has none.
    pub fn stdin(&self) -> Option<&[u8]> {
        self.stdin.as_ref().map(|(bytes, _)| &bytes[..])
    }

    /// Is the script run by its name there?
    fn is_installed(&self, destination: Destination) -> bool {
        matches!(destination, Destination::Target(name) if self.options.installed.holds(name))
    }

    /// What octo-exec does itself, where that is all.
    pub fn order(&self) -> Option<&Order> {
        match &self.options.what {
            What::Order(order) => Some(order),
            What::Script(_) | What::Command(_) | What::Named(_) => None,
        }
    }

    /// What is done: `run`, or the word of an order.
    pub fn verb(&self) -> &'static str {
        self.order().map_or(Verb::Run.word(), Order::word)
    }

    /// With what, in a few words; escaped.
    pub fn summary(&self) -> String {
        let what = self.what_runs();
        match &self.stdin {
            Some((bytes, digest)) => format!("{what}, stdin {digest} ({} bytes)", bytes.len()),
            None => what,
        }
    }

    fn what_runs(&self) -> String {
        match (&self.options.what, &self.script) {
            (What::Order(order), _) => order.to_string(),
            (_, Some(script)) => printable(script.name.as_bytes()),
            (What::Command(text), None) => format!("sh -c {}", printable(text.as_bytes())),
            (What::Named(name) | What::Script(name), None) => printable(name.as_bytes()),
        }
    }

    /// Does a target have files of its own?
    pub fn differs(&self) -> bool {
        let files = self.options.variable_files.iter().chain(&self.options.secret_files);
        let mut files = files.chain(&self.options.each);
        files.any(|file| file.contains("%n"))
            || !self.options.installed.is_empty()
            || !self.options.frozen.is_empty()
    }

    /// The spec and the secrets of this job there.
    ///
    /// # Errors
    /// A spec that would be refused, or a destination that [`Draft::read`] wasn't told of.
    pub fn parts(
        &self,
        job: &JobId,
        destination: Destination,
        package: Option<(Digest, String)>,
        signature: Option<Signature>,
    ) -> Result<Parts> {
        let options = &self.options;
        let files = self.variables(&options.variable_files, destination)?;
        let environment = variables::merge(&files, &options.variables);
        let hidden = self.variables(&options.secret_files, destination)?;
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
        let mut arguments: Vec<Vec<u8>> =
            options.arguments.iter().map(|argument| argument.clone().into_bytes()).collect();
        if let Some(file) = &options.each {
            arguments.extend_from_slice(self.words.of(&destination.file(file))?);
        }
        let spec = Spec {
            package,
            signature,
            stdin: self.stdin.as_ref().map(|(bytes, digest)| (*digest, bytes.len() as u64)),
            arguments,
            environment,
            secrets: hidden.into_iter().map(|(name, _)| name).collect(),
            secrets_digest: (!secrets.is_empty()).then(|| Digest::of(&secrets)),
            timeout: options.timeout,
            grace: options.grace,
            locks: options.locks.clone(),
            despite: options
                .despite
                .clone()
                .filter(|_| options.frozen.is_empty() || options.frozen.holds(place)),
            ..Spec::of(self.what(destination))
        };
        let spec = spec.encode();
        // Whoever gets it would say the same, later.
        Spec::parse(&spec).map_err(|e| Error::new(e.refusal.exit(), "job", e.reason))?;
        Ok(Parts { spec, secrets })
    }

    fn what(&self, destination: Destination) -> Script {
        match (&self.options.what, &self.script) {
            (_, Some(script)) if self.is_installed(destination) => {
                Script::Named(script.name.clone())
            }
            (_, Some(SentScript { name, digest, .. })) => {
                Script::Sent { digest: *digest, name: name.clone() }
            }
            (What::Named(name), None) => Script::Named(name.clone()),
            (What::Order(order), None) => Script::Order(order.clone()),
            (What::Command(text) | What::Script(text), None) => Script::Command(text.clone()),
        }
    }

    fn variables(&self, files: &[String], destination: Destination) -> Result<Vec<Variable>> {
        let mut all = Vec::new();
        for said in files {
            let name = destination.file(said);
            let read = self.files.get(&*name);
            let read = read.ok_or_else(|| Error::new(Exit::Data, &name, "was not read"))?;
            all.extend(read.iter().cloned());
        }
        Ok(all)
    }
}

impl SentScript {
    fn read(path: &str) -> Result<SentScript> {
        let (name, bytes) = read_script(path)?;
        let digest = Digest::of(&bytes);
        Ok(SentScript { name, bytes, digest })
    }
}

fn read_script(path: &str) -> Result<(String, Vec<u8>)> {
    if path == "-" {
        let place = Path::new("standard input");
        let bytes = read_bounded(&mut standard_input()?, place, MAXIMUM_SCRIPT)?;
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
