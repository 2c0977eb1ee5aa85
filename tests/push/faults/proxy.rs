//! The fault proxy does what it says: tests that lean on it lean on this.

use crate::fault_proxy::{Direction, FaultProxy, Faults, Plan};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A server that sends back what it gets; its address.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().expect("clone");
                let mut writer = stream;
                let _ = std::io::copy(&mut reader, &mut writer);
                let _ = writer.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

/// What comes back when these bytes are sent and the sending side is closed.
fn exchange(proxy: &FaultProxy, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(proxy.address).expect("connect");
    let mut writer = stream.try_clone().expect("clone");
    let bytes = bytes.to_vec();
    let sender = std::thread::spawn(move || {
        let _ = writer.write_all(&bytes);
        let _ = writer.shutdown(Shutdown::Write);
    });
    let mut back = Vec::new();
    let mut piece = [0; 4096];
    // A reset is an end as well: what came before it counts.
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        back.extend_from_slice(&piece[..count]);
    }
    sender.join().expect("sender");
    back
}

#[test]
fn forwards_and_counts() {
    let proxy = FaultProxy::start(&echo());
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    assert_eq!(exchange(&proxy, &bytes), bytes);
    assert_eq!(proxy.forwarded(Direction::Up), 200_000);
    assert_eq!(proxy.forwarded(Direction::Down), 200_000);
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn cuts_one_connection_at_the_byte_and_lets_the_next_pass() {
    let proxy = FaultProxy::start(&echo());
    for at in [0, 1, 7, 4096] {
        let before = proxy.forwarded(Direction::Down);
        let down = Faults { cut_at: Some(at), ..Faults::default() };
        proxy.next(Plan { down, ..Plan::default() });
        assert_eq!(exchange(&proxy, &[b'x'; 9000]).len() as u64, at);
        assert_eq!(proxy.forwarded(Direction::Down) - before, at);
        assert_eq!(exchange(&proxy, b"whole"), b"whole");
    }
    let before = proxy.forwarded(Direction::Up);
    let up = Faults { cut_at: Some(3), ..Faults::default() };
    proxy.next(Plan { up, ..Plan::default() });
    assert!(exchange(&proxy, b"abcdef").len() <= 3);
    assert_eq!(proxy.forwarded(Direction::Up) - before, 3);
}

#[test]
fn flips_one_bit() {
    let proxy = FaultProxy::start(&echo());
    let up = Faults { flip_bit: Some(8 * 2 + 5), piece: 2, ..Faults::default() };
    proxy.always(Plan { up, ..Plan::default() });
    assert_eq!(exchange(&proxy, b"abcde"), b"abCde");
}

#[test]
fn pauses_at_the_byte_until_told() {
    let proxy = FaultProxy::start(&echo());
    let down = Faults { pause_at: Some(2), ..Faults::default() };
    proxy.next(Plan { down, ..Plan::default() });
    let mut stream = TcpStream::connect(proxy.address).expect("connect");
    stream.write_all(b"abcd").expect("write");
    let mut two = [0; 2];
    stream.read_exact(&mut two).expect("read");
    proxy.wait_paused();
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("timeout");
    assert!(stream.read(&mut [0; 1]).is_err(), "bytes came during the pause");
    stream.set_read_timeout(None).expect("timeout");
    proxy.resume();
    let mut rest = [0; 2];
    stream.read_exact(&mut rest).expect("read");
    assert_eq!((&two, &rest), (b"ab", b"cd"));
}

#[test]
fn delays_each_piece() {
    let proxy = FaultProxy::start(&echo());
    let up = Faults { delay: Duration::from_millis(20), piece: 1, ..Faults::default() };
    proxy.next(Plan { up, ..Plan::default() });
    let start = Instant::now();
    assert_eq!(exchange(&proxy, b"abcde"), b"abcde");
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[test]
fn cuts_what_is_open() {
    let proxy = FaultProxy::start(&echo());
    let mut stream = TcpStream::connect(proxy.address).expect("connect");
    stream.write_all(b"a").expect("write");
    stream.read_exact(&mut [0; 1]).expect("read");
    proxy.cut();
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
}
