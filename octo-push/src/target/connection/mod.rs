//! The connection to a tentacle: how it is made, what is asked on it, and what is
//! said where the two sides don't know each other.

pub(crate) mod client;
pub(crate) mod client_config;
pub(crate) mod client_error;
pub(crate) mod deadlines;
pub(crate) mod dial;
pub(crate) mod first_contact;
pub(crate) mod opening;
pub(crate) mod pauses;
pub(crate) mod throttle;
pub(crate) mod transport;
pub(crate) mod via;
