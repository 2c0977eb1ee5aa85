//! Messages and counted bytes over a stream: the grammar both ways.

use super::body::{Body, Counted};
use super::buffered::Buffered;
use super::duplex::Duplex;
use super::pace::Pace;
use crate::failure::Failure;
use crate::message::{MAXIMUM_LINE, Message};
use std::time::Instant;

/// What the peer did while it had no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// It spoke; what it said waits to be read.
    Bytes,
    /// It said farewell.
    Farewell,
}

/// A stream with the protocol's grammar on it.
#[derive(Debug)]
pub struct Connection<S> {
    input: Buffered<S>,
    pace: Pace,
}

impl<S: Duplex> Connection<S> {
    /// A connection over an established stream.
    pub fn new(stream: S) -> Connection<S> {
        Connection { input: Buffered::new(stream), pace: Pace::default() }
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.input.stream
    }

    /// The stream below, to set its deadlines.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.input.stream
    }

    /// Did the peer send bytes that were read from the socket and not used yet?
    /// poll(2) doesn't see them.
    pub fn has_buffered(&self) -> bool {
        !self.input.waiting().is_empty() || self.stream().has_pending()
    }

    /// Nothing is expected for a while: memory that nothing is in is given back.
    pub fn rest(&mut self) {
        self.input.rest();
    }

    /// Looks, without waiting, whether the peer speaks or leaves in a phase in
    /// which it should do neither; call it when its descriptor is readable.
    ///
    /// # Errors
    /// A broken stream.
    pub fn heard(&mut self) -> Result<Heard, Failure> {
        if !self.input.waiting().is_empty() {
            return Ok(Heard::Bytes);
        }
        Ok(match self.input.fill_now()? {
            None => Heard::Nothing,
            Some(0) => Heard::Farewell,
            Some(_) => Heard::Bytes,
        })
    }

    /// Reads one line; `None` if the peer said farewell between two messages.
    ///
    /// # Errors
    /// A line that is too long or not of the form, a time-out, a broken stream.
    pub fn read_message(&mut self) -> Result<Option<Message>, Failure> {
        let mut begun = None;
        let mut looked = 0;
        loop {
            let waiting = self.input.waiting();
            if let Some(at) = waiting[looked..].iter().position(|b| *b == b'\n') {
                let length = looked + at;
                let message = Message::parse(&waiting[..length])?;
                self.input.consume(length + 1);
                return Ok(Some(message));
            }
            looked = waiting.len();
            if looked >= MAXIMUM_LINE {
                return Err(Failure::Malformed("a line is longer than 16 KiB".into()));
            }
            // A stream's idle time is a byte's: by itself it lets a line drip.
            if looked > 0 && begun.get_or_insert_with(Instant::now).elapsed() > self.pace.line {
                return Err(Failure::TimedOut);
            }
            match self.input.fill()? {
                0 if looked == 0 => return Ok(None),
                0 => return Err(Failure::Truncated),
                _ => {}
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
            return self.send_bytes(&bytes);
        }
        self.send_bytes(&bytes)?;
        self.send_bytes(body)
    }

    /// Sends a line whose body follows by [`Connection::send_bytes`].
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_line(&mut self, message: &Message) -> Result<(), Failure> {
        self.send_bytes(&message.encode()?)
    }

    /// Sends bytes of a body.
    ///
    /// # Errors
    /// A time-out, a broken stream.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stream_mut().write_all(bytes)?)
    }

    /// Says farewell.
    ///
    /// # Errors
    /// Where it can't be sent.
    pub fn close(&mut self) -> Result<(), Failure> {
        Ok(self.stream_mut().close()?)
    }

    /// Begins to read a body of so many bytes.
    pub fn body(&mut self, length: u64) -> Body<'_, S> {
        let counted = self.count(length);
        Body::new(&mut self.input, counted)
    }

    /// The same for whoever reads it piece by piece, by [`Connection::read_counted`].
    pub fn count(&self, length: u64) -> Counted {
        Counted::new(length, self.pace)
    }

    /// Reads some of a counted body; 0 at its end.
    ///
    /// # Errors
    /// As [`Body::read`].
    pub fn read_counted(
        &mut self,
        counted: &mut Counted,
        buffer: &mut [u8],
    ) -> Result<usize, Failure> {
        counted.read(&mut self.input, buffer)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::io::{self, Read, Write};
    use std::time::Duration;

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

    impl Duplex for Bytes {}

    /// A peer that sends a byte each few milliseconds, and never ends.
    struct Drip;

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(2));
            buffer[0] = b'x';
            Ok(1)
        }
    }

    impl Write for Drip {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Duplex for Drip {}

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

    #[test]
    fn a_drip_holds_neither_line_nor_body() {
        let mut connection = Connection::new(Drip);
        connection.pace.line = Duration::from_millis(20);
        assert!(matches!(connection.read_message(), Err(Failure::TimedOut)));

        let mut connection = Connection::new(Drip);
        connection.pace = Pace { window: Duration::from_millis(20), ..Pace::default() };
        let dripping = connection.read_body(1 << 20, 1 << 20);
        assert!(matches!(dripping, Err(Failure::TimedOut)));
    }

    #[test]
    fn as_fast_as_it_must_be_it_goes_on() {
        let mut connection = Connection::new(Drip);
        connection.pace = Pace { window: Duration::from_secs(2), rate: 5, ..Pace::default() };
        let mut body = connection.count(1 << 20);
        for _ in 0..10 {
            assert!(body.check_pace(1, Duration::from_secs(1)).is_ok());
            assert!(body.check_pace(9, Duration::from_secs(1)).is_ok());
        }
        assert!(body.check_pace(9, Duration::from_secs(1)).is_ok());
        let slow = body.check_pace(0, Duration::from_secs(1));
        assert!(matches!(slow, Err(Failure::TimedOut)));
    }

    #[test]
    fn a_peer_without_its_turn_is_heard() {
        let mut connection = over(b"cancel job=x\n", 4);
        assert_eq!(connection.heard().expect("heard"), Heard::Bytes);
        assert!(connection.has_buffered());
        assert_eq!(connection.heard().expect("heard"), Heard::Bytes);
        let message = connection.read_message().expect("read").expect("a message");
        assert_eq!(message.text("job"), Some("x"));
        assert_eq!(connection.heard().expect("heard"), Heard::Farewell);
    }
}
