//! Who gets in: sockets, the handshake, places for strangers and for pushers.

pub(crate) mod accept;
pub(crate) mod connections;
mod lobby;
mod lost;
mod penalties;
pub(crate) mod pushers;
pub(crate) mod refused;
pub(crate) mod sockets;
mod source;
pub(crate) mod stdio;
pub(crate) mod strangers;
