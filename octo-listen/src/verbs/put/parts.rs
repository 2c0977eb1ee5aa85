//! The body of a put: segments of output, as they are or each as one frame behind ranges
//! of a base. Nothing of it is believed: the sha256 of the whole decides.

use super::base::Base;
use super::output::Output;
use super::turns::Turns;
use crate::host::{Host, No};
use crate::session::Ended;
use octo_core::Refusal;
use octo_core::patch::{
    self, Copied, LARGEST_PREFIX, LARGEST_SEGMENT, longest_frame, parse_copies, parse_ranges,
};
use octo_core::tentacle::store::{Store, StoreError};
use octo_wire::body::Counted;
use octo_wire::pace::TICK_EVERY;
use octo_wire::{Connection, Duplex, Failure, Fields, StreamWord};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::time::Instant;

/// A frame up to this is received into memory; a larger one lies in a file until it is its
/// turn: who sends it slowly keeps neither memory nor a turn.
const SMALL: usize = 64 * 1024;

/// So many bytes of a base are read for a byte of output, and besides: without a bound each
/// byte that is made may want 16 MiB, and a megabit of such keeps four processors busy.
const RANGES_EACH: u64 = 64;
const RANGES_AT_LEAST: u64 = 4 * LARGEST_PREFIX;

/// The segments that come over a connection.
pub(super) struct Parts<'a, S> {
    connection: &'a mut Connection<S>,
    store: &'a Store,
    turns: &'a Turns,
    base: Option<&'a Base>,
    /// How many bytes of output are still to begin.
    left: u64,
    /// What is there already is the beginning of the first part. Were it that of others, too, each
    /// byte of a package might want 8 MiB decoded.
    is_first: bool,
    /// How many bytes of the base may still be read.
    ranges: u64,
    /// When the pusher was last told that it goes on.
    ticked: Instant,
    /// How many bytes of bodies were announced so far.
    pub(super) wire: u64,
    coming: Coming<'a>,
    pace: Counted,
}

/// What is being received.
enum Coming<'a> {
    Bytes(Counted),
    Made(Output<'a>),
}

impl<'a, S: Duplex> Parts<'a, S> {
    /// Segments of so many bytes of output in all.
    pub(super) fn new(
        connection: &'a mut Connection<S>,
        host: &'a Host,
        base: Option<&'a Base>,
        length: u64,
    ) -> Parts<'a, S> {
        let (coming, pace) = (Coming::Bytes(connection.count(0)), connection.count(length));
        Parts {
            connection,
            store: &host.store,
            turns: &host.turns,
            base,
            left: length,
            is_first: true,
            ranges: length.saturating_mul(RANGES_EACH).saturating_add(RANGES_AT_LEAST),
            ticked: Instant::now(),
            wire: 0,
            coming,
            pace,
        }
    }

    /// Reads some of the output; 0 at its end.
    ///
    /// # Errors
    /// A broken stream; mismatch for a segment that is not of the form.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Ended> {
        loop {
            match &mut self.coming {
                Coming::Bytes(counted) if counted.left() > 0 => {
                    return Ok(self.connection.read_counted(counted, buffer)?);
                }
                Coming::Made(output) if !output.is_over() && !buffer.is_empty() => {
                    let count = output.read(self.base, buffer).map_err(of_base)?;
                    self.tell()?;
                    return Ok(count);
                }
                _ if self.left == 0 || buffer.is_empty() => return Ok(0),
                // What was decoded is given back before the next one waits for its turn.
                coming => *coming = Coming::Bytes(self.connection.count(0)),
            }
            self.coming = self.next()?;
        }
    }

    /// Tells the pusher that it goes on. What little bytes make may take long to be written, one
    /// part of it, too: who sent them all waits.
    fn tell(&mut self) -> Result<(), Failure> {
        if self.ticked.elapsed() < TICK_EVERY {
            return Ok(());
        }
        self.ticked = Instant::now();
        tick(self.connection)
    }

    fn next(&mut self) -> Result<Coming<'a>, Ended> {
        self.tell()?;
        let began = Instant::now();
        let message = self.connection.read_message()?.ok_or(Failure::Truncated)?;
        let part = octo_wire::reply::streamed(message)?;
        let (Some(StreamWord::Part), part) = part else {
            return Err(Failure::Malformed("the body of a put has parts".into()).into());
        };
        let (size, skip) = (part.need::<u64>("size")?, part.get::<u64>("skip").unwrap_or(0));
        if skip >= size || size - skip > self.left {
            return Err(mismatch(format!("a part of {size} bytes, {} are left", self.left)));
        }
        if skip > 0 && !self.is_first {
            return Err(mismatch("only the first part skips what is there"));
        }
        self.is_first = false;
        self.left -= size - skip;
        self.wire += part.body();
        let copies = self.copies(&part, size)?;
        let own = size - copies.iter().map(|copied| copied.range.length).sum::<u64>();
        if part.flag("zstd") {
            let frame = self.frame(&part, own)?;
            self.pace.check_pace(size, began.elapsed())?;
            return self.decoded(&part, frame, own as usize, &copies, skip);
        }
        self.pace.check_pace(size, began.elapsed())?;
        let is_copied = !copies.is_empty() && own == 0 && part.body() == 0;
        if is_copied && part.get::<&str>("ranges").is_none() {
            return Ok(Coming::Made(Output::new(None, 0, &copies, skip)));
        }
        let is_plain = copies.is_empty() && skip == 0 && part.body() == size;
        if !is_plain || part.get::<&str>("ranges").is_some() {
            return Err(mismatch("a part without a frame is its own bytes, or copies alone"));
        }
        Ok(Coming::Bytes(self.connection.count(size)))
    }

    /// What of a part is in the base.
    fn copies(&self, part: &Fields, size: u64) -> Result<Vec<Copied>, Ended> {
        match (part.get::<&str>("copies"), self.base) {
            (None, _) => Ok(Vec::new()),
            (Some(_), None) => Err(mismatch("a part has copies, and no base was named")),
            (Some(text), Some(base)) => parse_copies(text, size, base.size()).map_err(mismatch),
        }
    }

    /// The frame of a part, received.
    fn frame(&mut self, part: &Fields, size: u64) -> Result<Frame, Ended> {
        let (size, body) = (usize::try_from(size), usize::try_from(part.body()));
        let fits =
            |size: usize, body: usize| size <= LARGEST_SEGMENT && body <= longest_frame(size);
        let (Ok(size), Ok(body)) = (size, body) else {
            return Err(mismatch("a part is too large"));
        };
        if !fits(size, body) {
            return Err(mismatch("a part is larger than a segment may be"));
        }
        let mut counted = self.connection.count(body as u64);
        let mut piece = vec![0; body.min(SMALL)];
        if body <= SMALL {
            let mut filled = 0;
            while filled < body {
                filled += self.connection.read_counted(&mut counted, &mut piece[filled..])?;
            }
            return Ok(Frame::Memory(piece));
        }
        let failed = |e| Ended::Hopeless(StoreError::io("keep a segment", &e).into());
        let mut file = self.store.scratch().map_err(failed)?;
        loop {
            match self.connection.read_counted(&mut counted, &mut piece)? {
                0 => break,
                count => file.write_all(&piece[..count]).map_err(failed)?,
            }
        }
        Ok(Frame::File(file, body))
    }

    fn decoded(
        &mut self,
        part: &Fields,
        frame: Frame,
        own: usize,
        copies: &[Copied],
        skip: u64,
    ) -> Result<Coming<'a>, Ended> {
        let turn = self.turns.take(TICK_EVERY, || tick(self.connection))?;
        let mut room = patch::room();
        let ranges = match (part.get::<&str>("ranges"), self.base) {
            (None, _) => Vec::new(),
            (Some(_), None) => return Err(mismatch("a part has ranges, and no base was named")),
            (Some(text), Some(base)) => parse_ranges(text, base.size()).map_err(mismatch)?,
        };
        let sum = ranges.iter().map(|range| range.length).sum();
        let left = self.ranges.checked_sub(sum);
        self.ranges = left.ok_or_else(|| mismatch("the parts want too much of the base"))?;
        // What they add up to was checked: the room has a place for each of the three.
        let (bytes, rest) = room.split_at_mut(own);
        let (prefix, rest) = rest.split_at_mut(sum as usize);
        let received = &mut rest[..frame.length()];
        if let Some(base) = self.base {
            base.read(prefix, &ranges).map_err(of_base)?;
        }
        frame.read(received).map_err(|e| mismatch(format!("a segment: {e}")))?;
        patch::decode(prefix, received, bytes).map_err(mismatch)?;
        Ok(Coming::Made(Output::new(Some((room, turn)), own as u64, copies, skip)))
    }
}

