//! Archives of tar: the one parser. What GNU tar or another one could read otherwise is
//! refused, by the name of the member.

mod hashing;
mod header;
mod name;
mod numbers;
mod pax;
mod source;
mod stream;
mod xz;

use crate::stop::Stop;
use header::{BLOCK, Header, Kind};
use name::{LONGEST_PATH, check_text, normal};
use octo_core::Digest;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Result};
use pax::Extended;
use std::fs::File;
use std::path::Path;
use stream::Stream;

/// The longest extended header; that of a file with many attributes has some thousand bytes.
const LONGEST_EXTENDED: u64 = 1 << 20;

/// Of a name in a message.
const LONGEST_SHOWN: usize = 300;

/// What eleven octal digits say: only a longer file has its size elsewhere alone.
const LARGEST_OF_HEADER: u64 = 0o77_777_777_777;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// In all of its files together.
    pub(crate) bytes: u64,
    /// Files, directories and links, also directories that only paths name.
    pub(crate) entries: u64,
}

impl Bounds {
    /// What is more than this.
    pub(crate) fn exceeded(self) -> String {
        format!("more than {} entries or {} bytes", self.entries, self.bytes)
    }

    /// With headers, names and padding.
    fn stream(self) -> u64 {
        let entries = self.entries.saturating_add(1024);
        self.bytes.saturating_add(entries.saturating_mul(2048))
    }
}

/// A member, and how it is called.
#[derive(Debug)]
pub(crate) struct Member {
    /// In its one spelling, below the release; empty for the release itself.
    pub(crate) path: Vec<u8>,
    pub(crate) content: Content,
    /// How many bytes a file has.
    pub(crate) size: u64,
    /// The nine bits.
    pub(crate) mode: u32,
    /// Seconds, and nanoseconds behind them.
    pub(crate) time: (i64, u32),
    /// The names of its attributes, which are not unpacked: each ends in a NUL.
    pub(crate) attributes: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Its bytes come from [`Archive::piece`].
    File,
    Directory,
    /// Where it leads, as it stands in the archive.
    Symlink(Vec<u8>),
    /// The path of the other member, in its one spelling.
    Hardlink(Vec<u8>),
}

/// An archive that is read from its beginning to its end.
pub(crate) struct Archive {
    stream: Stream,
    bounds: Bounds,
    entries: u64,
    bytes: u64,
    /// Of the member that was named last: what is not read yet, and what fills its block.
    left: u64,
    padding: u64,
    /// So much of the stream was given out.
    given: usize,
    is_in_file: bool,
}

impl Archive {
    /// Opens one, whatever it is compressed with; its files are hashed where that is wanted.
    ///
    /// # Errors
    /// Exit 65 for what is none, 69 where xz(1) is missing, 74 where it can't be read.
    pub(crate) fn open(
        path: &Path,
        bounds: Bounds,
        is_hashed: bool,
        stop: &Stop,
    ) -> Result<Archive> {
        let stream = Stream::open(path, bounds.stream(), is_hashed, stop)?;
        Ok(Archive::of(stream, bounds))
    }

