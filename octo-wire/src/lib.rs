//! What travels between octo-push and octo-listen: octo-protocol(7) in code.
//!
//! A connection is made over a [`Duplex`], so that tests and fuzzers drive it with
//! plain bytes. TLS is in [`tls`] and [`verify`] alone; who is trusted is asked of
//! the caller, inside the handshake.

pub mod failure;
mod messages;
mod stream;
pub mod tls;

pub use messages::{fields, message, reply, request, words};
pub use stream::{body, channel, connection, duplex, pace};
pub use tls::{identity, verify};

pub use channel::Channel;
pub use connection::Connection;
pub use duplex::Duplex;
pub use failure::Failure;
pub use fields::Fields;
pub use identity::Identity;
pub use message::Message;
pub use reply::Reply;
pub use request::Request;
pub use tls::{ALPN, TlsStream};
pub use words::StreamWord;
