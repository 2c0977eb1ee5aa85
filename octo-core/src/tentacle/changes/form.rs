//! The record: written and read in the one line encoding, with its bounds.

use super::{
    Changes, Compared, Counts, Current, Entry, LARGEST, LARGEST_TEXTS, LONGEST_NOTE,
    MAXIMUM_LISTED, MAXIMUM_NOTES, Side, Text, What,
};
use crate::base::digest::Digest;
use crate::base::encoding::encode;
use crate::base::record::{Record, lines};
use crate::base::units::whole;

/// Hooks and octo.conf are few; another number is of no octo-exec.
const MAXIMUM_TEXTS: usize = 20;

/// How many bytes an entry takes.
pub(super) fn length(entry: &Entry) -> usize {
    let sides = entry.before.iter().chain(&entry.after);
    let detail =
        |side: &Side| if let Side::Link(target) = side { encode(target).len() } else { 20 };
    sides.map(|side| 16 + detail(side)).sum::<usize>() + 10 + encode(&entry.path).len()
}

/// How many bytes a line of a difference takes.
pub(super) fn line_length(line: &[u8]) -> usize {
    6 + encode(line).len()
}

/// How many bytes the lines of a text take.
pub(super) fn text_length(text: &Text) -> usize {
    text.lines.iter().flatten().map(|line| line_length(line)).sum()
}

impl Changes {
    /// The record.
    pub fn encode(&self) -> String {
        let mut record = Record::new();
        record.push("application", &[self.application.as_bytes(), self.version.as_bytes()]);
        let mut record =
            record.with("base", &self.base).with("package", self.package).with("at", &self.at);
        record = record.with_each("held", self.held);
        match &self.outcome {
            Err(why) => record = record.with("failed", why),
            Ok(compared) => push(&mut record, compared),
        }
        record.push("over", &[]);
        record.encode()
    }

    /// Reads a record that is whole.
    ///
    /// # Errors
    /// The number of the first line that is not of the form; 0 where it is too long or cut.
    pub fn parse(bytes: &[u8]) -> Result<Changes, usize> {
        if bytes.len() > LARGEST {
            return Err(0);
        }
        let mut read = Reading::default();
        for (line, number) in lines(bytes).zip(1_usize..) {
            let (key, fields) = line?;
            read.line(key, fields).ok_or(number)?;
        }
        read.end().ok_or(0)
    }
}

fn push(record: &mut Record, compared: &Compared) {
    let Compared { current, counts, entries, texts, notes } = compared;
    match current {
        None => record.push("current", &[]),
        Some(current) => {
            let number = current.number.map(|number| number.to_string()).unwrap_or_default();
            let package = current.package.map(|digest| digest.to_string()).unwrap_or_default();
            record.push(
                "current",
                &[current.release.as_bytes(), number.as_bytes(), package.as_bytes()],
            );
            let basis: &[u8] = if current.by_manifest { b"manifest" } else { b"files" };
            record.push("basis", &[basis]);
        }
    }
    let Counts { added, removed, changed, same } = counts;
    let counts = [added, removed, changed, same].map(ToString::to_string);
    record.push("count", &counts.each_ref().map(String::as_bytes));
    for entry in entries {
        let sides: Vec<[Vec<u8>; 3]> =
            entry.before.iter().chain(&entry.after).map(fields_of).collect();
        let mut fields = vec![entry.path.as_slice()];
        fields.extend(sides.iter().flatten().map(Vec::as_slice));
        record.push(entry.what().word(), &fields);
    }
    for text in texts {
        record.push("text", &[&text.path]);
        match &text.lines {
            Err(why) => record.push("unshown", &[why.as_bytes()]),
            Ok(lines) => lines.iter().for_each(|line| record.push("line", &[line])),
        }
        if text.more > 0 {
            record.push("more", &[text.more.to_string().as_bytes()]);
        }
    }
    notes.iter().for_each(|note| record.push("note", &[note.as_bytes()]));
}

fn fields_of(side: &Side) -> [Vec<u8>; 3] {
    let mode = |mode: &u32| format!("{mode:04o}").into_bytes();
    match side {
        Side::File(bits, size) => [b"file".to_vec(), mode(bits), size.to_string().into_bytes()],
        Side::Link(target) => [b"link".to_vec(), Vec::new(), target.clone()],
        Side::Directory(bits) => [b"directory".to_vec(), mode(bits), Vec::new()],
        Side::Other => [b"other".to_vec(), Vec::new(), Vec::new()],
    }
}

fn side_of([kind, mode, detail]: &[Vec<u8>; 3]) -> Option<Side> {
    let bits = || u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok();
    let bits = || bits().filter(|bits| format!("{bits:04o}").as_bytes() == mode.as_slice());
    Some(match (kind.as_slice(), mode.as_slice(), detail.as_slice()) {
        (b"file", _, size) => Side::File(bits()?, number(size)?),
        (b"link", b"", target) => Side::Link(target.to_vec()),
        (b"directory", _, b"") => Side::Directory(bits()?),
        (b"other", b"", b"") => Side::Other,
        _ => return None,
    })
}

