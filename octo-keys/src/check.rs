//! octo-keys check: are the files of this machine's configuration sound?
//!
//! Silent and 0 where they are; what is sound and odd is a warning.

use crate::identity::{self, PemFile};
use crate::listener;
use crate::state;
use crate::trust::started_by;
use octo_core::base::cgroups;
use octo_core::base::cli::Tool;
use octo_core::base::cli::options::Said;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::{Places, open_trusted, read_bounded};
use octo_core::base::problem::Problem;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::targets::{LARGEST as LARGEST_TARGETS, Targets, Thumbprints};
use octo_core::tentacle::known::OwnThumbprints;
use octo_core::tentacle::settings::Settings;
use octo_core::trust::{self, Line, Options, Trust};
use std::path::{Path, PathBuf};

pub(crate) fn run(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(0..=1)?;
    let files = match arguments.first() {
        Some(file) => {
            let path = PathBuf::from(file);
            vec![(kind_of(&path)?, path)]
        }
        None => configured(places),
    };
    let mut sound = true;
    for (kind, path) in files {
        let checked = match kind {
            FileKind::Trust => check_trust(said.tool(), places, &path),
            FileKind::Targets => check_targets(said.tool(), &path),
            FileKind::Fleet => check_fleet(said.tool(), places),
            FileKind::Thumbprints => check_thumbprints(said.tool(), &path),
            FileKind::Tentacle => check_tentacle(&path),
            FileKind::Settings => check_settings(&path),
            FileKind::Identity => identity::check(&path, listener::other_user(places))
                .map(|it| Some(format!("{} {}", it.fields.name, it.thumbprint))),
        };
        match checked {
            Ok(Some(summary)) => {
                if said.flag("verbose") {
                    said.tool().say(format!("{}: sound: {summary}", path.display()));
                }
            }
            Ok(None) => sound = false,
            Err(error) => {
                sound = false;
                said.tool().report(&error);
            }
        }
    }
    if arguments.is_empty() {
        for error in listener::unreadable(places) {
            sound = false;
            said.tool().report(&error);
        }
        match state::check(said.tool(), places) {
            Ok(Some(summary)) if said.flag("verbose") => {
                said.tool().say(format!("{}: sound: {summary}", places.state.display()));
            }
            Ok(_) => {}
            Err(()) => sound = false,
        }
    }
    Ok(if sound { 0 } else { Exit::Configuration.code() })
}

enum FileKind {
    Trust,
    Targets,
    /// All targets of CONFIG: none may have the name of another.
    Fleet,
    Thumbprints,
    Identity,
    Tentacle,
    Settings,
}

/// What there is on this machine. One that pushes only has no trust file.
fn configured(places: &Places) -> Vec<(FileKind, PathBuf)> {
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let mut files = Vec::new();
    let fleet = places.targets_directory();
    let pushes = there(&places.targets()) || there(&fleet);
    if there(&places.trusted()) || !pushes {
        files.push((FileKind::Trust, places.trusted()));
    }
    if there(&fleet) {
        files.push((FileKind::Fleet, fleet));
    } else if there(&places.targets()) {
        files.push((FileKind::Targets, places.targets()));
    }
    if there(&places.thumbprints()) {
        files.push((FileKind::Thumbprints, places.thumbprints()));
    }
    if there(&places.identity()) {
        files.push((FileKind::Identity, places.identity()));
    }
    // A machine that only pushes needs none.
    let is_tentacle = there(&places.trusted()) && there(&places.identity());
    if is_tentacle || there(&places.tentacle()) {
        files.push((FileKind::Tentacle, places.tentacle()));
    }
    if there(&places.settings()) {
        files.push((FileKind::Settings, places.settings()));
    }
    files
}

/// What a file is, by its name, else by its first line that says something.
fn kind_of(path: &Path) -> Result<FileKind> {
    let by_name = match path.file_name().and_then(|name| name.to_str()) {
        Some("trusted") => Some(FileKind::Trust),
        Some("targets") => Some(FileKind::Targets),
        Some("thumbprints") => Some(FileKind::Thumbprints),
        _ if path.parent().is_some_and(|parent| parent.ends_with("targets.d")) => {
            Some(FileKind::Targets)
        }
        Some("identity.pem") => Some(FileKind::Identity),
        Some("tentacle") => Some(FileKind::Tentacle),
        Some("octo-exec") => Some(FileKind::Settings),
        _ => None,
    };
    if let Some(kind) = by_name {
        return Ok(kind);
    }
    let bytes = read(path, LARGEST_TARGETS)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("-----BEGIN ") {
        return Ok(FileKind::Identity);
    }
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let mut words = lines.next().unwrap_or_default().split_ascii_whitespace();
    let thumbprint_third = words.clone().nth(2).is_some_and(|third| {
        third == "webpki"
            || third == "known"
            || third.starts_with("ca=")
            || third.split(',').all(|t| Thumbprint::parse(t).is_ok())
    });
    let thumbprint_second = words.clone().nth(1).is_some_and(|second| {
        second.split(',').all(|thumbprint| Thumbprint::parse(thumbprint).is_ok())
    });
    let thumbprint_first = words.next().is_some_and(|first| Thumbprint::parse(first).is_ok());
    Ok(match (thumbprint_first, thumbprint_second, thumbprint_third) {
        (false, true, _) => FileKind::Thumbprints,
        (false, false, true) => FileKind::Targets,
        _ => FileKind::Trust,
    })
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut file = open_trusted(path)?;
    read_bounded(&mut file, path, limit).map_err(|error| error.exit(Exit::Configuration))
}

