//! `octo-exec compare`: becomes a job's user, and compares the package that comes by standard
//! input with the release that is current. It runs nobody else's program but xz(1), writes
//! nothing, and takes no descriptor along.

use super::conf::{self, HOOKS, OCTO_CONF};
use super::diff::diff;
use super::former::{Former, Items};
use super::package::Package;
use crate::enter::identity::take_on;
use crate::enter::message;
use crate::stop::Stop;
use crate::unpack::{Item, Modes};
use octo_core::Digest;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::{print, utc_now};
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::{descriptors, no_core};
use octo_core::tentacle::changes::{Changes, Compared, Counts, Entry, MAXIMUM_LISTED, Side};
use octo_core::tentacle::releases::Directory;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// A release and a package of the most paths take half of it; what is hostile ends by it.
const MOST_MEMORY: u64 = 1 << 30;
/// The message before the package is no longer, in bytes.
const LONGEST_MESSAGE: u64 = 64 << 10;

/// The verb. Before the package come eight bytes, the length of the message, and that; its
/// words are base, application, version, the package's sha256, and the package's first bytes
/// in hexadecimal digits.
pub(crate) fn compare(said: &Said, _: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    // Nobody of its user may trace it: what it says is believed to be ours.
    no_core::of_us();
    let failed = |error: io::Error| Error::new(Exit::Io, "compare", describe(&error));
    let bad = |wrong: &str| Error::new(Exit::Data, "compare: standard input", wrong);
    let stop = Stop::heeded("compare")?;
    let bytes = message_before().map_err(failed)?;
    let entry = message::parse(&bytes).map_err(bad)?;
    descriptors::close_others().map_err(failed)?;
    let most = Rlimit { current: Some(MOST_MEMORY), maximum: Some(MOST_MEMORY) };
    setrlimit(Resource::As, most).map_err(|error| failed(error.into()))?;
    take_on(&entry.identity)?;
    let words: Option<Vec<&str>> = entry.words.iter().map(|word| text(word)).collect();
    let Some([base, application, version, package, begin]) = words.as_deref() else {
        return Err(bad("not as many words as there are"));
    };
    let package = Digest::parse(package).ok_or_else(|| bad("no sha256"))?;
    let begin = bytes_of(begin).ok_or_else(|| bad("no digits"))?;
    let path = OsStr::from_bytes(base.as_bytes());
    let directory = std::path::Path::new(path).join(application);
    let outcome = match directory.to_str().and_then(Directory::parse) {
        Some(directory) => compared(&directory, &begin, &stop),
        None => Err("BASE/APP is of another form".into()),
    };
    let changes = Changes {
        application: (*application).to_string(),
        version: (*version).to_string(),
        base: (*base).to_string(),
        package,
        at: utc_now(),
        held: None,
        outcome,
    };
    print(&changes.encode())?;
    Ok(0)
}

