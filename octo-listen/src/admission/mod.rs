//! Who gets in: sockets, the handshake, places for strangers and for pushers.

pub(crate) mod accept;
pub(crate) mod connections;
pub(crate) mod pushers;
pub(crate) mod refused;
pub(crate) mod sockets;
pub(crate) mod stdio;
pub(crate) mod strangers;
