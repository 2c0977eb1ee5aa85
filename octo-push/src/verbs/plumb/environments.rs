//! Which environments there are: the words of CONFIG/lifecycle and the files in
//! CONFIG/vars/env. Another name is a slip: its targets would silently get the variables
//! of no environment. octo-vars(1), octo-promote(1).

use super::values;
use octo_core::base::argv::quote;
use octo_core::base::cli::options::{OptionGroup, Said, value};
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::nearest::nearest;
use octo_core::base::paths::{Places, if_there, read_bounded};
use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The options of `environment`.
pub(super) static OPTIONS: OptionGroup = OptionGroup {
    title: "environment",
    rows: &[
        value("", "vars", "DIR", "not CONFIG/vars"),
        value("", "lifecycle", "FILE", "not CONFIG/lifecycle"),
        value("", "app", "APP", "one that APP goes through; and the one before it there"),
    ],
};

/// What editors and packages leave beside a file.
const LEFT_BY_EDITORS: &[&str] =
    &["bak", "old", "orig", "rej", "rpmnew", "rpmorig", "rpmsave", "save", "swo", "swp", "tmp"];
/// What a file of secrets ends in.
pub(super) const SECRET: &str = ".secret";
/// The largest lifecycle, in bytes.
const LARGEST: u64 = 1 << 20;

/// `environment`: the name itself; with `--app` a line more, empty for the first one.
/// Without a name all that there are.
pub(super) fn environment(said: &Said, places: &Places) -> Result<u8> {
    let tool = said.tool();
    let known = Environments::read(said, places)?;
    let [name] = said.counted(0..=1)? else {
        if said.flag("app") {
            return Err(said.misuse("--app needs an environment"));
        }
        let all = known.known.iter().map(|name| format!("{name}\n"));
        print(&all.collect::<String>())?;
        return Ok(0);
    };
    let Some(application) = said.one("app")? else {
        known.check(said, name)?;
        print(&format!("{name}\n"))?;
        return Ok(0);
    };
    let checked = values::plain_name(&application);
    checked.map_err(|reason| tool.misuse(format!("--app {application}: {reason}")))?;
    let before = known.before(name, &application)?;
    print(&format!("{name}\n{}\n", before.unwrap_or_default()))?;
    Ok(0)
}

/// All that there are.
pub(super) struct Environments {
    directory: PathBuf,
    /// The file and its lines; `None` where there is no file.
    lifecycle: (PathBuf, Option<Vec<Line>>),
    known: BTreeSet<String>,
}

/// One of the lifecycle: an application, or `*`, and what it goes through.
struct Line {
    application: String,
    environments: Vec<String>,
}

impl Environments {
    /// Those of `--vars` and `--lifecycle`, or of CONFIG.
    ///
    /// # Errors
    /// Exit 78 for a lifecycle with a fault, 65 for a `--vars` that is not there.
    pub(super) fn read(said: &Said, places: &Places) -> Result<Environments> {
        let directory = directory(said, places)?;
        let named = said.one("lifecycle")?.map(PathBuf::from);
        let path = named.clone().unwrap_or_else(|| places.config.join("lifecycle"));
        let lines = match if_there(&path, File::open(&path))? {
            Some(mut file) => Some(lines(&path, &read_bounded(&mut file, &path, LARGEST)?)?),
            None if named.is_some() => return Err(missing(&path)),
            None => None,
        };
        let mut known: BTreeSet<String> = files(&directory.join("env"))?;
        known.extend(lines.iter().flatten().flat_map(|line| line.environments.iter().cloned()));
        Ok(Environments { directory, lifecycle: (path, lines), known })
    }

    /// Their names.
    pub(super) fn names(self) -> impl Iterator<Item = String> {
        self.known.into_iter()
    }

    /// Is this one of them?
    ///
    /// # Errors
    /// Exit 65 with the one that may have been meant, and how to make it one; 64 if it
    /// can't be any's name.
    pub(super) fn check(&self, said: &Said, name: &str) -> Result<()> {
        let misuse = |reason| said.tool().misuse(format!("environment {name}: {reason}"));
        values::tag(name).map_err(misuse)?;
        if self.known.contains(name) {
            return Ok(());
        }
        let error = match self.known.is_empty() {
            true => Error::new(Exit::Data, name, "no such environment, there is none yet"),
            false => Error::new(Exit::Data, name, "no such environment")
                .hint(likely(name, self.known.iter().map(String::as_str))),
        };
        if is_left_by_editors(name) || name.ends_with(SECRET) {
            return Err(error);
        }
        let directory = self.directory.join("env");
        let made = if directory.is_dir() {
            String::new()
        } else {
            format!("mkdir -p {} && ", quote(&directory.to_string_lossy()))
        };
        let file = directory.join(name);
        let touched = quote(&file.to_string_lossy());
        Err(error.hint(format!("to make it one: {made}touch {touched}")))
    }

    /// The one that an application goes through before this one; `None` before the first.
    fn before(&self, name: &str, application: &str) -> Result<Option<&str>> {
        let (path, Some(lines)) = &self.lifecycle else { return Err(missing(&self.lifecycle.0)) };
        let of = |word: &str| lines.iter().find(|line| line.application == word);
        let Some(line) = of(application).or(of("*")) else {
            let reason = format!("no environment {name} for {application}");
            let error = Error::new(Exit::Data, path.display(), reason);
            return Err(error.hint(format!("no line begins with {application} or *")));
        };
        match line.environments.iter().position(|known| known == name) {
            Some(at) => Ok(line.environments[..at].last().map(String::as_str)),
            None => {
                let reason = format!("no environment {name} for {application}");
                let known = line.environments.iter().map(String::as_str);
                Err(Error::new(Exit::Data, path.display(), reason).hint(likely(name, known)))
            }
        }
    }
}

