//! How it travels: descriptors with deadlines, messages and bodies on them.

pub mod body;
mod buffered;
pub mod channel;
pub mod connection;
pub mod duplex;
pub mod pace;
