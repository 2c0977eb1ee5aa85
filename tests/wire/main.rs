//! What octo-wire promises to both ends of a connection.

#[path = "../support/needs.rs"]
mod needs;

mod page;
mod peers;
mod session;
mod strangers;
mod trust;
