//! Messages and counted bytes over a stream: the grammar both ways.

use crate::failure::Failure;
use crate::message::{MAXIMUM_LINE, Message};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Without a byte for this long the peer is gone: three ticks were missed.
pub const LOST_AFTER: Duration = Duration::from_secs(45);
/// A tick comes at least this often in a silent stream or before a late reply.
pub const TICK_EVERY: Duration = Duration::from_secs(15);
/// A body that comes slower than this, in bytes a second over a window of
/// [`RATE_WINDOW`], is a drip that only holds a thread.
pub const MINIMUM_RATE: u64 = 1024;
/// Over which time the rate of a body is looked at.
pub const RATE_WINDOW: Duration = Duration::from_secs(30);

/// What a connection is made over: TLS, or plain bytes in tests.
pub trait Stream: Read + Write {
    /// No read or write goes on after this moment.
    fn set_deadline(&mut self, _deadline: Option<Instant>) {}
    /// No read or write waits longer than this for its next byte.
    fn set_idle(&mut self, _idle: Option<Duration>) {}
    /// The descriptor that is readable when the peer has sent or closed.
    fn input(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Says farewell, so that the peer knows that nothing was cut off.
    ///
    /// # Errors
    /// Where it can't be sent.
    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream with the protocol's grammar on it.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<S: Stream> Connection<S> {
    /// A connection over an established stream.
    pub fn new(stream: S) -> Connection<S> {
        Connection { stream, buffer: vec![0; MAXIMUM_LINE], start: 0, end: 0 }
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream below, to set its deadlines.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Did the peer send bytes that were read from the socket and not used yet?
    pub fn has_buffered(&self) -> bool {
        self.start < self.end
    }

    /// Reads one line; `None` if the peer said farewell between two messages.
    ///
    /// # Errors
    /// A line that is too long or not of the form, a time-out, a broken stream.
    pub fn read_message(&mut self) -> Result<Option<Message>, Failure> {
        let mut looked = 0;
        loop {
            let waiting = &self.buffer[self.start..self.end];
            if let Some(at) = waiting[looked..].iter().position(|b| *b == b'\n') {
                let line = self.start..self.start + looked + at;
                let message = Message::parse(&self.buffer[line.clone()])?;
                self.start = line.end + 1;
                return Ok(Some(message));
            }
            looked = waiting.len();
            if looked >= MAXIMUM_LINE {
                return Err(Failure::Malformed("a line is longer than 16 KiB".into()));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, looked);
            match self.stream.read(&mut self.buffer[looked..])? {
                0 if looked == 0 => return Ok(None),
                0 => return Err(Failure::Truncated),
                count => self.end += count,
            }
        }
    }

    /// Sends a line, and the bytes that its `body=` counts, in one write.
    ///
    /// # Errors
    /// A line that is too long, a time-out, a broken stream.
    pub fn send(&mut self, message: &Message, body: &[u8]) -> Result<(), Failure> {
        debug_assert_eq!(message.body().ok(), Some(body.len() as u64));
        let mut bytes = message.encode()?;
        if body.len() <= 64 * 1024 {
            bytes.extend_from_slice(body);
            return Ok(self.stream.write_all(&bytes)?);
        }
        self.stream.write_all(&bytes)?;
        Ok(self.stream.write_all(body)?)
    }

    /// Sends a line whose body follows by [`Connection::send_bytes`].
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_line(&mut self, message: &Message) -> Result<(), Failure> {
        Ok(self.stream.write_all(&message.encode()?)?)
    }

    /// Sends bytes of a body.
    ///
    /// # Errors
    /// A time-out, a broken stream.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Says farewell.
    ///
    /// # Errors
    /// Where it can't be sent.
    pub fn close(&mut self) -> Result<(), Failure> {
        Ok(self.stream.close()?)
    }

    /// Begins to read a body of so many bytes.
    pub fn body(&mut self, length: u64) -> Body<'_, S> {
        Body { connection: self, left: length, window: Instant::now(), in_window: 0 }
    }

    /// Reads a whole body into memory, if it is not larger than `limit`; the
    /// length is checked before anything is allocated for it.
    ///
    /// # Errors
    /// [`Failure::Malformed`] for a larger one; a time-out, a broken stream.
    pub fn read_body(&mut self, length: u64, limit: u64) -> Result<Vec<u8>, Failure> {
        if length > limit {
            return Err(Failure::Malformed(format!("a body of {length} bytes, {limit} at most")));
        }
        // Grown as it comes: a peer's word alone allocates nothing.
        let mut bytes = Vec::new();
        let mut piece = vec![0; length.min(64 * 1024) as usize];
        let mut body = self.body(length);
        loop {
            match body.read(&mut piece)? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Reads a body and forgets it.
    ///
    /// # Errors
    /// A time-out, a broken stream.
    pub fn skip_body(&mut self, length: u64) -> Result<(), Failure> {
        let mut piece = vec![0; 16 * 1024];
        let mut body = self.body(length);
        while body.read(&mut piece)? > 0 {}
        Ok(())
    }
}

/// The bytes of one body, as they come.
#[derive(Debug)]
pub struct Body<'a, S> {
    connection: &'a mut Connection<S>,
    left: u64,
    window: Instant,
    in_window: u64,
}

impl<S: Stream> Body<'_, S> {
    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Reads some of it; 0 at its end.
    ///
    /// # Errors
    /// A time-out or too slow a drip, a broken stream.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let connection = &mut *self.connection;
        let count = if connection.has_buffered() {
            let count = wanted.min(connection.end - connection.start);
            let from = connection.start..connection.start + count;
            buffer[..count].copy_from_slice(&connection.buffer[from]);
            connection.start += count;
            count
        } else {
            match connection.stream.read(&mut buffer[..wanted])? {
                0 => return Err(Failure::Truncated),
                count => count,
            }
        };
        self.left -= count as u64;
        self.check_rate(count as u64)?;
        Ok(count)
    }