fn text(word: &CStr) -> Option<&str> {
    word.to_str().ok()
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

/// Nothing of what is behind it may be read along.
fn message_before() -> io::Result<Vec<u8>> {
    let mut input = input()?;
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_be_bytes(length);
    if length > LONGEST_MESSAGE {
        return Err(io::ErrorKind::ArgumentListTooLong.into());
    }
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn input() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

fn compared(
    directory: &Directory,
    begin: &[u8],
    stop: &Stop,
) -> std::result::Result<Compared, String> {
    let former = Former::read(directory)?;
    let modes = Modes::new(umask(Mode::empty()).bits(), false);
    let failed = |error: Error| error.message;
    let pipe = input().map_err(|error| describe(&error))?;
    let package = Package::read((pipe, begin), modes, former.conf.once.as_deref(), stop);
    let package = package.map_err(failed)?;
    // Whoever sends it counts on its being read to its end.
    let rest = input().and_then(|mut rest| io::copy(&mut rest, &mut io::sink()));
    rest.map_err(|error| describe(&error))?;
    Ok(beside(&former, &package))
}

fn beside(former: &Former, package: &Package) -> Compared {
    let mut compared = Compared { current: former.current.clone(), ..Compared::default() };
    let mut filled = Vec::new();
    let counts = &mut Counts::default();
    let mut kinds: [Vec<Entry>; 3] = Default::default();
    let [changed, removed, added] = &mut kinds;
    for (path, after) in &package.items {
        let Some(before) = former.items.get(path) else {
            counts.added += 1;
            keep(added, path, None, Some(after));
            continue;
        };
        if former.conf.fills(path) && is_same_but_bytes(before, after) {
            filled.push(path.clone());
        } else if is_same(before, after) {
            counts.same += 1;
        } else {
            counts.changed += 1;
            keep(changed, path, Some(before), Some(after));
        }
    }
    for (path, before) in former.items.iter().filter(|(path, _)| !package.items.contains_key(*path))
    {
        counts.removed += 1;
        keep(removed, path, Some(before), None);
    }
    compared.counts = *counts;
    compared.list(kinds);
    texts(&mut compared, former, package);
    notes(&mut compared, former, package, &filled);
    compared
}

fn keep(kind: &mut Vec<Entry>, path: &[u8], before: Option<&Item>, after: Option<&Item>) {
    if kind.len() < MAXIMUM_LISTED {
        let entry = Entry { path: path.to_vec(), before: before.map(side), after: after.map(side) };
        kind.push(entry);
    }
}

fn side(item: &Item) -> Side {
    match item {
        Item::File(written) => Side::File(written.mode, written.size),
        Item::Directory { mode } => Side::Directory(*mode),
        Item::Link { target } => Side::Link(target.clone()),
        Item::Other => Side::Other,
    }
}

/// What a group may do is octo-release's to give, when it deploys.
fn is_same_mode(one: u32, other: u32) -> bool {
    (one ^ other) & 0o707 == 0
}

fn is_same(before: &Item, after: &Item) -> bool {
    match (before, after) {
        (Item::File(one), Item::File(other)) => {
            is_same_mode(one.mode, other.mode)
                && (one.size, one.digest) == (other.size, other.digest)
        }
        (Item::Directory { mode: one }, Item::Directory { mode: other }) => {
            is_same_mode(*one, *other)
        }
        (Item::Link { target: one }, Item::Link { target: other }) => one == other,
        _ => false,
    }
}

fn is_same_but_bytes(before: &Item, after: &Item) -> bool {
    matches!((before, after), (Item::File(one), Item::File(other)) if one.mode & 0o100 == other.mode & 0o100)
}

/// The texts of hooks and octo.conf that aren't the same. A hook into which values were
/// filled may have a secret in it: of the release's nothing is shown then.
fn texts(compared: &mut Compared, former: &Former, package: &Package) {
    let once = [&former.conf.once, &package.conf.once].into_iter().flatten();
    let mut paths: Vec<&[u8]> = HOOKS.into_iter().chain([OCTO_CONF]).collect();
    paths.extend(once.map(Vec::as_slice));
    let mut seen: Vec<&[u8]> = Vec::new();
    for path in paths {
        if seen.contains(&path) {
            continue;
        }
        seen.push(path);
        let pair = (former.items.get(path), package.items.get(path));
        if let (None, None) = pair {
            continue;
        }
        if let (Some(before), Some(after)) = pair
            && is_same(before, after)
        {
            continue;
        }
        let before = match former.conf.fills(path) {
            true => Some(Err("values were filled into that of the release".into())),
            false => former.text(path),
        };
        // Whatever is in its place: what would run is not hidden by it.
        let before = before.unwrap_or_else(|| Ok(Vec::new())).unwrap_or_else(|why: String| {
            let name = conf::names(&[path.to_vec()]);
            compared.note(format!("{name}: {why}, so that all of the package's is shown"));
            Vec::new()
        });
        let after = package.text(path).unwrap_or(Ok(&[]));
        compared.text(path, difference(&before, after));
    }
}

fn difference(
    before: &[u8],
    after: std::result::Result<&[u8], String>,
) -> std::result::Result<Vec<Vec<u8>>, String> {
    let after = after?;
    let is_program = |text: &[u8]| text.starts_with(b"\x7fELF");
    match is_program(before) || is_program(after) {
        true => Err("a compiled program".into()),
        false => Ok(diff(before, after)),
    }
}

fn notes(compared: &mut Compared, former: &Former, package: &Package, filled: &[Vec<u8>]) {
    if !filled.is_empty() {
        let names = conf::names(filled);
        compared
            .note(format!("not compared, as values were filled in when it was deployed: {names}"));
    }
    let fills: Items = package
        .items
        .iter()
        .filter(|(path, _)| package.conf.fills(path))
        .map(|(path, item)| (path.clone(), item.clone()))
        .collect();
    if !fills.is_empty() {
        let names: Vec<Vec<u8>> = fills.into_keys().collect();
        let names = conf::names(&names);
        compared.note(format!("values of variables will be filled in, and aren't here: {names}"));
    }
    let linked = |path: &[u8]| matches!(package.items.get(path), Some(Item::Link { .. }));
    let runs = package.items.keys().filter(|path| package.conf.runs(path) && linked(path));
    let runs: Vec<Vec<u8>> = runs.cloned().collect();
    if !runs.is_empty() {
        compared.note(format!("a link, so that what runs is elsewhere: {}", conf::names(&runs)));
    }
    let is_by_manifest = former.current.as_ref().is_some_and(|current| current.by_manifest);
    if former.current.is_some() && !is_by_manifest {
        compared.note("the release has no manifest: its files were read");
    }
}
