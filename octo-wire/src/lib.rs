//! What travels between octo-push and octo-listen: octo-protocol(7) in code.
//!
//! A connection is made over a [`Duplex`], so that tests and fuzzers drive it with
//! plain bytes. TLS is in [`tls`] and [`verify`] alone; who is trusted is asked of
//! the caller, inside the handshake.

pub mod body;
mod buffered;
pub mod channel;
pub mod connection;
pub mod duplex;
pub mod failure;
pub mod fields;
pub mod identity;
pub mod message;
pub mod pace;
pub mod reply;
pub mod request;
pub mod tls;
pub mod verify;
pub mod words;

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
