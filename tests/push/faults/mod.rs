//! What fails around octo-push: connections, its own machine, either end.

pub(crate) mod local;
mod lost;
mod proxy;
mod resilience;
