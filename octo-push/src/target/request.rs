//! The job that `run` asks for: everything is read and checked before the first
//! target hears of it.

use crate::cli::run::{Run, What};
use crate::target::package::upload::Package;
use octo_core::base::digest::Digest;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::{JobId, is_file_name};
use octo_core::base::no_core;
use octo_core::base::paths::{Places, read_bounded};
use octo_core::tentacle::spec::seed::Seed;
use octo_core::tentacle::spec::variables::{self, Variable};
use octo_core::tentacle::spec::{self, Script, Spec};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// The job, as far as it is the same for all targets.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Its id, and the rollout's.
    pub(crate) id: JobId,
    /// The package, put before it runs.
    pub(crate) package: Option<Arc<Package>>,
    run: Run,
    script: Option<(String, Vec<u8>)>,
    /// Files without %n, read once, by the option's value.
    files: HashMap<String, Arc<Vec<Variable>>>,
    /// Makes the 32 bytes that hide the secrets' digest.
    seed: Option<Seed>,
}

/// What one target is sent.
#[derive(Debug)]
pub(crate) struct Request {
    /// The spec's bytes.
    pub(crate) spec: Vec<u8>,
    /// Spec, script and secrets, as they travel.
    pub(crate) body: Vec<u8>,
    /// How long the script is.
    pub(crate) script: usize,
}

impl Plan {
    /// Reads what the job needs.
    ///
    /// # Errors
    /// Exit 65 and its kin, naming the file.
    pub(crate) fn read(
        places: &Places,
        id: JobId,
        run: Run,
        package: Option<Arc<Package>>,
    ) -> Result<Plan> {
        let script = match &run.what {
            What::Script(path) => Some(read_script(path)?),
            _ => None,
        };
        let seed = if run.secret_files.is_empty() {
            None
        } else {
            no_core::of_us();
            Some(Seed::load(places)?)
        };
        let mut files = HashMap::new();
        let named = run.variable_files.iter().map(|f| (f, false));
        for (file, secret) in named.chain(run.secret_files.iter().map(|f| (f, true))) {
            if !file.contains("%n") {
                files.insert(file.clone(), Arc::new(variables::read(file, secret)?));
            }
        }
        Ok(Plan { id, package, run, script, files, seed })
    }

    /// What to say of the job in a few words.
    pub(crate) fn summary(&self) -> String {
        match (&self.run.what, &self.script) {
            (What::Script(_), Some((name, _))) => printable(name.as_bytes()),
            (What::Script(path), None) => printable(path.as_bytes()),
            (What::Command(text), _) => format!("sh -c {}", printable(text.as_bytes())),
            (What::Named(name), _) => printable(name.as_bytes()),
        }
    }

    /// What this target is sent under this id.
    ///
    /// # Errors
    /// A file of its own that can't be read, or a spec that would be refused.
    pub(crate) fn request(&self, target: &str, job: &JobId) -> Result<Request> {
        let (script, script_bytes) = match (&self.run.what, &self.script) {
            (What::Script(_), Some((name, bytes))) => {
                (Script::Sent { digest: Digest::of(bytes), name: name.clone() }, &bytes[..])
            }
            (What::Named(name), _) => (Script::Named(name.clone()), &b""[..]),
            (What::Command(text) | What::Script(text), _) => {
                (Script::Command(text.clone()), &b""[..])
            }
        };
        let environment = variables::merge(
            &self.variables(&self.run.variable_files, target)?,
            &self.run.variables,
        );
        let secrets = variables::merge(&self.variables(&self.run.secret_files, target)?, &[]);
        if let Some((name, _)) =
            secrets.iter().find(|(n, _)| environment.iter().any(|(m, _)| n == m))
        {
            return Err(Error::new(Exit::Data, name, "is both a secret and a plain variable"));
        }
        let hidden = match &self.seed {
            Some(seed) if !secrets.is_empty() => {
                spec::secrets::encode_with(&seed.nonce(job, target), &secrets)
            }
            _ => Vec::new(),
        };
        let package = self.package.as_ref().map(|p| Ok((p.digest()?, p.name.clone())));
        let spec = Spec {
            package: package.transpose()?,
            arguments: self.run.arguments.iter().map(|a| a.clone().into_bytes()).collect(),
            environment,
            secrets: secrets.iter().map(|(name, _)| name.clone()).collect(),
            secrets_digest: (!hidden.is_empty()).then(|| Digest::of(&hidden)),
            timeout: self.run.timeout,
            grace: self.run.grace,
            locks: self.run.locks.clone(),
            ..Spec::of(script)
        };
        let encoded = spec.encode();
        // The tentacle would say the same, after a connection and an upload.
        Spec::parse(&encoded).map_err(|e| Error::new(e.refusal.exit(), "job", e.reason))?;
        let mut body = encoded.clone();
        body.extend_from_slice(script_bytes);
        body.extend_from_slice(&hidden);
        Ok(Request { spec: encoded, body, script: script_bytes.len() })
    }

