//! How many peers may be connected that have not shown who they are.
//!
//! A handshake takes milliseconds; who holds a place for long is no pusher. So
//! a newcomer is never turned away for those who are silent: where the places
//! are taken, the one who has had his for longest loses it.

use std::net::{IpAddr, Ipv6Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places for strangers in all.
pub(crate) const IN_ALL: usize = 100;
/// Places for the strangers of one address (of one /64 with IPv6).
pub(crate) const PER_ADDRESS: usize = 10;

/// Who is connected and unknown, the longest first.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    places: Mutex<Vec<Connected>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Connected {
    number: u64,
    from: IpAddr,
    socket: TcpStream,
}

/// A stranger's place, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct StrangerPlace {
    strangers: Arc<Strangers>,
    number: u64,
}

impl Strangers {
    /// Gives a place to this connection; whose place it was is hung up on.
    pub(crate) fn admit(
        self: &Arc<Strangers>,
        address: IpAddr,
        socket: &TcpStream,
    ) -> std::io::Result<StrangerPlace> {
        let socket = socket.try_clone()?;
        let from = network(address);
        let mut places = self.places();
        if let Some(loser) = loser(&places, from) {
            let place = places.remove(loser);
            // Its thread wakes up from its read, and ends.
            let _ = place.socket.shutdown(Shutdown::Both);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        places.push(Connected { number, from, socket });
        Ok(StrangerPlace { strangers: Arc::clone(self), number })
    }

    fn places(&self) -> MutexGuard<'_, Vec<Connected>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StrangerPlace {
    fn drop(&mut self) {
        self.strangers.places().retain(|place| place.number != self.number);
    }
}

/// Whose place a newcomer from this network gets, if all are taken.
fn loser(places: &[Connected], from: IpAddr) -> Option<usize> {
    let of = |network: IpAddr| places.iter().filter(|p| p.from == network).count();
    let crowd = if of(from) >= PER_ADDRESS {
        from
    } else if places.len() >= IN_ALL {
        places.iter().rev().max_by_key(|p| of(p.from))?.from
    } else {
        return None;
    };
    places.iter().position(|p| p.from == crowd)
}

/// What one party has for itself: an address, or with IPv6 a /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    /// Strangers from these addresses, one each; says who was hung up on.
    fn crowd(addresses: &[&str]) -> Vec<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let strangers = Arc::new(Strangers::default());
        let mut all = Vec::new();
        for address in addresses {
            let client = TcpStream::connect(listener.local_addr().expect("address"));
            let client = client.expect("connect");
            let (server, _) = listener.accept().expect("accept");
            let taken = strangers.admit(address.parse().expect("ip"), &server).expect("place");
            all.push((client, server, taken));
        }
        let hung_up = |client: &mut TcpStream| {
            client.set_nonblocking(true).expect("nonblocking");
            matches!(client.read(&mut [0]), Ok(0))
        };
        let lost = all.iter_mut().map(|(client, ..)| hung_up(client)).collect();
        all.clear();
        assert_eq!(strangers.places().len(), 0);
        lost
    }

    #[test]
    fn the_oldest_of_the_largest_crowd_goes() {
        let mut addresses = vec!["10.0.0.1"];
        addresses.extend(["10.0.0.2"; PER_ADDRESS + 2]);
        let lost = crowd(&addresses);
        assert_eq!(lost[..4], [false, true, true, false]);

        // Mapped and plain are one address; a /64 is one party.
        let mut addresses = vec!["::ffff:10.0.0.1", "2001:db8::1"];
        addresses.extend(["10.0.0.1"; PER_ADDRESS]);
        addresses.extend(["2001:db8::2"; PER_ADDRESS]);
        let lost = crowd(&addresses);
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 2);
        assert!(lost[0] && lost[1]);

        let many: Vec<String> = (0..IN_ALL - 2).map(|n| format!("10.1.0.{n}")).collect();
        let mut addresses: Vec<&str> = many.iter().map(String::as_str).collect();
        addresses.extend(["10.2.0.1", "10.2.0.1", "10.2.0.2"]);
        let lost = crowd(&addresses);
        assert_eq!(lost.iter().position(|lost| *lost), Some(IN_ALL - 2));
    }
}
