//! Is a job a deployment by octo-release, and of what? Read off its words as octo-release
//! reads them; what could be meant otherwise is not guessed.

use octo_core::Digest;
use octo_core::base::package_name;
use octo_core::tentacle::releases::Directory;
use octo_core::tentacle::spec::{Script, Spec};
use octo_core::trust::Grant;
use std::path::Path;

/// Options of octo-release that take a value, and those that take none.
const VALUES: &[&str] = &[
    "-b",
    "--base",
    "-p",
    "--package",
    "-w",
    "--wait",
    "--keep",
    "--health",
    "--tries",
    "--interval",
    "--over",
    "--from",
    "--release",
    "--without",
    "--environment",
    "--config",
];
const FLAGS: &[&str] = &[
    "--skip-deployed",
    "--stays-good",
    "--complete",
    "--shared",
    "-v",
    "--verbose",
    "-q",
    "--quiet",
];

/// What is to be deployed where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deployment {
    pub(super) application: String,
    pub(super) version: String,
    pub(super) base: String,
    pub(super) package: Digest,
}

/// `None` for a job that deploys nothing; the error is why it isn't known what it deploys.
pub(super) fn of(spec: &Spec, grant: &Grant) -> Option<Result<Deployment, String>> {
    let is_installed = match &spec.script {
        Script::Named(name) if name == "octo-release" => true,
        Script::Sent { name, .. } if name == "octo-release" => false,
        _ => return None,
    };
    let (package, file) = spec.package.as_ref()?;
    let words: Option<Vec<&str>> =
        spec.arguments.iter().map(|word| std::str::from_utf8(word).ok()).collect();
    let said = match words.map(|words| Said::read(&words)) {
        Some(Ok(said)) => said,
        Some(Err(why)) => return Some(Err(why)),
        None => return Some(Err("its arguments are no text".into())),
    };
    if said.words.first().map(String::as_str) != Some("deploy") || said.is_dry {
        return None;
    }
    Some(deployed(&said, spec, grant, is_installed).and_then(|base| {
        let (application, version) = named(&said.words[1..], file)?;
        // Of any length it could be, and a record is bounded.
        let directory = Path::new(&base).join(&application);
        if directory.to_str().and_then(Directory::parse).is_none() {
            return Err("its BASE is no plain path, or longer than 1000 bytes".into());
        }
        Ok(Deployment { application, version, base, package: *package })
    }))
}

/// The directory of all applications, as octo-release would find it.
fn deployed(said: &Said, spec: &Spec, grant: &Grant, is_installed: bool) -> Result<String, String> {
    if said.package && !is_installed {
        return Err("-p names another package than the job's".into());
    }
    if spec.secrets.iter().any(|name| name.as_str() == "OCTO_BASE") {
        return Err("OCTO_BASE is a secret of it".into());
    }
    let set = grant.set.iter().find(|(name, _)| name.as_str() == "OCTO_BASE");
    let given = spec.environment.iter().find(|(name, _)| name.as_str() == "OCTO_BASE");
    let variable = match (set, given) {
        (Some((_, value)), _) => Some(value.clone()),
        (None, Some((_, value))) => {
            Some(String::from_utf8(value.clone()).map_err(|_| "OCTO_BASE is no text")?)
        }
        (None, None) => None,
    };
    // By name the command line doesn't say where.
    let option = said.base.clone().filter(|_| !is_installed);
    let base = option.or(variable).filter(|base| !base.is_empty());
    let base = base.unwrap_or_else(|| "/srv".into());
    match base.starts_with('/') {
        true => Ok(base),
        false => Err("its BASE is relative to where the job will be".into()),
    }
}

/// Application and version: as said, else by the package's name.
fn named(words: &[String], file: &str) -> Result<(String, String), String> {
    let (application, version) = match words {
        [application, version] => (application.clone(), version.clone()),
        [] | [_] => {
            let (application, version) = package_name::parts(file)?;
            let said = words.first().is_none_or(|said| said == application);
            if !said {
                return Err("it names another application than its package".into());
            }
            (application.to_string(), version.to_string())
        }
        _ => return Err("its arguments are not of octo-release".into()),
    };
    match [&application, &version].iter().all(|name| package_name::is_plain_name(name)) {
        true => Ok((application, version)),
        false => Err("its application or version is no plain name".into()),
    }
}

/// A command line of octo-release.
#[derive(Debug, Default)]
struct Said {
    words: Vec<String>,
    base: Option<String>,
    package: bool,
    is_dry: bool,
}

