//! The bytes below TLS: a socket, or two pipes, with deadlines that hold.
//!
//! A read time-out of the socket is per read: one byte a second would hold a
//! connection for ever. Here a deadline is a moment, and the descriptors are
//! non-blocking, so that nothing waits but poll(2).

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A connection's two directions.
#[derive(Debug)]
pub struct Channel {
    input: OwnedFd,
    /// Absent where one socket serves both.
    output: Option<OwnedFd>,
    /// Which of them were blocking, and are to be again: others may share them.
    was_blocking: [bool; 2],
    deadline: Option<Instant>,
    idle: Option<Duration>,
}

impl Channel {
    /// A TCP connection, without Nagle's delay, with keepalive (15 s idle, then
    /// every 5 s) so that a dead peer of a silent job is noticed.
    ///
    /// # Errors
    /// Where the socket refuses an option.
    pub fn tcp(stream: TcpStream) -> io::Result<Channel> {
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, Duration::from_secs(15))?;
        sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(5))?;
        sockopt::set_tcp_keepcnt(&stream, 6)?;
        let mut channel = Channel::new(stream.into(), None)?;
        channel.was_blocking = [false; 2];
        Ok(channel)
    }

    /// Any descriptors: standard input and output, a child's pipes. They are non-blocking until this is
    /// dropped, for whoever shares them too.
    ///
    /// # Errors
    /// Where a descriptor refuses that.
    pub fn new(input: OwnedFd, output: Option<OwnedFd>) -> io::Result<Channel> {
        let mut channel =
            Channel { input, output, was_blocking: [false; 2], deadline: None, idle: None };
        channel.was_blocking[0] = set_nonblocking(&channel.input)?;
        if let Some(output) = &channel.output {
            channel.was_blocking[1] = set_nonblocking(output)?;
        }
        Ok(channel)
    }

    /// No read or write goes on after this moment.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// No read or write waits longer than this for its next byte.
    pub fn set_idle(&mut self, idle: Option<Duration>) {
        self.idle = idle;
    }

    /// How long a read or write may wait for its next byte.
    pub(crate) fn idle(&self) -> Option<Duration> {
        self.idle
    }

    /// The descriptor that is readable when the peer has sent or closed.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// Reads what is there, without waiting; `None` if that is nothing yet.
    ///
    /// # Errors
    /// Where reading fails.
    pub fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match rustix::io::read(&self.input, &mut *buffer) {
                Ok(count) => return Ok(Some(count)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends our direction and throws away what still comes, until the peer ends
    /// too or its time is up. A socket that is closed with unread bytes in it
    /// takes back what was sent last: the peer would not hear why.
    pub(crate) fn hang_up(&mut self, patience: Duration) {
        // What is no socket has no such trouble.
        if rustix::net::shutdown(&self.input, rustix::net::Shutdown::Write).is_err() {
            return;
        }
        let until = Instant::now() + patience;
        self.deadline = Some(self.deadline.map_or(until, |deadline| deadline.min(until)));
        let mut waste = [0; 4096];
        while matches!(self.read(&mut waste), Ok(1..)) {}
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.output.as_ref().unwrap_or(&self.input).as_fd()
    }

    fn check_deadline(&self) -> io::Result<()> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    fn wait(&self, descriptor: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
        let idle = self.idle.map(|idle| Instant::now() + idle);
        let until = match (self.deadline, idle) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        loop {
            let left = until.map(|u| u.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut fds = [PollFd::from_borrowed_fd(descriptor, flags)];
            match poll(&mut fds, left.as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Says whether it was blocking before.
fn set_nonblocking(descriptor: &OwnedFd) -> io::Result<bool> {
    let flags = fcntl_getfl(descriptor)?;
    fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)?;
    Ok(!flags.contains(OFlags::NONBLOCK))
}

impl Drop for Channel {
    fn drop(&mut self) {
        let both = std::iter::once(&self.input).chain(&self.output).zip(self.was_blocking);
        for (descriptor, _) in both.filter(|(_, was_blocking)| *was_blocking) {
            if let Ok(flags) = fcntl_getfl(descriptor) {
                let _ = fcntl_setfl(descriptor, flags - OFlags::NONBLOCK);
            }
        }
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.check_deadline()?;
            match self.read_now(buffer)? {
                Some(count) => return Ok(count),
                None => self.wait(self.input(), PollFlags::IN)?,
            }
        }
    }
}

impl Write for Channel {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[io::IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        loop {
            self.check_deadline()?;
            match rustix::io::writev(self.output(), buffers) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => self.wait(self.output(), PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let ours = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        (Channel::tcp(ours).expect("channel"), listener.accept().expect("accept").0)
    }

    #[test]
    fn a_deadline_ends_a_drip() {
        let (mut ours, mut theirs) = pair();
        let drip = std::thread::spawn(move || {
            while theirs.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        ours.set_deadline(Some(Instant::now() + Duration::from_millis(100)));
        let error = io::copy(&mut ours, &mut io::sink()).expect_err("must time out");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(ours);
        drip.join().expect("the drip ends with the connection");
    }

    #[test]
    fn a_deadline_ends_a_flood() {
        let (mut ours, mut theirs) = pair();
        let flood = std::thread::spawn(move || while theirs.write_all(&[0; 65536]).is_ok() {});
        let began = Instant::now();
        ours.set_deadline(Some(began + Duration::from_millis(100)));
        // Enough for seconds: what always finds bytes waiting never waits.
        let error = io::copy(&mut Read::by_ref(&mut ours).take(64 << 30), &mut io::sink());
        assert_eq!(error.expect_err("must time out").kind(), io::ErrorKind::TimedOut);
        drop(ours);
        flood.join().expect("the flood ends with the connection");
    }

    #[test]
    fn a_dead_peer_of_an_idle_connection_is_noticed_in_45_seconds() {
        let (ours, _theirs) = pair();
        let socket = ours.input();
        assert!(sockopt::tcp_nodelay(socket).expect("option"));
        assert!(sockopt::socket_keepalive(socket).expect("option"));
        let probes = sockopt::tcp_keepcnt(socket).expect("option");
        let idle = sockopt::tcp_keepidle(socket).expect("option");
        let interval = sockopt::tcp_keepintvl(socket).expect("option");
        assert_eq!(idle + probes * interval, Duration::from_secs(45));
    }

    #[test]
    fn shared_descriptors_are_blocking_again_afterwards() {
        let (shared, _other) = std::os::unix::net::UnixStream::pair().expect("pair");
        let ours = || shared.as_fd().try_clone_to_owned().expect("clone");
        let blocking = || !fcntl_getfl(&shared).expect("flags").contains(OFlags::NONBLOCK);
        let mut channel = Channel::new(ours(), Some(ours())).expect("channel");
        assert!(!blocking());
        assert_eq!(channel.read_now(&mut [0]).expect("nothing yet"), None);
        drop(channel);
        assert!(blocking());
    }

    #[test]
    fn silence_and_a_full_buffer_time_out() {
        let (mut ours, _theirs) = pair();
        ours.set_idle(Some(Duration::from_millis(20)));
        assert_eq!(ours.read(&mut [0]).expect_err("silence").kind(), io::ErrorKind::TimedOut);
        let error = ours.write_all(&vec![0; 64 << 20]).expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
