//! The fault proxy: a TCP proxy that delays, pauses, cuts and damages what it
//! forwards, at exact bytes of either direction, and counts.
//!
//! A fresh proxy is transparent. [`FaultProxy::next`] plans one connection to come
//! (in order), [`FaultProxy::always`] all that have no plan of their own: so a test
//! cuts the first connection at byte N and lets the reconnection pass.

// Each test program uses its own part of this.
#![allow(dead_code)]

use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// What happens to one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plan {
    /// From the client to the server.
    pub(crate) up: Faults,
    /// From the server to the client.
    pub(crate) down: Faults,
}

/// What happens to one direction; offsets count this connection's bytes from 0.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Exactly so many bytes pass, then both directions end.
    pub(crate) cut_at: Option<u64>,
    /// This bit is inverted; bit 8N is the lowest of byte N.
    pub(crate) flip_bit: Option<u64>,
    /// So many bytes pass, then none in either direction until [`FaultProxy::resume`].
    pub(crate) pause_at: Option<u64>,
    /// Waits this long before each piece.
    pub(crate) delay: Duration,
    /// Pieces are at most so long; 0 is as they come.
    pub(crate) piece: usize,
}

/// A direction, for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// So many bytes of each direction are remembered.
const SEEN: usize = 64 * 1024;

/// A running proxy; ends, with its connections, when dropped.
pub(crate) struct FaultProxy {
    /// Where it listens: 127.0.0.1 and a port of its own.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    ended: AtomicBool,
    /// What passed up, and down.
    passed: Mutex<[Passed; 2]>,
}

/// What passed in one direction, over all connections.
#[derive(Default)]
struct Passed {
    count: u64,
    /// The first of it.
    seen: Vec<u8>,
}

#[derive(Default)]
struct State {
    next: VecDeque<Plan>,
    always: Plan,
    paused: bool,
    accepted: u64,
    /// Directions of connections that may still forward something.
    forwarding: u64,
    open: Vec<TcpStream>,
}

impl FaultProxy {
    /// Starts a transparent proxy in front of `server`, `ADDRESS:PORT`.
    pub(crate) fn start(server: &str) -> FaultProxy {
        FaultProxy::dialling(server, |server| TcpStream::connect(server))
    }

    /// The same, which reaches its server so.
    pub(crate) fn dialling(
        server: &str,
        dial: impl Fn(&str) -> std::io::Result<TcpStream> + Send + 'static,
    ) -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        // Else the kernel takes megabytes before anybody sees how slow this is.
        set_socket_recv_buffer_size(&listener, 64 << 10).expect("a receive buffer");
        let address = listener.local_addr().expect("own address");
        let shared = Arc::new(Shared::default());
        let (inside, server) = (Arc::clone(&shared), server.to_string());
        let acceptor = std::thread::spawn(move || accept(&listener, || dial(&server), &inside));
        FaultProxy { address, shared, acceptor: Some(acceptor) }
    }

    /// Plans the next connection that has no plan yet.
    pub(crate) fn next(&self, plan: Plan) {
        self.shared.state().next.push_back(plan);
    }

    /// Plans all connections that have no plan of their own.
    pub(crate) fn always(&self, plan: Plan) {
        self.shared.state().always = plan;
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        self.shared.state().paused = false;
        self.shared.changed.notify_all();
    }

    /// Waits until a `pause_at` was reached.
    pub(crate) fn wait_paused(&self) {
        let state = self.shared.state();
        let patience = Duration::from_secs(60);
        let waiting = |state: &mut State| !state.paused;
        let waited = self.shared.changed.wait_timeout_while(state, patience, waiting);
        let (guard, late) = waited.expect("lock");
        drop(guard);
        assert!(!late.timed_out(), "the proxy was never paused");
    }

    /// Cuts all connections that are open.
    pub(crate) fn cut(&self) {
        for stream in self.shared.state().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.shared.state().accepted
    }

    /// Bytes forwarded so far, over all connections.
    pub(crate) fn forwarded(&self, direction: Direction) -> u64 {
        self.shared.passed.lock().expect("lock")[direction as usize].count
    }

    /// Waits until no connection is open. Says what passed in this direction, and where
    /// TLS records end among the first bytes of the first connection.
    pub(crate) fn wait_closed(&self, direction: Direction) -> (u64, Vec<u64>) {
        let patience = Duration::from_secs(60);
        let waiting = |state: &mut State| state.forwarding > 0;
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), patience, waiting);
        assert!(!waited.expect("lock").1.timed_out(), "a connection stays open");
        let passed = &self.shared.passed.lock().expect("lock")[direction as usize];
        let (bytes, mut ends, mut at) = (&passed.seen, Vec::new(), 0);
        // A type, two bytes of version, two of length.
        while let Some([high, low]) = bytes.get(at + 3..at + 5) {
            at += 5 + usize::from(u16::from_be_bytes([*high, *low]));
            ends.push(at as u64);
        }
        (passed.count, ends)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.resume();
        self.cut();
        let _ = TcpStream::connect(self.address); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }

    fn passed(&self, direction: Direction, bytes: &[u8]) {
        let passed = &mut self.passed.lock().expect("lock")[direction as usize];
        let room = SEEN.saturating_sub(passed.seen.len()).min(bytes.len());
        passed.seen.extend_from_slice(&bytes[..room]);
        passed.count += bytes.len() as u64;
    }

    fn done(&self) {
        self.state().forwarding -= 1;
        self.changed.notify_all();
    }

    fn pause_now(&self) {
        self.state().paused = true;
        self.changed.notify_all();
    }

    fn wait_while_paused(&self) {
        let state = self.state();
        let going = |state: &mut State| state.paused && !self.ended.load(Ordering::SeqCst);
        drop(self.changed.wait_while(state, going).expect("lock"));
    }
}

