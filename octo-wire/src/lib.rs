//! What travels between octo-push and octo-listen: octo-protocol(7) in code.
//!
//! A session is a function over [`connection::Stream`], so that tests drive it
//! with plain bytes. TLS is in [`tls`] and [`verify`] alone; who is trusted is
//! asked of the caller, inside the handshake.

pub mod body;
pub mod channel;
pub mod connection;
pub mod failure;
pub mod identity;
pub mod message;
pub mod tls;
pub mod verify;

pub use channel::Channel;
pub use connection::{Connection, Stream};
pub use failure::Failure;
pub use identity::Identity;
pub use message::Message;
pub use tls::{Session, TargetTrust};

/// The protocol's name in TLS (ALPN, RFC 7301).
pub const ALPN: &[u8] = b"octo/1";
/// The port a tentacle listens on.
pub const PORT: u16 = 10933;