    fn variables(&self, files: &[String], target: &str) -> Result<Vec<Variable>> {
        let secret = std::ptr::eq(files, self.run.secret_files.as_slice());
        let mut all = Vec::new();
        for file in files {
            match self.files.get(file) {
                Some(read) => all.extend(read.iter().cloned()),
                None => all.extend(variables::read(&file.replace("%n", target), secret)?),
            }
        }
        Ok(all)
    }

    /// Does a target have files of its own?
    pub(crate) fn differs(&self) -> bool {
        self.run.variable_files.iter().chain(&self.run.secret_files).any(|f| f.contains("%n"))
    }
}

fn read_script(path: &str) -> Result<(String, Vec<u8>)> {
    if path == "-" {
        let bytes = read_bounded(
            &mut std::io::stdin().lock(),
            Path::new("standard input"),
            spec::MAXIMUM_SCRIPT,
        )?;
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
    let bytes = read_bounded(&mut file, path, spec::MAXIMUM_SCRIPT)?;
    Ok((name.to_string(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::argv;
    use crate::cli::run::{self, Verb};
    use octo_core::base::cli::Tool;
    use std::os::unix::fs::PermissionsExt;

    fn plan(directory: &Path, line: &str) -> Result<Plan> {
        const TOOL: Tool = Tool { name: "octo-push", help: String::new };
        let state = directory.join("state");
        let mut arguments =
            vec!["--config=/c".to_string(), format!("--state={}", state.display()), "run".into()];
        arguments.extend(argv::split(line).expect(line));
        let Some((common, Verb::Run(run))) = run::read(&TOOL, &arguments)? else {
            panic!("not run")
        };
        let id = JobId::parse("20260101T000000-abcdefghijklm").expect("an id");
        Plan::read(&common.places, id, *run, None)
    }

    #[test]
    fn later_variables_win_and_targets_have_their_own() {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(at("all"), "A=1\nB=1\n").expect("write");
        std::fs::write(at("web1"), "B=2\n").expect("write");
        let line = format!("-e C=3 -e A=4 -E {} -E {} -c true x", at("all"), at("%n"));
        let plan = plan(directory.path(), &line).expect("a plan");
        assert!(plan.differs());
        let request = plan.request("web1", &plan.id).expect("a request");
        let text = String::from_utf8(request.spec).expect("text");
        assert_eq!(text, "command true\narg x\nenv A 4\nenv B 2\nenv C 3\n");
        assert!(plan.request("web2", &plan.id).expect_err("no file").message.contains("web2"));
    }

    #[test]
    fn secrets_are_hidden_and_repeatable() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("s");
        std::fs::write(&path, "TOKEN=hunter2\n").expect("write");
        let line = format!("-S {} -c true", path.display());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        let error = plan(directory.path(), &line).expect_err("readable by others");
        assert!(error.message.contains("others can read") && error.exit == Exit::Configuration);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let plan = plan(directory.path(), &line).expect("a plan");
        let one = plan.request("web1", &plan.id).expect("a request");
        let again = plan.request("web1", &plan.id).expect("a request");
        let other = plan.request("web2", &plan.id).expect("a request");
        assert_eq!(one.body, again.body);
        assert_ne!(one.spec, other.spec);
        assert!(!String::from_utf8_lossy(&one.spec).contains("hunter2"));
        let line = format!("-e TOKEN=x -S {} -c true", path.display());
        let both = tests::plan(directory.path(), &line).expect("a plan");
        assert!(both.request("web1", &both.id).is_err());
    }

    #[test]
    fn what_is_missing_is_told_before_anything_is_sent() {
        let directory = tempfile::tempdir().expect("tempdir");
        let error = plan(directory.path(), "/nonexistent/x.sh").expect_err("missing");
        assert_eq!(error.exit, Exit::Data);
        assert!(error.hints[0].contains("-c COMMAND"));
        let line = format!("-c true {}", "x".repeat(200_000));
        let plan = plan(directory.path(), &line).expect("a plan");
        let error = plan.request("web1", &plan.id).expect_err("too large");
        assert_eq!(error.exit, Exit::Refused);
    }
}