fn accept(
    listener: &TcpListener,
    dial: impl Fn() -> std::io::Result<TcpStream>,
    shared: &Arc<Shared>,
) {
    for client in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let plan = {
            let mut state = shared.state();
            state.accepted += 1;
            state.next.pop_front().unwrap_or(state.always)
        };
        // A server that refuses looks like a cut: the client's stream is dropped.
        let Ok(server) = dial() else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let twin = |stream: &TcpStream| stream.try_clone().expect("clone");
        {
            let mut state = shared.state();
            // A long test makes thousands; those that ended are not kept open.
            state.open.retain(|stream| stream.peer_addr().is_ok());
            state.open.extend([twin(&client), twin(&server)]);
            state.forwarding += 2;
        }
        let (client2, server2) = (twin(&client), twin(&server));
        let (one, two) = (Arc::clone(shared), Arc::clone(shared));
        std::thread::spawn(move || {
            forward(client, server, plan.up, Direction::Up, &one);
            one.done();
        });
        std::thread::spawn(move || {
            forward(server2, client2, plan.down, Direction::Down, &two);
            two.done();
        });
    }
}

fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    faults: Faults,
    direction: Direction,
    shared: &Shared,
) {
    let end = |from: &TcpStream, to: &TcpStream| {
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    };
    let mut buffer = vec![0; if faults.piece == 0 { 64 * 1024 } else { faults.piece }];
    let mut passed = 0;
    loop {
        if faults.pause_at == Some(passed) {
            shared.pause_now();
        }
        shared.wait_while_paused();
        if faults.cut_at == Some(passed) {
            return end(&from, &to);
        }
        // A piece never crosses a place where something is to happen.
        let room = [faults.cut_at, faults.pause_at]
            .into_iter()
            .flatten()
            .filter_map(|at| at.checked_sub(passed))
            .filter(|left| *left > 0)
            .fold(buffer.len() as u64, u64::min);
        let count = match from.read(&mut buffer[..room as usize]) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return end(&from, &to),
        };
        let flipped = faults.flip_bit.and_then(|bit| Some((bit, (bit / 8).checked_sub(passed)?)));
        if let Some((bit, at)) = flipped.filter(|(_, at)| *at < count as u64) {
            buffer[at as usize] ^= 1 << (bit % 8);
        }
        if !faults.delay.is_zero() {
            std::thread::sleep(faults.delay);
        }
        shared.wait_while_paused();
        passed += count as u64;
        // Whoever has received it finds it counted.
        shared.passed(direction, &buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            return end(&from, &to);
        }
    }
}