/// A summary; `None` where it has said what is wrong.
fn check_trust(tool: &Tool, places: &Places, path: &Path) -> Result<Option<String>> {
    let bytes = trust::read(path)?;
    let trust = match Trust::parse(path, &bytes) {
        Ok(trust) => trust,
        Err(problems) => return Ok(show(tool, "", &problems)),
    };
    let now = jiff::Zoned::now();
    let mut warnings = trust.warnings(&started_by(places), &now);
    warnings.extend(trust.unknown_users(..));
    warnings.extend(without_controllers(&trust));
    if bytes.last().is_some_and(|last| *last != b'\n') {
        let number = bytes.split(|b| *b == b'\n').count();
        let last = bytes.rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let reason = "the last line has no line end: is it whole?";
        warnings.push(Problem::new(path, number, last, reason));
    }
    warnings.sort_by_key(|warning| warning.line);
    show(tool, "warning: ", &warnings);
    if listener::other_user(places).is_some() {
        let problems = trust.addresses_decide(&now);
        if !problems.is_empty() {
            return Ok(show(tool, "", &problems));
        }
    }
    let mut names: Vec<&str> = trust.lines.iter().map(|line| line.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    Ok(Some(format!("{} lines, {} pushers", trust.lines.len(), names.len())))
}

/// The lines with limits that the kernel of this machine doesn't keep: jobs run without.
fn without_controllers(trust: &Trust) -> Vec<Problem> {
    let controllers = cgroups::controllers();
    let missing = |line: &Line| {
        let Options { memory, cpu, tasks, .. } = &line.options;
        let said =
            [("memory", memory.is_some()), ("cpu", cpu.is_some()), ("pids", tasks.is_some())];
        let said =
            said.into_iter().filter(|(_, is_said)| *is_said).map(|(controller, _)| controller);
        let missing = said.filter(|name| !controllers.iter().any(|there| there == name));
        missing.collect::<Vec<_>>().join(", ")
    };
    let lines = trust.lines.iter().map(|line| (line, missing(line)));
    let lines = lines.filter(|(_, missing)| !missing.is_empty());
    let problem = |(line, missing): (&Line, String)| {
        let reason = format!(
            "memory=, cpu= and tasks= limit by cgroups of version 2, which have no {missing} here: jobs run without; see octo-exec(1)"
        );
        Problem::new(&trust.path, line.number, line.text.as_bytes(), reason)
    };
    lines.map(problem).collect()
}

/// As [`check_trust`].
fn check_targets(tool: &Tool, path: &Path) -> Result<Option<String>> {
    let (shown, bytes) = Targets::member(path).map_err(|error| error.exit(Exit::Configuration))?;
    let targets = match Targets::parse(&shown, &bytes) {
        Ok(targets) => targets,
        Err(problems) => return Ok(show(tool, "", &problems)),
    };
    Ok(Some(warn_of_clones(tool, path, &targets)))
}

/// As [`check_trust`].
fn check_fleet(tool: &Tool, places: &Places) -> Result<Option<String>> {
    let targets = Targets::load(places, None)?;
    targets.said.iter().for_each(|said| tool.say(said));
    Ok(Some(warn_of_clones(tool, &places.targets_directory(), &targets)))
}

/// As [`check_trust`].
fn check_thumbprints(tool: &Tool, path: &Path) -> Result<Option<String>> {
    let bytes = read(path, LARGEST_TARGETS)?;
    match Thumbprints::parse(path, &bytes) {
        Ok(thumbprints) => Ok(Some(format!("{} thumbprints", thumbprints.count()))),
        Err(problems) => Ok(show(tool, "", &problems)),
    }
}

/// Says how many they are.
fn warn_of_clones(tool: &Tool, path: &Path, targets: &Targets) -> String {
    for (thumbprint, sharing) in targets.shared_thumbprints() {
        let names: Vec<&str> = sharing.iter().map(|target| target.name.as_str()).collect();
        tool.say(format!(
            "warning: {}: {} have the same thumbprint, {thumbprint}: is one a clone of the other?",
            path.display(),
            names.join(", ")
        ));
    }
    format!("{} targets", targets.all.len())
}

/// As [`check_trust`].
fn check_tentacle(path: &Path) -> Result<Option<String>> {
    let own = OwnThumbprints::read(path)?;
    // Where its key lives elsewhere there is no such file, and what is wrong with one is
    // said of that.
    let identity = path.with_file_name("identity.pem");
    let shown = PemFile::open(&identity).and_then(|pem| pem.certificates());
    if let Some(shown) = shown.iter().flatten().next()
        && shown.thumbprint != own.current
    {
        let reason = format!("the first thumbprint is not that of {}", identity.display());
        return Err(Error::new(Exit::Configuration, path.display(), reason)
            .hint(format!("octo-keys tentacle makes {} the first", shown.thumbprint)));
    }
    Ok(Some(format!("this tentacle is {}", own.current)))
}

/// As [`check_trust`].
fn check_settings(path: &Path) -> Result<Option<String>> {
    let settings = Settings::read(path)?;
    settings.check().map_err(|error| error.exit(Exit::Configuration))?;
    let notify = settings.notify.iter().flatten().next();
    Ok(Some(match notify {
        Some(program) => format!("what waits for approval is told by {program}"),
        None => "nothing is set".into(),
    }))
}

fn show(tool: &Tool, kind: &str, problems: &[Problem]) -> Option<String> {
    for problem in problems {
        tool.problem(kind, problem);
    }
    None
}