    /// Reads one that comes through a pipe and begins with these bytes, hashed; the path is
    /// for messages.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub(crate) fn piped(
        path: &Path,
        (pipe, begin): (File, &[u8]),
        bounds: Bounds,
        stop: &Stop,
    ) -> Result<Archive> {
        let reader = source::unpacked(path, pipe, begin, stop)?;
        Ok(Archive::of(Stream::of(path, reader, bounds.stream(), true, stop)?, bounds))
    }

    fn of(stream: Stream, bounds: Bounds) -> Archive {
        Archive {
            stream,
            bounds,
            entries: 0,
            bytes: 0,
            left: 0,
            padding: 0,
            given: 0,
            is_in_file: false,
        }
    }

    /// The next member; `None` behind the last one, when all was looked at.
    ///
    /// # Errors
    /// Exit 65, naming the member or what is wrong with the archive; as [`Archive::open`].
    pub(crate) fn member(&mut self) -> Result<Option<Member>> {
        while !self.piece()?.is_empty() {}
        if std::mem::take(&mut self.is_in_file) {
            self.stream.end_file();
        }
        self.stream.skip(std::mem::take(&mut self.padding))?;
        let mut before = Before::default();
        loop {
            let block = self.stream.block()?.ok_or_else(|| self.without_end())?;
            if block.iter().all(|b| *b == 0) {
                return self.end(&before).map(|()| None);
            }
            let header = Header::parse(&block).map_err(|why| match self.entries {
                0 => self.stream.bad(format!("is no archive of tar: {why}")),
                _ => self.stream.bad(format!("a header that is damaged: {why}")),
            })?;
            let was_before = match header.kind {
                Kind::Extended => before.extended(self.extended(&header)?),
                Kind::LongName => before.name(self.text(&header)?),
                Kind::LongLink => before.link(self.text(&header)?),
                Kind::Global if !self.extended(&header)?.is_empty() => {
                    Err("a global header with more than a comment".to_string())
                }
                Kind::Global => Ok(()),
                _ => return self.found(header, before).map(Some),
            };
            was_before.map_err(|why| self.bad(&header.name, why))?;
        }
    }

    /// The next bytes of the file that was named last; nothing behind its end.
    ///
    /// # Errors
    /// As [`Archive::open`], and exit 65 where the archive ends within it.
    pub(crate) fn piece(&mut self) -> Result<&[u8]> {
        self.stream.consume_hashed(std::mem::take(&mut self.given));
        if self.left == 0 {
            return Ok(&[]);
        }
        self.given = self.stream.some(self.left)?.len();
        if self.given == 0 {
            return Err(self.stream.truncated());
        }
        self.left -= self.given as u64;
        self.stream.some(self.given as u64)
    }

    /// The sha256 of each file, in their order, behind the last member; none if it wasn't to be
    /// hashed.
    ///
    /// # Errors
    /// Exit 71, where the thread that makes them is lost.
    pub(crate) fn digests(self) -> Result<Vec<Digest>> {
        self.stream.digests()
    }

    /// What is wrong with a member.
    pub(crate) fn bad(&self, name: &[u8], reason: impl std::fmt::Display) -> Error {
        let shown = printable(name.get(..LONGEST_SHOWN).unwrap_or(name));
        let cut = if name.len() > LONGEST_SHOWN { "..." } else { "" };
        self.stream.bad(format!("{shown}{cut}: {reason}"))
    }

    fn found(&mut self, header: Header, before: Before) -> Result<Member> {
        let name = before.path(&header);
        let size = before.size(&header).map_err(|why| self.bad(&name, why))?;
        let member = member(&name, &header, before, size).map_err(|why| self.bad(&name, why))?;
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.bounds.bytes {
            return Err(self.bad(&name, self.bounds.exceeded()));
        }
        self.left = size;
        self.is_in_file = member.content == Content::File;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(member)
    }

    /// The two blocks of zeros, and zeros up to the end.
    fn end(&mut self, before: &Before) -> Result<()> {
        if *before != Before::default() {
            return Err(self.stream.bad("an extended header without a member behind it"));
        }
        let second = self.stream.block()?.ok_or_else(|| self.without_end())?;
        if second.iter().any(|b| *b != 0) {
            return Err(self.stream.bad("something stands behind its end"));
        }
        self.stream.expect_padding()?;
        if self.entries == 0 { Err(self.stream.bad("nothing in it")) } else { Ok(()) }
    }

    /// Cut at a header it looks like a whole one to who doesn't ask for the end.
    fn without_end(&self) -> Error {
        match self.entries {
            0 => self.stream.bad("nothing in it"),
            _ => self.stream.truncated(),
        }
    }

    fn extended(&mut self, header: &Header) -> Result<Extended> {
        let bytes = self.within(header, LONGEST_EXTENDED, "an extended header")?;
        Extended::parse(&bytes).map_err(|why| self.bad(&header.name, why))
    }

    /// A long name of GNU's, which ends in a NUL.
    fn text(&mut self, header: &Header) -> Result<Vec<u8>> {
        let mut text = self.within(header, LONGEST_PATH as u64 + 1, "a name")?;
        if text.last() == Some(&0) {
            text.pop();
        }
        Ok(text)
    }

    fn within(&mut self, header: &Header, most: u64, what: &str) -> Result<Vec<u8>> {
        if header.size > most {
            return Err(self.bad(&header.name, format!("{what} of more than {most} bytes")));
        }
        let bytes = self.stream.bytes(header.size)?;
        let padding = header.size.next_multiple_of(BLOCK as u64) - header.size;
        self.stream.skip(padding)?;
        Ok(bytes)
    }
}