    fn check_rate(&mut self, count: u64) -> Result<(), Failure> {
        self.in_window += count;
        if self.window.elapsed() < RATE_WINDOW {
            return Ok(());
        }
        let enough = self.in_window >= MINIMUM_RATE * RATE_WINDOW.as_secs();
        (self.window, self.in_window) = (Instant::now(), 0);
        if enough || self.left == 0 { Ok(()) } else { Err(Failure::TimedOut) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A peer's bytes, handed out in pieces of a given size, and what we sent.
    struct Bytes {
        input: VecDeque<u8>,
        piece: usize,
        output: Vec<u8>,
    }

    impl Read for Bytes {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.piece).min(self.input.len());
            for slot in &mut buffer[..count] {
                *slot = self.input.pop_front().unwrap_or_default();
            }
            Ok(count)
        }
    }

    impl Write for Bytes {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.output.extend_from_slice(buffer);
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for Bytes {}

    fn over(input: &[u8], piece: usize) -> Connection<Bytes> {
        Connection::new(Bytes { input: input.iter().copied().collect(), piece, output: Vec::new() })
    }

    #[test]
    fn messages_and_bodies_in_pieces_of_any_size() {
        for piece in [1, 2, 3, 7, 1000] {
            let mut connection = over(b"put body=5\nhelloget job=x\n", piece);
            let first = connection.read_message().expect("read").expect("a message");
            let length = first.body().expect("a length");
            assert_eq!(connection.read_body(length, 10).expect("body"), b"hello");
            let second = connection.read_message().expect("read").expect("a message");
            assert_eq!(second.text("job"), Some("x"));
            assert!(connection.read_message().expect("read").is_none());
        }
    }

    #[test]
    fn cut_anywhere_is_told_from_a_clean_end() {
        let whole = b"put body=5\nhello";
        for cut in 1..whole.len() {
            let mut connection = over(&whole[..cut], 3);
            let result = connection.read_message().and_then(|message| {
                let length = message.expect("not a clean end").body()?;
                connection.read_body(length, 10)
            });
            assert!(matches!(result, Err(Failure::Truncated)), "cut at {cut}: {result:?}");
        }
    }

    #[test]
    fn lengths_are_checked_before_memory_is_spent() {
        let mut connection = over(&[b'x'; 2 * MAXIMUM_LINE], 1000);
        assert!(matches!(connection.read_message(), Err(Failure::Malformed(_))));
        let mut connection = over(b"", 1);
        assert!(matches!(connection.read_body(i64::MAX as u64, 10), Err(Failure::Malformed(_))));
        assert!(matches!(connection.read_body(10, i64::MAX as u64), Err(Failure::Truncated)));
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let mut connection = over(b"", 1);
        let message = Message::new("out").with("body", 3);
        connection.send(&message, b"a\nb").expect("send");
        assert_eq!(connection.stream().output, b"out body=3\na\nb");
    }
}
