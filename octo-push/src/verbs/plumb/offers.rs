//! `octo-push plumb offers`: what the completion offers as a value of this kind. Kinds
//! have the words by which help and usage name a value.

use super::environments::Environments;
use super::values::plain_name;
use crate::records::journal::file::Journal;
use crate::records::journal::labels::APPLICATION;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use octo_core::targets::{Target, Targets, TargetsFile};
use octo_core::tentacle::job::JobDirectory;
use octo_core::trust::{Trust, TrustOption, Verb};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

type Found = BTreeSet<String>;

/// A kind, and what collects its values; it stops at the first file that it can't read.
struct Kind {
    word: &'static str,
    find: fn(&Said, &Places, &mut Found) -> Result<()>,
}

const KINDS: &[Kind] = &[
    Kind { word: "APP", find: applications },
    Kind { word: "ENVIRONMENT", find: environments },
    Kind { word: "JOB", find: asked },
    Kind { word: "JOB-HERE", find: here },
    Kind { word: "OPTIONS", find: options },
    Kind { word: "PUSHER", find: pushers },
    Kind { word: "TAG", find: tags },
    Kind { word: "TARGET", find: targets },
    Kind { word: "VERB", find: verbs },
];

/// Of so many jobs the newest: nobody reads more, and a tab must be quick.
const JOBS: usize = 200;
/// The largest lifecycle, in bytes.
const LARGEST: u64 = 1 << 20;

/// `offers`: a tab says nothing of what is unsound or not there, so neither does this.
pub(super) fn offers(said: &Said, places: &Places) -> Result<u8> {
    let mut found = Found::new();
    for word in said.counted(1..=usize::MAX)? {
        let Some(kind) = KINDS.iter().find(|kind| kind.word == word) else {
            let known: Vec<&str> = KINDS.iter().map(|kind| kind.word).collect();
            return Err(said.misuse(format!("{word}: none of {}", known.join(", "))));
        };
        // What was found before the file with a fault is offered all the same.
        let _ = (kind.find)(said, places, &mut found);
    }
    // Shells would read blanks and quotes in them as their own.
    found.retain(|word| word.bytes().all(is_plain));
    print(&found.iter().map(|word| format!("{word}\n")).collect::<String>())?;
    Ok(0)
}

/// What no shell takes for anything but itself.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+-@=".contains(&byte)
}

/// Those of CONFIG/deploy and CONFIG/lifecycle, and those that were deployed from here.
fn applications(_: &Said, places: &Places, found: &mut Found) -> Result<()> {
    let mut take = |name: &str| {
        if plain_name(name).is_ok() && !name.ends_with('~') {
            found.insert(name.to_string());
        }
    };
    for entry in std::fs::read_dir(places.config.join("deploy")).into_iter().flatten().flatten() {
        entry.file_name().to_str().map(&mut take);
    }
    let mut text = Vec::new();
    if let Ok(file) = File::open(places.config.join("lifecycle")) {
        let _ = file.take(LARGEST).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| line.split_ascii_whitespace().next()).for_each(&mut take);
    Journal::at(places).all(&mut |entry| {
        entry.labels.get(APPLICATION).map(&mut take);
        true
    })?;
    Ok(())
}

fn environments(said: &Said, places: &Places, found: &mut Found) -> Result<()> {
    found.extend(Environments::read(said, places)?.names());
    Ok(())
}

/// Jobs that were asked for from here.
fn asked(_: &Said, places: &Places, found: &mut Found) -> Result<()> {
    let mut jobs = BTreeSet::new();
    Journal::at(places).all(&mut |entry| {
        jobs.extend(entry.job);
        if jobs.len() > JOBS {
            jobs.pop_first();
        }
        true
    })?;
    found.extend(jobs.iter().map(ToString::to_string));
    Ok(())
}

/// Jobs that run here, or ran.
fn here(_: &Said, places: &Places, found: &mut Found) -> Result<()> {
    let all = JobDirectory::all(places)?;
    found.extend(all.iter().rev().take(JOBS).map(|job| job.id().to_string()));
    Ok(())
}

fn options(_: &Said, _: &Places, found: &mut Found) -> Result<()> {
    found.extend(TrustOption::all().map(TrustOption::written));
    Ok(())
}

fn pushers(_: &Said, places: &Places, found: &mut Found) -> Result<()> {
    found.extend(Trust::load(&places.trusted())?.lines.iter().map(|line| line.name.to_string()));
    Ok(())
}

/// A TAB waits for no cloud.
fn fleet(places: &Places) -> Result<Vec<Target>> {
    let named = TargetsFile::of(None);
    Ok(Targets::load_within(places, named.as_ref(), Duration::from_secs(2))?.all)
}

fn tags(_: &Said, places: &Places, found: &mut Found) -> Result<()> {
    let all = fleet(places)?;
    found.extend(all.iter().flat_map(|target| &target.tags).map(ToString::to_string));
    Ok(())
}

fn targets(_: &Said, places: &Places, found: &mut Found) -> Result<()> {
    let all = fleet(places)?;
    found.extend(all.iter().map(|target| target.name.to_string()));
    Ok(())
}

fn verbs(_: &Said, _: &Places, found: &mut Found) -> Result<()> {
    found.extend(Verb::all().map(|verb| verb.word().to_string()));
    Ok(())
}
