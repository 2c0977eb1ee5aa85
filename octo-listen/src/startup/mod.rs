//! From the command line to a listener that listens.

mod check;
mod handover;
pub(crate) mod identity;
pub(crate) mod options;
pub(crate) mod setup;
mod side;
mod systemd;
mod terminal;
mod unprivileged;
