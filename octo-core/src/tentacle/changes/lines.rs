//! The record as people read it: nothing of the package or of the release may drive their
//! terminal, or look like a line of ours.

use super::{Changes, Compared, Counts, Current, Entry, Side, Text, What};
use crate::base::argv::quote;
use crate::base::encoding::printable;

impl Changes {
    /// All of it, a line each, escaped.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.heading()];
        if let Ok(compared) = &self.outcome {
            lines.extend(compared.entries.iter().map(|entry| format!("  {}", entry.line())));
            lines.extend(compared.unlisted());
            compared.texts.iter().for_each(|text| lines.extend(text.shown(compared)));
            lines.extend(compared.notes.iter().map(|note| format!("  {}", safe(note))));
        }
        lines.push(self.whose_word());
        lines
    }

    /// What fits a list: how many paths, which hooks, and whose word that is.
    pub fn short(&self) -> Vec<String> {
        let mut lines = vec![self.heading()];
        if let Ok(compared) = &self.outcome {
            let names = compared.texts.iter().map(|text| name(&text.path)).collect::<Vec<_>>();
            if !names.is_empty() {
                lines.push(format!("  differs, and runs or steers: {}", names.join(" ")));
            }
        }
        lines.push(self.whose_word());
        lines
    }

    fn heading(&self) -> String {
        let what = format!("{} {} in {}", self.application, self.version, self.base);
        match &self.outcome {
            Err(why) => format!("what it would change is not known: {}", safe(why)),
            Ok(Compared { counts, current, .. }) => {
                let Counts { added, removed, changed, same } = counts;
                let beside = current.as_ref().map_or("nothing released there yet".into(), shown);
                format!(
                    "{} beside {beside}: {added} added, {removed} removed, {changed} changed, {same} the same",
                    safe(&what)
                )
            }
        }
    }

    /// Who has the target's root can have it say anything.
    fn whose_word(&self) -> String {
        let at = safe(&self.at);
        format!("  the target's own word, computed there at {at}; nothing of the package was run")
    }
}

fn shown(current: &Current) -> String {
    let number = current.number.map(|number| format!("#{number}")).unwrap_or_default();
    let package = current.package.map(|digest| format!(" of {}", &digest.to_string()[..16]));
    format!("release {}{number}{}", safe(&current.release), package.unwrap_or_default())
}

fn safe(text: &str) -> String {
    printable(text.as_bytes())
}

/// A path as a shell takes it: what looks like words of ours stands in quotes.
fn name(path: &[u8]) -> String {
    std::str::from_utf8(path).map_or_else(|_| quote(&printable(path)), quote)
}

impl Compared {
    /// How many of each kind there was no room for.
    fn unlisted(&self) -> Option<String> {
        let Counts { added, removed, changed, .. } = self.counts;
        let more = [(What::Changed, changed), (What::Removed, removed), (What::Added, added)];
        let more: Vec<String> = more
            .into_iter()
            .filter_map(|(what, count)| {
                let listed = self.entries.iter().filter(|entry| entry.what() == what).count();
                let left = count.saturating_sub(listed as u64);
                (left > 0).then(|| format!("{left} {}", what.word()))
            })
            .collect();
        (!more.is_empty()).then(|| format!("  and more, not listed: {}", more.join(", ")))
    }
}

impl Entry {
    fn line(&self) -> String {
        let (word, path) = (self.what().word(), name(&self.path));
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                format!("{word:<7} {path}: {}, was {}", after.shown(), before.shown())
            }
            (one, other) => {
                let side = other.as_ref().or(one.as_ref()).map(Side::shown);
                format!("{word:<7} {path}: {}", side.unwrap_or_default())
            }
        }
    }
}

impl Side {
    fn shown(&self) -> String {
        match self {
            Side::File(mode, 1) => format!("file {mode:04o} 1 byte"),
            Side::File(mode, size) => format!("file {mode:04o} {size} bytes"),
            Side::Link(target) => format!("link to {}", name(target)),
            Side::Directory(mode) => format!("directory {mode:04o}"),
            Side::Other => "neither file, link nor directory".into(),
        }
    }
}

impl Text {
    fn shown(&self, compared: &Compared) -> Vec<String> {
        let beside = compared
            .current
            .as_ref()
            .map_or("nothing".into(), |current| format!("that of {}", safe(&current.release)));
        let mut lines = vec![format!("  {}, beside {beside}:", name(&self.path))];
        match &self.lines {
            Err(why) => lines.push(format!("    not shown: {}", safe(why))),
            Ok(texts) => lines.extend(texts.iter().map(|line| format!("    {}", tabbed(line)))),
        }
        if self.more > 0 {
            lines.push(format!("    and {} lines more", self.more));
        }
        lines
    }
}

/// A tab drives nothing, and scripts are full of them.
fn tabbed(line: &[u8]) -> String {
    line.split(|byte| *byte == b'\t').map(printable).collect::<Vec<_>>().join("\t")
}
