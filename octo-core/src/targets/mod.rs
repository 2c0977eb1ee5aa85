//! CONFIG/targets and CONFIG/targets.d: the tentacles an octopus knows, where they are, by what it
//! recognises them, and their tags. octo-targets(5) describes them.
//!
//! One line a tentacle, `NAME ADDRESS TRUST [seal=THUMBPRINT] TAG…`. The file is refused whole if
//! one line is wrong: a fleet that lacks the targets of a mistyped line would
//! be deployed to in part, and nobody would be told.

mod address;
mod kept;
mod parse;
mod program;
mod road;
mod select;
mod sources;
mod thumbprints;

pub use address::{Address, DEFAULT_PORT};
pub use road::{MOST_ROADS, Road, RoadCommand, Roads, fill};
pub use select::{
    NameSet, NoSuch, Selection, Shard, Term, Union, Vocabulary, fold, names_file, words,
};
pub use sources::TargetsFile;
pub use thumbprints::Thumbprints;

use crate::base::names::PusherName;
use crate::base::thumbprint::Thumbprint;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A targets file larger than this is none: 10,000 targets take about 1 MiB.
pub const LARGEST: u64 = 64 << 20;

/// The word of a line that pins the key of its seals begins so.
const SEAL: &str = "seal=";

/// The word of a line whose thumbprint stands in CONFIG/thumbprints.
const KNOWN: &str = "known";

/// The tentacles of one targets file, in its order.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// One a line.
    pub all: Vec<Target>,
    /// What the programs that printed them said on standard error, a text each.
    pub said: Vec<String>,
}

/// One tentacle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name, unique in the file.
    pub name: PusherName,
    /// By which ways it is reached.
    pub roads: Roads,
    /// By what it is recognised.
    pub trust: TargetTrust,
    /// By which keys the ends of its jobs are sealed; none: they are believed as they are told.
    pub seals: Vec<Thumbprint>,
    /// What it can be selected by, besides its name.
    pub tags: Vec<PusherName>,
    /// The file that names it, or the program, or what stands for either in messages.
    pub file: Arc<Path>,
    /// The line there.
    pub line: usize,
    /// The line of CONFIG/thumbprints that says who it is, if that one does.
    pub known: Option<usize>,
}

/// By what a tentacle is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetTrust {
    /// Its certificate has one of these thumbprints (several: rotation). None: they stand in a
    /// file of their own, and none is there, so that nobody is it.
    Thumbprints(Vec<Thumbprint>),
    /// A public CA vouches for its host name.
    WebPki,
    /// A CA of this PEM file vouches for its host name.
    CaFile(PathBuf),
}

impl Target {
    /// Whether it has no thumbprint yet: nobody can be it.
    pub fn is_unknown(&self) -> bool {
        matches!(&self.trust, TargetTrust::Thumbprints(known) if known.is_empty())
    }

    /// The word of its line that pins its seal, if there is one.
    pub fn sealed_by(&self) -> Option<String> {
        (!self.seals.is_empty()).then(|| format!("{SEAL}{}", joined(&self.seals)))
    }
}

fn joined(thumbprints: &[Thumbprint]) -> String {
    thumbprints.iter().map(Thumbprint::to_string).collect::<Vec<_>>().join(",")
}

impl fmt::Display for TargetTrust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetTrust::Thumbprints(none) if none.is_empty() => out.write_str(KNOWN),
            TargetTrust::Thumbprints(thumbprints) => out.write_str(&joined(thumbprints)),
            TargetTrust::WebPki => out.write_str("webpki"),
            TargetTrust::CaFile(path) => write!(out, "ca={}", path.display()),
        }
    }
}

impl Targets {
    /// The target of this name.
    pub fn named(&self, name: &str) -> Option<&Target> {
        self.all.iter().find(|t| t.name.as_str() == name)
    }

    /// Thumbprints that several targets carry, with those targets: a cloned
    /// machine answers for another one.
    pub fn shared_thumbprints(&self) -> Vec<(Thumbprint, Vec<&Target>)> {
        let mut first: HashMap<Thumbprint, usize> = HashMap::with_capacity(self.all.len());
        let mut shared: Vec<(Thumbprint, Vec<&Target>)> = Vec::new();
        let mut places: HashMap<Thumbprint, usize> = HashMap::new();
        for (index, target) in self.all.iter().enumerate() {
            let TargetTrust::Thumbprints(thumbprints) = &target.trust else { continue };
            for thumbprint in thumbprints {
                let before = *first.entry(*thumbprint).or_insert(index);
                if before == index {
                    continue;
                }
                let place = *places.entry(*thumbprint).or_insert_with(|| {
                    shared.push((*thumbprint, vec![&self.all[before]]));
                    shared.len() - 1
                });
                shared[place].1.push(target);
            }
        }
        shared
    }
}
