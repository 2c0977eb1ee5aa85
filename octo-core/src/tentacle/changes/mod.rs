//! What a held deployment would change, beside the release that is current: the file
//! `changes` of a job. octo-exec computes it, and runs nothing of the package for that.
//!
//! ```text
//! application shop 1.4
//! base /srv
//! package SHA256
//! at 2026-11-27T20:00:00Z
//! held SHA256
//! current 1.3 7 SHA256
//! basis manifest
//! count 1 0 1 1203
//! changed bin/run file 0644 120 file 0755 131
//! added new%20file file 0644 12
//! text Deploy.sh
//! line +systemctl%20restart%20shop
//! note octo.conf%20…
//! over
//! ```
//!
//! A record of a deployment that can't be compared has `failed WHY` from `current` on.

mod form;
mod lines;
#[cfg(test)]
mod tests;

use crate::base::digest::Digest;

/// No record is longer, in bytes.
pub const LARGEST: usize = 256 << 10;
/// So many paths are listed; of more there are the counts.
pub const MAXIMUM_LISTED: usize = 1000;
/// So much of the differences of hooks is kept, in bytes.
pub const LARGEST_TEXTS: usize = 64 << 10;
/// So many notes, of so many bytes.
const MAXIMUM_NOTES: usize = 20;
const LONGEST_NOTE: usize = 400;
/// What an encoded path and both of its sides may take, of a thousand: the rest of the record
/// is for texts and notes.
const LISTED_BYTES: usize = 112 << 10;

/// What a deployment would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Which application.
    pub application: String,
    /// The version that would be deployed.
    pub version: String,
    /// The directory of all applications there.
    pub base: String,
    /// The sha256 of the package.
    pub package: Digest,
    /// As of when, RFC 3339.
    pub at: String,
    /// Of which hold: the sha256 of the job's `held`, where it is a held job's.
    pub held: Option<Digest>,
    /// The comparison, or why there is none.
    pub outcome: Result<Compared, String>,
}

/// A package beside a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// What the package is compared with; none where nothing is released.
    pub current: Option<Current>,
    /// How many paths are added, removed, changed, and as they were.
    pub counts: Counts,
    /// Some of those that differ.
    pub entries: Vec<Entry>,
    /// Hooks and octo.conf, where they differ.
    pub texts: Vec<Text>,
    /// What else who approves should know.
    pub notes: Vec<String>,
}

/// The release that is current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its directory below releases.
    pub release: String,
    /// The number of the change that made it current, where the target knows it.
    pub number: Option<u64>,
    /// The sha256 of its package, where the target knows it.
    pub package: Option<Digest>,
    /// It was read off its manifest, not file by file.
    pub by_manifest: bool,
}

/// How many paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Only in the package.
    pub added: u64,
    /// Only in the release.
    pub removed: u64,
    /// In both, and they differ.
    pub changed: u64,
    /// In both, and the same.
    pub same: u64,
}

/// What becomes of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It is in both.
    Changed,
    /// It is in the release only.
    Removed,
    /// It is in the package only.
    Added,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Below the release.
    pub path: Vec<u8>,
    /// What the release has there.
    pub before: Option<Side>,
    /// What the package has there.
    pub after: Option<Side>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// A file: its mode and its length.
    File(u32, u64),
    /// A symbolic link, and where it leads.
    Link(Vec<u8>),
    /// A directory and its mode.
    Directory(u32),
    /// Something that is no part of a package.
    Other,
}

/// A hook or octo.conf that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its path.
    pub path: Vec<u8>,
    /// Lines that begin with a blank, `+`, `-` or `@@`; or why they aren't shown.
    pub lines: Result<Vec<Vec<u8>>, String>,
    /// So many lines more there are.
    pub more: u64,
}

impl Entry {
    /// What becomes of it.
    pub fn what(&self) -> What {
        match (&self.before, &self.after) {
            (None, _) => What::Added,
            (_, None) => What::Removed,
            _ => What::Changed,
        }
    }
}

impl Compared {
    /// Says one thing more; what is beyond the bounds is left out.
    pub fn note(&mut self, text: impl Into<String>) {
        if self.notes.len() < MAXIMUM_NOTES {
            let text: String = text.into();
            let mut end = text.len().min(LONGEST_NOTE);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            self.notes.push(text[..end].to_string());
        }
    }

    /// Takes over as many of these as fit, a third of each kind at least: nobody hides what
    /// he changes behind a thousand files that he adds.
    pub fn list(&mut self, [changed, removed, added]: [Vec<Entry>; 3]) {
        let mut kinds = [changed, removed, added].map(|entries| entries.into_iter().peekable());
        for round in [MAXIMUM_LISTED / 3, MAXIMUM_LISTED] {
            for kind in &mut kinds {
                let mut taken = 0;
                let mut bytes: usize = self.entries.iter().map(form::length).sum();
                let most =
                    if round == MAXIMUM_LISTED { LISTED_BYTES } else { bytes + LISTED_BYTES / 3 };
                while let Some(entry) = kind.peek() {
                    let length = form::length(entry);
                    let is_full = self.entries.len() >= MAXIMUM_LISTED || taken >= round;
                    if is_full || bytes + length > most.min(LISTED_BYTES) {
                        break;
                    }
                    (taken, bytes) = (taken + 1, bytes + length);
                    self.entries.extend(kind.next());
                }
            }
        }
        self.entries.sort_by(|a, b| (a.what(), &a.path).cmp(&(b.what(), &b.path)));
    }

    /// Adds the difference of a hook, as much of it as there is room for.
    pub fn text(&mut self, path: &[u8], lines: Result<Vec<Vec<u8>>, String>) {
        let used: usize = self.texts.iter().map(form::text_length).sum();
        let mut text = Text { path: path.to_vec(), lines, more: 0 };
        if let Ok(lines) = &mut text.lines {
            let mut left = LARGEST_TEXTS.saturating_sub(used);
            let fits = lines.iter().take_while(|line| {
                let length = form::line_length(line);
                let fits = length <= left;
                left = left.saturating_sub(length);
                fits
            });
            let fits = fits.count();
            text.more = (lines.len() - fits) as u64;
            lines.truncate(fits);
        }
        self.texts.push(text);
    }
}