/// What stood before a member, once each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Before {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    extended: Option<Extended>,
}

impl Before {
    fn name(&mut self, name: Vec<u8>) -> std::result::Result<(), String> {
        once(&mut self.name, name)
    }

    fn link(&mut self, link: Vec<u8>) -> std::result::Result<(), String> {
        once(&mut self.link, link)
    }

    fn extended(&mut self, extended: Extended) -> std::result::Result<(), String> {
        once(&mut self.extended, extended)
    }

    fn said(&self) -> Option<&Extended> {
        self.extended.as_ref()
    }

    fn path(&self, header: &Header) -> Vec<u8> {
        let path = self.said().and_then(|said| said.path.as_ref()).or(self.name.as_ref());
        path.unwrap_or(&header.name).clone()
    }

    fn target(&self, header: &Header) -> Vec<u8> {
        let link = self.said().and_then(|said| said.link.as_ref()).or(self.link.as_ref());
        link.unwrap_or(&header.link).clone()
    }

    /// Two that differ would be two archives, by who reads it.
    fn size(&self, header: &Header) -> std::result::Result<u64, &'static str> {
        match self.said().and_then(|said| said.size) {
            None => Ok(header.size),
            Some(size) if size == header.size => Ok(size),
            Some(size) if header.size == 0 && size > LARGEST_OF_HEADER => Ok(size),
            Some(_) => Err("an extended header with another size"),
        }
    }

    /// Is something said in two ways?
    fn is_ambiguous(&self) -> bool {
        let (path, link) =
            self.said().map_or((false, false), |said| (said.path.is_some(), said.link.is_some()));
        (path && self.name.is_some()) || (link && self.link.is_some())
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> std::result::Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("two extended headers of one member".into()),
    }
}

/// A member, of what is said of it; the error is why it is refused.
fn member(
    name: &[u8],
    header: &Header,
    before: Before,
    size: u64,
) -> std::result::Result<Member, String> {
    if let Some(why) = header.kind.refusal() {
        return Err(why);
    }
    if before.is_ambiguous() {
        return Err("two extended headers with another name".into());
    }
    match header.mode & 0o7000 {
        0 => {}
        0o1000 => return Err("a sticky bit".into()),
        _ => return Err("a setuid or setgid bit".into()),
    }
    // BSD's old way to say so.
    let is_directory =
        header.kind == Kind::Directory || (header.kind == Kind::File && name.last() == Some(&b'/'));
    if size != 0 && (is_directory || header.kind != Kind::File) {
        return Err("has bytes, and is no file".into());
    }
    let path = normal(name, is_directory)?;
    let content = match header.kind {
        _ if is_directory => Content::Directory,
        Kind::Symlink => {
            let target = before.target(header);
            check_text(&target)?;
            Content::Symlink(target)
        }
        Kind::Hardlink => Content::Hardlink(normal(&before.target(header), false)?),
        _ => Content::File,
    };
    let time = before.said().and_then(|said| said.time).unwrap_or((header.time, 0));
    let attributes = before.said().map(|said| said.attributes.clone()).unwrap_or_default();
    Ok(Member { path, content, size, mode: header.mode & 0o777, time, attributes })
}