impl Said {
    fn read(arguments: &[&str]) -> Result<Said, String> {
        let mut said = Said::default();
        let mut rest = arguments.iter().copied();
        while let Some(word) = rest.next() {
            if word == "--" {
                said.words.extend(rest.map(str::to_string));
                break;
            }
            if word == "-" || !word.starts_with('-') {
                said.words.push(word.into());
            } else if let Some((name, value)) =
                word.split_once('=').filter(|_| word.starts_with("--"))
            {
                said.value(name, value)?;
            } else if VALUES.contains(&word) {
                said.value(word, rest.next().ok_or("a value is missing in its arguments")?)?;
            } else {
                said.flags(word)?;
            }
        }
        Ok(said)
    }

    fn value(&mut self, name: &str, value: &str) -> Result<(), String> {
        if !VALUES.contains(&name) {
            return Err(unknown());
        }
        match name {
            "-b" | "--base" => self.base = Some(value.into()),
            "-p" | "--package" => self.package = true,
            _ => {}
        }
        Ok(())
    }

    /// `--flag`, or `-nq` and `-bDIR`.
    fn flags(&mut self, word: &str) -> Result<(), String> {
        if word == "-n" || word == "--dry-run" {
            self.is_dry = true;
            return Ok(());
        }
        if FLAGS.contains(&word) {
            return Ok(());
        }
        let (short, rest) = word.split_at_checked(2).ok_or_else(unknown)?;
        match (short, rest) {
            ("--", _) | (_, "") => Err(unknown()),
            (short, value) if VALUES.contains(&short) => self.value(short, value),
            (short, rest) => {
                self.flags(short)?;
                self.flags(&format!("-{rest}"))
            }
        }
    }
}

fn unknown() -> String {
    "an argument of it is none of octo-release".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::VariableName;

    fn spec(script: Script, arguments: &[&str]) -> Spec {
        let arguments = arguments.iter().map(|word| word.as_bytes().to_vec()).collect();
        let package = Some((Digest::of(b"p"), "shop-1.4.tar".into()));
        Spec { arguments, package, ..Spec::of(script) }
    }

    fn sent() -> Script {
        Script::Sent { digest: Digest::of(b"s"), name: "octo-release".into() }
    }

    fn installed() -> Script {
        Script::Named("octo-release".into())
    }

    fn read(spec: &Spec) -> Option<Result<(String, String, String), String>> {
        of(spec, &Grant::by_hand())
            .map(|said| said.map(|found| (found.application, found.version, found.base)))
    }

    #[test]
    fn what_it_deploys_is_read_as_octo_release_reads_it() {
        for (arguments, wanted) in [
            (&["deploy"][..], ("shop", "1.4", "/srv")),
            (&["-b", "/opt", "--skip-deployed", "deploy"], ("shop", "1.4", "/opt")),
            (&["-qvb/opt", "deploy", "--keep=3"], ("shop", "1.4", "/opt")),
            (&["--base=/opt", "--", "deploy", "web", "2"], ("web", "2", "/opt")),
            (&["deploy", "shop"], ("shop", "1.4", "/srv")),
        ] {
            let (application, version, base) = wanted;
            let wanted = (application.to_string(), version.to_string(), base.to_string());
            assert_eq!(read(&spec(sent(), arguments)), Some(Ok(wanted)), "{arguments:?}");
        }
        let name = VariableName::parse("OCTO_BASE").expect("a name");
        let given = Spec {
            environment: vec![(name, b"/data".to_vec())],
            ..spec(installed(), &["-b", "/opt", "deploy"])
        };
        assert_eq!(read(&given).map(|said| said.map(|it| it.2)), Some(Ok("/data".into())));
    }

    #[test]
    fn what_could_be_meant_otherwise_is_not_guessed() {
        let long = format!("/{}", "a".repeat(1000));
        for (arguments, said) in [
            (&["-p", "x.tar", "deploy"][..], "-p names"),
            (&["--evil", "deploy"], "none of octo-release"),
            (&["-x", "deploy"], "none of octo-release"),
            (&["deploy", "--base"], "missing"),
            (&["-b", "srv", "deploy"], "relative"),
            (&["-b", "/srv/../etc", "deploy"], "no plain path"),
            (&["-b", &long, "deploy"], "no plain path"),
            (&["deploy", "web"], "another application"),
            (&["deploy", "../x", "1"], "no plain name"),
            (&["deploy", "a", "b", "c"], "not of octo-release"),
        ] {
            let why = read(&spec(sent(), arguments)).expect("a deployment").expect_err(said);
            assert!(why.contains(said), "{why}");
        }
        for arguments in [&["rollback", "shop"][..], &[], &["-n", "deploy"], &["status"]] {
            assert_eq!(read(&spec(sent(), arguments)), None, "{arguments:?}");
        }
        let other = Script::Named("restart".into());
        assert_eq!(read(&spec(other, &["deploy"])), None);
        assert_eq!(read(&Spec { package: None, ..spec(sent(), &["deploy"]) }), None);
    }
}
