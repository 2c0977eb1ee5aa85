//! A tentacle that is played: its handshake is real, what it says is the test's.

use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use octo_wire::{Channel, Connection, Identity, Message, TlsStream};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One connection of it.
pub(crate) type Played = Connection<TlsStream>;

/// How many connections were made to it.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<AtomicUsize>);

impl Connections {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// An octopus, and a tentacle that it knows: `plays` is called with each connection and
/// its number, in a thread of its own. That connection is closed when it returns.
pub(crate) fn one_that(
    plays: impl Fn(&mut Played, usize) + Send + Sync + 'static,
) -> (Octopus, Connections) {
    one_that_is_cut(move |stream, identity, number| {
        let channel = Channel::tcp(stream).expect("channel");
        // Who is refused, or gives up, plays no part.
        if let Ok(session) = TlsStream::serve(identity, channel, Box::new(|_| true.into())) {
            plays(&mut Connection::new(session), number);
        }
    })
}

/// The same before any handshake.
pub(crate) fn one_that_is_cut(
    plays: impl Fn(TcpStream, &Identity, usize) + Send + Sync + 'static,
) -> (Octopus, Connections) {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let web1 = octopus.stranger("web1");
    let identity = Identity::load(&web1.config.join("identity.pem")).expect("identity");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    octopus.add_target(&web1.line_at(&address, "web"));
    octopus.sandbox.write("p", "package");
    let connections = Connections::default();
    let (counted, shared) = (connections.clone(), Arc::new((identity, plays)));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, number) = (stream.expect("accept"), counted.next());
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.1(stream, &shared.0, number));
        }
    });
    (octopus, connections)
}

/// One that answers each first request with this and leaves.
pub(crate) fn one_that_says(answer: &'static [u8]) -> Octopus {
    let (octopus, _) = one_that(move |connection, _| {
        let _ = connection.read_message();
        let _ = connection.send_bytes(answer);
        let _ = connection.close();
    });
    octopus
}

/// The next request, its body passed over; `None` once the octopus is gone.
pub(crate) fn next_request(connection: &mut Played) -> Option<Message> {
    let request = connection.read_message().ok()??;
    connection.skip_body(request.body().ok()?).ok()?;
    Some(request)
}

/// Takes the parts of a package, up to so many bytes of it; `None` once the octopus is gone.
pub(crate) fn take_parts(connection: &mut Played, size: u64) -> Option<()> {
    let mut left = size;
    while left > 0 {
        let part = next_request(connection)?;
        let taken = part.number("size").ok()?? - part.number("skip").ok()?.unwrap_or(0);
        left = left.checked_sub(taken)?;
    }
    Some(())
}

/// Says this, if there is still somebody to hear it.
pub(crate) fn say(connection: &mut Played, what: &[u8]) -> Option<()> {
    connection.send_bytes(what).ok()
}