impl What {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            What::Added => "added",
            What::Removed => "removed",
            What::Changed => "changed",
        }
    }
}

fn number(field: &[u8]) -> Option<u64> {
    whole(std::str::from_utf8(field).ok()?)
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    application: Option<(String, String)>,
    base: Option<String>,
    package: Option<Digest>,
    at: Option<String>,
    held: Option<Digest>,
    failed: Option<String>,
    compared: Option<Compared>,
    counts: Option<Counts>,
    texts_bytes: usize,
    is_over: bool,
}

impl Reading {
    /// `None` where the line doesn't belong where it stands.
    fn line(&mut self, key: &str, fields: Vec<Vec<u8>>) -> Option<()> {
        if self.is_over {
            return None;
        }
        match (key, fields.as_slice()) {
            ("application", [name, version]) => {
                once(&mut self.application, (text(name)?, text(version)?))
            }
            ("base", [base]) => once(&mut self.base, text(base)?),
            ("package", [digest]) => once(&mut self.package, Digest::parse(&text(digest)?)?),
            ("at", [at]) => once(&mut self.at, text(at)?),
            ("held", [digest]) => once(&mut self.held, Digest::parse(&text(digest)?)?),
            ("failed", [why]) if self.compared.is_none() => once(&mut self.failed, text(why)?),
            ("current", fields) if self.failed.is_none() => {
                let current = current(fields)?;
                once(&mut self.compared, Compared { current, ..Compared::default() })
            }
            ("count", [added, removed, changed, same]) => {
                let [added, removed, changed, same] =
                    [number(added)?, number(removed)?, number(changed)?, number(same)?];
                once(&mut self.counts, Counts { added, removed, changed, same })
            }
            ("over", []) => {
                self.is_over = true;
                Some(())
            }
            _ => self.of_comparison(key, fields),
        }
    }

    fn of_comparison(&mut self, key: &str, mut fields: Vec<Vec<u8>>) -> Option<()> {
        let compared = self.compared.as_mut()?;
        if let "added" | "removed" | "changed" = key {
            let entry = entry(key, fields).filter(|_| compared.entries.len() < MAXIMUM_LISTED)?;
            compared.entries.push(entry);
            return Some(());
        }
        let field = fields.pop().filter(|_| fields.is_empty())?;
        match key {
            "basis" => {
                let current = compared.current.as_mut()?;
                current.by_manifest = match field.as_slice() {
                    b"manifest" => true,
                    b"files" => false,
                    _ => return None,
                };
            }
            "note" if compared.notes.len() < MAXIMUM_NOTES && field.len() <= LONGEST_NOTE => {
                compared.notes.push(text(&field)?);
            }
            "text" if compared.texts.len() < MAXIMUM_TEXTS => {
                compared.texts.push(Text { path: field, lines: Ok(Vec::new()), more: 0 });
            }
            "line" => {
                self.texts_bytes += line_length(&field);
                let lines = compared.texts.last_mut()?.lines.as_mut().ok()?;
                lines.push(Some(field).filter(|_| self.texts_bytes <= LARGEST_TEXTS)?);
            }
            "unshown" => {
                let shown = compared.texts.last_mut()?;
                shown.lines = Err(text(&field)?);
            }
            "more" => compared.texts.last_mut()?.more = number(&field)?,
            _ => return None,
        }
        Some(())
    }

    fn end(self) -> Option<Changes> {
        let (application, version) = self.application.filter(|_| self.is_over)?;
        let outcome = match (self.failed, self.compared) {
            (Some(why), None) => Err(why),
            (None, Some(compared)) => Ok(Compared { counts: self.counts?, ..compared }),
            _ => return None,
        };
        let (base, package, at) = (self.base?, self.package?, self.at?);
        let held = self.held;
        Some(Changes { application, version, base, package, at, held, outcome })
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.is_none().then(|| *place = Some(value))
}

fn text(field: &[u8]) -> Option<String> {
    std::str::from_utf8(field).ok().map(str::to_string)
}

fn current(fields: &[Vec<u8>]) -> Option<Option<Current>> {
    let [release, count, package] = fields else { return fields.is_empty().then_some(None) };
    let number = if count.is_empty() { None } else { Some(number(count)?) };
    let package = if package.is_empty() { None } else { Some(Digest::parse(&text(package)?)?) };
    Some(Some(Current { release: text(release)?, number, package, by_manifest: false }))
}

fn entry(key: &str, fields: Vec<Vec<u8>>) -> Option<Entry> {
    let (path, sides) = fields.split_first()?;
    let (sides, rest) = sides.as_chunks::<3>();
    let sides: Vec<Side> = sides.iter().map(side_of).collect::<Option<_>>()?;
    if !rest.is_empty() || path.is_empty() {
        return None;
    }
    let mut sides = sides.into_iter();
    let (one, other) = (Some(sides.next()?), sides.next());
    let (before, after) = match (key, other) {
        ("added", None) => (None, one),
        ("removed", None) => (one, None),
        ("changed", Some(other)) => (one, Some(other)),
        _ => return None,
    };
    sides.next().is_none().then(|| Entry { path: path.clone(), before, after })
}
