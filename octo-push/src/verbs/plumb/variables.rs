//! Which variables a target gets, and from which file: the narrowest of common,
//! env/ENVIRONMENT, tag/TAG and target/TARGET wins, a `.secret` over the file
//! beside it. octo-vars(1).

use super::ask::target;
use super::environments::{self, Environments, SECRET};
use octo_core::base::cli::options::{OptionGroup, Said, flag, value};
use octo_core::base::cli::print_bytes;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::VariableName;
use octo_core::base::paths::Places;
use octo_core::base::publish::replace;
use octo_core::base::{descriptors, no_core};
use octo_core::targets::{Target, Targets, TargetsFile};
use octo_core::tentacle::spec::variable_file::{self, Programs};
use octo_core::tentacle::spec::variables::{self, Place, Variable};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The options of `variables`.
pub(super) static OPTIONS: OptionGroup = OptionGroup {
    title: "variables",
    rows: &[
        value("", "environment", "ENVIRONMENT", "this environment too"),
        value("", "vars", "DIR", "not CONFIG/vars"),
        value("", "lifecycle", "FILE", "not CONFIG/lifecycle"),
        value("", "form", "FORM", "as a file of run: env or secrets"),
        value("", "into", "DIR", "both, as DIR/TARGET.env and DIR/TARGET.secrets"),
        flag("", "dry-run", "run no program that prints secrets"),
    ],
};

/// A variable of a target.
struct ScopedVariable {
    value: Vec<u8>,
    source: PathBuf,
    place: Place,
    secret: bool,
}

/// The variables of a target, by name.
type Variables = BTreeMap<VariableName, ScopedVariable>;

/// `variables`
pub(super) fn variables(said: &Said, places: &Places) -> Result<u8> {
    let tool = said.tool();
    // What is named may be one of the descriptors that are closed.
    let named = TargetsFile::of(None);
    let named = named.map(|file| Targets::load(places, Some(&file))).transpose()?;
    // What a program leaves running must not hold the locks of the pipeline that asks.
    let _ = descriptors::close_others();
    no_core::of_us();
    let environment = said.one("environment")?;
    if let Some(name) = &environment {
        Environments::read(said, places)?.check(said, name)?;
    }
    let directory = environments::directory(said, places)?;
    said.apart("form", "into")?;
    let into = said.one("into")?;
    let form = said.one("form")?;
    let show: fn(&Variables) -> Vec<u8> = match form.as_deref() {
        None => shown,
        Some("env") => |variables| file(variables, false, Origins::Left),
        Some("secrets") => |variables| file(variables, true, Origins::Left),
        Some(form) => return Err(tool.misuse(format!("--form {form}: not env or secrets"))),
    };
    let targets = named.map_or_else(|| Targets::load(places, None), Ok)?;
    let programs = if said.flag("dry-run") { Programs::Leave } else { Programs::Run };
    let mut files = Files { programs, read: HashMap::new(), left: Vec::new() };
    for name in said.arguments() {
        let scopes = scopes(environment.as_deref(), target(&targets, name)?);
        let gathered = gather(&directory, &scopes, &mut files)?;
        match &into {
            None => print_bytes(&show(&gathered))?,
            Some(into) => {
                for (ending, secret) in [("env", false), ("secrets", true)] {
                    let path = Path::new(into).join(format!("{name}.{ending}"));
                    replace(&path, &file(&gathered, secret, Origins::Named), 0o600)?;
                }
            }
        }
    }
    for file in files.left {
        let file = file.display();
        tool.say(format!("{file}: a program, not run by -n: its variables are not known"));
    }
    Ok(0)
}

/// What was read: each file once, however many targets it is for.
struct Files {
    programs: Programs,
    read: HashMap<PathBuf, Vec<Variable>>,
    /// The programs that were not run.
    left: Vec<PathBuf>,
}

impl Files {
    /// None where there is no such file.
    fn variables(&mut self, source: &Path, secret: bool) -> Result<&[Variable]> {
        if !self.read.contains_key(source) {
            let is_there = source.try_exists().map_err(|error| Error::io(source, &error))?;
            let read = match is_there {
                true => variable_file::read(&source.to_string_lossy(), secret, self.programs)?,
                false => Some(Vec::new()),
            };
            if read.is_none() {
                self.left.push(source.into());
            }
            self.read.insert(source.into(), read.unwrap_or_default());
        }
        Ok(self.read.get(source).map_or(&[], Vec::as_slice))
    }
}