/// The directory of variables.
///
/// # Errors
/// Exit 65 if one was named that is none: no variable of it would be there.
pub(super) fn directory(said: &Said, places: &Places) -> Result<PathBuf> {
    let Some(named) = said.one("vars")? else { return Ok(places.config.join("vars")) };
    let named = PathBuf::from(named);
    match named.is_dir() {
        true => Ok(named),
        false => Err(Error::new(Exit::Data, named.display(), "not a directory")),
    }
}

fn likely<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let same = known.clone().find(|known| known.eq_ignore_ascii_case(name));
    match same.or_else(|| nearest(name, known.clone())) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

fn missing(path: &Path) -> Error {
    let error = Error::new(Exit::Configuration, path.display(), "no such file");
    error.hint("its lines are APP ENVIRONMENT..., in their order: octo-promote(1)")
}

fn lines(path: &Path, bytes: &[u8]) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    let mut seen = HashSet::new();
    let text = String::from_utf8_lossy(bytes);
    for (text, number) in text.lines().zip(1..) {
        let wrong = |reason: String| {
            let place = format!("{}:{number}", path.display());
            Error::new(Exit::Configuration, place, reason)
        };
        let mut words = text.split_ascii_whitespace();
        let Some(application) = words.next().filter(|word| !word.starts_with('#')) else {
            continue;
        };
        if application != "*" {
            values::plain_name(application)
                .map_err(|why| wrong(format!("{application}: {why}")))?;
        }
        if !seen.insert(application.to_string()) {
            return Err(wrong(format!("{application} stands there twice")));
        }
        let mut line = Line { application: application.into(), environments: Vec::new() };
        let mut once = HashSet::new();
        for word in words {
            values::tag(word).map_err(|why| wrong(format!("{word}: {why}")))?;
            if !once.insert(word) {
                return Err(wrong(format!("{word} stands there twice")));
            }
            line.environments.push(word.into());
        }
        if line.environments.is_empty() {
            return Err(wrong(format!("{application}: no environment behind it")));
        }
        lines.push(line);
    }
    Ok(lines)
}

/// The environments that have a file of variables, or of secrets alone.
fn files(directory: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let Some(entries) = if_there(directory, std::fs::read_dir(directory))? else {
        return Ok(found);
    };
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(directory, &error))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !is_left_by_editors(name)) else { continue };
        let name = name.strip_suffix(SECRET).unwrap_or(name);
        if values::tag(name).is_ok() && entry.path().is_file() {
            found.insert(name.to_string());
        }
    }
    Ok(found)
}

fn is_left_by_editors(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    name.starts_with(['.', '#'])
        || name.ends_with(['~', '#'])
        || ending.is_some_and(|ending| {
            LEFT_BY_EDITORS.contains(&&*ending)
                || ending.starts_with("dpkg-")
                || ending.starts_with("ucf-")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_leave_is_no_environment() {
        let top = tempfile::tempdir().expect("tempdir");
        for name in [
            "prod",
            "prod~",
            "prod.bak",
            ".prod.swp",
            "prod.swp",
            "#prod#",
            ".hidden",
            "prod.ORIG",
            "prod.dpkg-old",
            "x y",
            "staging.secret",
            "staging.secret~",
            "staging.secret.bak",
            "eu.west",
            "prod.rpmsave",
        ] {
            std::fs::write(top.path().join(name), "").expect(name);
        }
        std::fs::create_dir(top.path().join("directory")).expect("mkdir");
        std::os::unix::fs::symlink("nowhere", top.path().join("gone")).expect("symlink");
        std::os::unix::fs::symlink("prod", top.path().join("live")).expect("symlink");
        let found: Vec<String> = files(top.path()).expect("read").into_iter().collect();
        assert_eq!(found, ["eu.west", "live", "prod", "staging"]);
        assert!(files(&top.path().join("nowhere")).expect("none").is_empty());
    }

    #[test]
    fn a_line_of_the_lifecycle_is_said_with_its_fault() {
        let read = |text: &str| lines(Path::new("l"), text.as_bytes());
        let all = read("# x\n\n shop\ttest  prod\r\n* prod").expect("sound");
        let said: Vec<(&str, usize)> =
            all.iter().map(|line| (line.application.as_str(), line.environments.len())).collect();
        assert_eq!(said, [("shop", 2), ("*", 1)]);
        for (text, message) in [
            ("shop a\nshop b", "l:2: shop stands there twice"),
            ("shop a b a", "l:1: a stands there twice"),
            ("shop", "l:1: shop: no environment behind it"),
            ("shop test, prod", "l:1: test,: not a name"),
            ("shop test # prod", "l:1: #: not a name"),
            ("sh/op test", "l:1: sh/op: not a name"),
        ] {
            let error = read(text).err().expect(text);
            assert!(error.message.starts_with(message), "{text}: {error}");
            assert_eq!(error.exit, Exit::Configuration);
        }
    }
}
