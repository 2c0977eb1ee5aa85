//! The options of `unpack`, `verify` and `manifest`.

use super::former::Former;
use super::writer::Rules;
use crate::archive::Bounds;
use octo_core::base::cli::options::{OptionGroup, Said, flag, value};
use octo_core::base::error::Result;
use octo_core::base::groups::group_named;
use octo_core::base::units::{size, whole};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// In one release.
const ENTRIES: u64 = 200_000;
const BYTES: u64 = 10 << 30;
/// A path has a number of 32 bits, and each takes some memory.
const MOST_ENTRIES: u64 = 10_000_000;

/// The end of the year 9999.
const LATEST: u64 = 253_402_300_799;

pub(crate) static UNPACK: OptionGroup = OptionGroup {
    title: "unpack",
    rows: &[
        flag("n", "dry-run", "only read the archive, write no DIRECTORY"),
        value("", "max-bytes", "SIZE", "of all files together (10G)"),
        value("", "max-entries", "N", "files, directories and links (200000)"),
        value("", "manifest", "FILE", "write down what was unpacked, for verify"),
        value("", "shared-by", "PATH", "file of the archive: no link may leave what it shares"),
        flag("", "link", "what is the same in --like gets a second name, and no copy"),
        value("", "packed-from", "DIRECTORY", "print what this tree has that is lost"),
        flag("", "lost", "print what the archive itself has that is lost"),
    ],
};

pub(crate) static RULES: OptionGroup = OptionGroup {
    title: "unpack and substitute",
    rows: &[
        value("", "time", "SECONDS", "since 1970: the time of what is new or changed"),
        value("", "like", "DIRECTORY", "the former release: what is the same keeps its time"),
        value("", "like-manifest", "FILE", "its manifest: what it has is read only if changed"),
        value("", "group", "GROUP", "may read what others may not"),
    ],
};

pub(crate) static ENTRIES_AT_MOST: OptionGroup = OptionGroup {
    title: "verify and manifest",
    rows: &[value("", "max-entries", "N", "more are refused (200000)")],
};

pub(crate) static SINCE: OptionGroup = OptionGroup {
    title: "manifest",
    rows: &[value(
        "",
        "since",
        "MANIFEST",
        "of the same release: what it has is read only if changed",
    )],
};

pub(crate) static QUIET: OptionGroup = OptionGroup {
    title: "verify",
    rows: &[flag("q", "quiet", "only the exit status says whether there are differences")],
};

/// What `unpack` was told.
pub(super) struct Told {
    pub(super) archive: PathBuf,
    /// None in a dry run.
    pub(super) directory: Option<PathBuf>,
    pub(super) bounds: Bounds,
    pub(super) rules: Rules,
    pub(super) manifest: Option<PathBuf>,
    /// Which file of the archive says what is shared.
    pub(super) shared_by: Option<Vec<u8>>,
    /// The tree that the archive was made of.
    pub(super) packed_from: Option<PathBuf>,
    pub(super) says_lost: bool,
}

impl Told {
    /// # Errors
    /// Exit 64 for misuse; the system's for the former release.
    pub(super) fn read(said: &Said) -> Result<Told> {
        let is_dry = said.flag("dry-run");
        let (archive, directory) = match said.counted(1..=2)? {
            [archive] if is_dry => (archive, None),
            [archive, directory] if !is_dry => (archive, Some(directory.into())),
            [_] => return Err(said.misuse("which DIRECTORY?")),
            _ => return Err(said.misuse("--dry-run writes no DIRECTORY")),
        };
        let links = said.flag("link");
        if links && said.one("like")?.is_none() {
            return Err(said.misuse("--link: to what is the same in which release? say --like"));
        }
        let bytes = said.parsed("max-bytes", "a size such as 500M", size)?.unwrap_or(BYTES);
        let bounds = Bounds { bytes, entries: entries(said)? };
        Ok(Told {
            archive: archive.into(),
            directory,
            bounds,
            manifest: path(said, "manifest")?,
            shared_by: path(said, "shared-by")?.map(|p| p.into_os_string().into_vec()),
            packed_from: path(said, "packed-from")?,
            says_lost: said.flag("lost"),
            rules: Rules { links, ..rules(said)? },
        })
    }
}

/// What [`RULES`] say.
///
/// # Errors
/// As [`Told::read`].
pub(crate) fn rules(said: &Said) -> Result<Rules> {
    let seconds = |text: &str| whole(text).filter(|seconds| *seconds <= LATEST);
    let time = said.parsed("time", "seconds since 1970", seconds)?;
    let group = said.parsed("group", "a group of this machine", group_named)?;
    let (like, manifest) = (path(said, "like")?, path(said, "like-manifest")?);
    Ok(Rules {
        time: time.and_then(|seconds| i64::try_from(seconds).ok()),
        former: like.map(|path| Former::open(&path, manifest.as_deref())).transpose()?,
        links: false,
        group,
    })
}

pub(super) fn path(said: &Said, name: &str) -> Result<Option<PathBuf>> {
    match said.one(name)? {
        Some(path) if path.is_empty() => Err(said.misuse(format!("--{name}: its value is empty"))),
        path => Ok(path.map(PathBuf::from)),
    }
}

/// How many there may be.
pub(super) fn entries(said: &Said) -> Result<u64> {
    Ok(said.number("max-entries", 1..=MOST_ENTRIES)?.unwrap_or(ENTRIES))
}