/// The names of the files, a wider one first.
fn scopes(environment: Option<&str>, target: &Target) -> Vec<String> {
    let mut scopes = vec!["common".to_string()];
    scopes.extend(environment.map(|name| format!("env/{name}")));
    scopes.extend(target.tags.iter().map(|tag| format!("tag/{tag}")));
    scopes.push(format!("target/{}", target.name));
    scopes
}

/// Reads the scopes.
fn gather(directory: &Path, scopes: &[String], files: &mut Files) -> Result<Variables> {
    let mut all = Vec::new();
    for scope in scopes {
        // What are somebody's secrets would be shown as plain variables.
        if scope.ends_with(SECRET) {
            let reason = format!("a name that ends in {SECRET} has no variables of its own");
            return Err(Error::new(Exit::Data, scope, reason));
        }
        for secret in [false, true] {
            let source = directory.join(scope.clone() + if secret { SECRET } else { "" });
            let read = files.variables(&source, secret)?.iter().cloned();
            all.extend(read.map(|variable| (variable, source.clone(), secret)));
        }
    }
    variables::refuse_forbidden(all.iter().map(|(variable, ..)| variable))?;
    let scoped = all.into_iter().map(|(Variable { name, value, place }, source, secret)| {
        (name, ScopedVariable { value, source, place, secret })
    });
    Ok(scoped.collect())
}

/// For people: each on one line, the file behind a tab, secrets hidden.
fn shown(variables: &Variables) -> Vec<u8> {
    let line = |(name, variable): (&VariableName, &ScopedVariable)| {
        let value = match variable.secret {
            true => "(hidden)".to_string(),
            false => printable(&variable.value),
        };
        format!("{name}={value}\t{}\n", variable.source.display())
    };
    variables.iter().map(line).collect::<String>().into_bytes()
}

/// Does each variable of a file say where it comes from, for messages of `run`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origins {
    Named,
    Left,
}

/// As a file of `run -E` or `-S`, from which the same values are read: a line
/// each, or ended by NUL where a line would not hold one of them.
fn file(variables: &Variables, secret: bool, origins: Origins) -> Vec<u8> {
    let wanted = || variables.iter().filter(|(_, variable)| variable.secret == secret);
    let in_lines =
        |value: &[u8]| !value.contains(&b'\n') && value.last().is_none_or(|last| *last != b'\r');
    let origin = |variable: &ScopedVariable| match origins {
        Origins::Named => variable.place.as_comment(),
        Origins::Left => String::new(),
    };
    let is_lines = wanted().all(|(_, v)| in_lines(&v.value) && in_lines(origin(v).as_bytes()));
    let end = if is_lines { b'\n' } else { 0 };
    let mut bytes = Vec::new();
    for (name, variable) in wanted() {
        let origin = origin(variable);
        if !origin.is_empty() {
            bytes.extend_from_slice(origin.as_bytes());
            bytes.push(end);
        }
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(&variable.value);
        bytes.push(end);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(values: &[(&str, &[u8])]) -> Variables {
        let made = values.iter().map(|(name, value)| {
            let text = [name.as_bytes(), b"=", value, b"\0"].concat();
            let read = variable_file::parse("f\ng", &text).expect("sound").remove(0);
            let Variable { name, value, place } = read;
            (name, ScopedVariable { value, source: "f".into(), place, secret: false })
        });
        made.collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let cases: [&[(&str, &[u8])]; 6] = [
            &[],
            &[("A", b"")],
            &[("A", b" \"q\" $(id) # = \\n"), ("B", b"\xff\t")],
            &[("A", b"one\ntwo\n"), ("B", b"")],
            &[("A", b"\n")],
            &[("A", b"ends in CR\r"), ("B", b"x")],
        ];
        for values in cases {
            for (origins, place) in [(Origins::Left, "f:"), (Origins::Named, "f\\ng:1")] {
                let written = file(&given(values), false, origins);
                let all = variable_file::parse("f", &written).expect("sound");
                let read: Vec<(&str, &[u8])> =
                    all.iter().map(|v| (v.name.as_str(), v.value.as_slice())).collect();
                assert_eq!(read, values);
                assert!(all.iter().all(|v| v.place.to_string().starts_with(place)), "{all:?}");
                assert_eq!(file(&given(values), true, origins), b"");
            }
        }
    }

    #[test]
    fn a_value_is_shown_on_one_line() {
        assert_eq!(shown(&given(&[("A", b"x\ny\t\x1b[2J")])), b"A=x\\ny\\t\\x1b[2J\tf\n");
    }
}
