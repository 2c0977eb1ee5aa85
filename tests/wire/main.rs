//! What octo-wire promises to both ends of a connection.

mod page;
mod peers;
mod session;
mod strangers;
mod trust;