/// A frame as it was received.
enum Frame {
    Memory(Vec<u8>),
    File(File, usize),
}

impl Frame {
    fn length(&self) -> usize {
        match self {
            Frame::Memory(bytes) => bytes.len(),
            Frame::File(_, length) => *length,
        }
    }

    fn read(self, into: &mut [u8]) -> io::Result<()> {
        match self {
            Frame::Memory(bytes) => into.copy_from_slice(&bytes),
            Frame::File(file, _) => file.read_exact_at(into, 0)?,
        }
        Ok(())
    }
}

fn tick<S: Duplex>(connection: &mut Connection<S>) -> Result<(), Failure> {
    connection.send(Fields::of(StreamWord::Tick).message(), b"")
}

fn mismatch(reason: impl Into<String>) -> Ended {
    Ended::Hopeless(No::new(Refusal::Mismatch, reason))
}

fn of_base(error: io::Error) -> Ended {
    mismatch(format!("the base: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host_in;
    use std::io::Read;

    /// Says nothing, and keeps what it is told.
    #[derive(Default)]
    struct Pusher(Vec<u8>);

    impl Read for Pusher {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
    }

    impl Write for Pusher {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0.extend_from_slice(buffer);
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Duplex for Pusher {}

    #[test]
    fn who_waits_for_what_one_part_makes_is_told() {
        let top = tempfile::tempdir().expect("tempdir");
        let (host, _) = host_in(top.path(), "");
        let mut connection = Connection::new(Pusher::default());
        let mut parts = Parts::new(&mut connection, &host, None, 9);
        let turn = host.turns.take(TICK_EVERY, || Err(())).expect("a turn");
        let output = Output::new(Some((b"made".to_vec(), turn)), 4, &[], 0);
        parts.coming = Coming::Made(output);
        let mut buffer = [0; 1];
        let long_ago = Instant::now().checked_sub(TICK_EVERY).expect("it was up so long");
        for (ticked, byte, told) in [(None, b'm', ""), (Some(long_ago), b'a', "tick\n")] {
            parts.ticked = ticked.unwrap_or(parts.ticked);
            assert!(matches!(parts.read(&mut buffer), Ok(1)));
            assert_eq!(buffer, [byte]);
            assert_eq!(parts.connection.stream_mut().0, told.as_bytes());
        }
        assert!(parts.ticked > long_ago);
    }
}
