//! How fast does a body travel, and how long does a connection take? One thread
//! sends over loopback, one receives; nothing is hashed or stored.
//!
//!     cargo run --release -p octo-wire --example throughput [GIB]

use octo_core::base::cli::print;
use octo_core::targets::TargetTrust;
use octo_wire::{Channel, Connection, Failure, Identity, Message, TlsStream};
use rustix::time::{ClockId, clock_gettime};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

const PIECE: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1);
    let length = argument.map_or(Ok(1), |gib| gib.parse::<u64>())? << 30;
    let identity = identity()?;
    let trust = TargetTrust::Thumbprints(vec![identity.thumbprint()]);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;

    let server = identity.clone();
    let receiver = thread::spawn(move || -> Result<f64, Failure> {
        let channel = Channel::tcp(listener.accept()?.0)?;
        let mut connection =
            Connection::new(TlsStream::serve(&server, channel, Box::new(|_| true))?);
        let request = connection.read_message()?.ok_or(Failure::Truncated)?;
        let mut body = connection.body(request.body()?);
        let mut piece = vec![0; PIECE];
        while body.read(&mut piece)? > 0 {}
        connection.send(&Message::new("ok"), b"")?;
        Ok(thread_seconds())
    });

    let mut connection = connect(&identity, address, &trust)?;
    let piece = vec![0x5a; PIECE];
    let start = Instant::now();
    connection.send_line(&Message::new("put").with("body", length))?;
    for _ in 0..length / PIECE as u64 {
        connection.send_bytes(&piece)?;
    }
    let sender = thread_seconds();
    connection.read_message()?;
    let wall = start.elapsed().as_secs_f64();
    let receiver = receiver.join().map_err(|_| "the receiver panicked")??;
    let mib = (length >> 20) as f64;
    print(&format!(
        "{:.0} MiB/s; processor time per GiB: sender {:.2} s, receiver {:.2} s\n",
        mib / wall,
        sender * 1024.0 / mib,
        receiver * 1024.0 / mib,
    ))?;
    let milliseconds = round_trips(&identity, &trust)?;
    print(&format!("{milliseconds:.2} ms from connect to the end of a status\n"))?;
    Ok(())
}

/// Connect, ask, hear the answer, part: so many times in turn, in milliseconds.
fn round_trips(identity: &Identity, trust: &TargetTrust) -> Result<f64, Failure> {
    const TIMES: u32 = 200;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = identity.clone();
    let served = thread::spawn(move || -> Result<(), Failure> {
        for _ in 0..TIMES {
            let channel = Channel::tcp(listener.accept()?.0)?;
            let mut connection =
                Connection::new(TlsStream::serve(&server, channel, Box::new(|_| true))?);
            while connection.read_message()?.is_some() {
                connection.send(&Message::new("ok"), b"")?;
            }
        }
        Ok(())
    });
    let start = Instant::now();
    for _ in 0..TIMES {
        let mut connection = connect(identity, address, trust)?;
        connection.send(&Message::new("status"), b"")?;
        connection.read_message()?;
        connection.close()?;
    }
    let elapsed = start.elapsed();
    served.join().unwrap_or(Err(Failure::Truncated))?;
    Ok(elapsed.as_secs_f64() * 1000.0 / f64::from(TIMES))
}

fn connect(
    identity: &Identity,
    address: SocketAddr,
    trust: &TargetTrust,
) -> Result<Connection<TlsStream>, Failure> {
    let channel = Channel::tcp(TcpStream::connect(address)?)?;
    Ok(Connection::new(TlsStream::connect(identity, channel, trust, "localhost")?))
}

/// The processor time of this thread, the kernel's share included.
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn identity() -> Result<Identity, Box<dyn std::error::Error>> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let certificate = rcgen::CertificateParams::new(vec!["octo".to_string()])?.self_signed(&key)?;
    let pem = key.serialize_pem() + &certificate.pem();
    Ok(Identity::from_pem(pem.as_bytes())?)
}
