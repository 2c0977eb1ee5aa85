//! CONFIG/targets: the tentacles an octopus knows, where they are, by what it
//! recognises them, and their tags. octo-targets(5) describes the file.
//!
//! One line a tentacle, `NAME ADDRESS TRUST [seal=THUMBPRINT] TAG…`. The file is refused whole if
//! one line is wrong: a fleet that lacks the targets of a mistyped line would
//! be deployed to in part, and nobody would be told.

mod address;
mod names;
mod parse;
mod road;
mod select;

pub use address::{Address, DEFAULT_PORT};
pub use names::{names_file, read_names};
pub use road::{MOST_ROADS, Road, RoadCommand, Roads, fill};
pub use select::{Selection, Shard, Term};

use crate::base::error::Result;
use crate::base::names::PusherName;
use crate::base::paths::{open_trusted, read_bounded};
use crate::base::problem::Problem;
use crate::base::thumbprint::Thumbprint;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A targets file larger than this is none: 10,000 targets take about 1 MiB.
pub const LARGEST: u64 = 64 << 20;

/// The word of a line that pins the key of its seals begins so.
const SEAL: &str = "seal=";

/// The tentacles of one targets file, in its order.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// One a line.
    pub all: Vec<Target>,
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
    /// The line it stands on.
    pub line: usize,
}

/// By what a tentacle is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetTrust {
    /// Its certificate has one of these thumbprints (several: rotation).
    Thumbprints(Vec<Thumbprint>),
    /// A public CA vouches for its host name.
    WebPki,
    /// A CA of this PEM file vouches for its host name.
    CaFile(PathBuf),
}

impl Target {
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
            TargetTrust::Thumbprints(thumbprints) => out.write_str(&joined(thumbprints)),
            TargetTrust::WebPki => out.write_str("webpki"),
            TargetTrust::CaFile(path) => write!(out, "ca={}", path.display()),
        }
    }
}

impl Targets {
    /// Reads a targets file that only root or this user could have written.
    ///
    /// # Errors
    /// Exit 65 if it is missing, 78 if it is unsound: the first wrong line is
    /// the message, the line itself a hint.
    pub fn load(path: &Path) -> Result<Targets> {
        let mut file = open_trusted(path).map_err(|error| {
            if path.exists() {
                return error;
            }
            error.hint(format!(
                "octo-targets(5): echo 'web1 192.0.2.11 THUMBPRINT TAG' >> {}",
                path.display()
            ))
        })?;
        let bytes = read_bounded(&mut file, path, LARGEST)?;
        Targets::parse(path, &bytes).map_err(|problems| Problem::error(&problems))
    }

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
