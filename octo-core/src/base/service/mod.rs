//! What a service manager, systemd, tells its services and is told by them.

pub mod journal;
pub mod notify;
