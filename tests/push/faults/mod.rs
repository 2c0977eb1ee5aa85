//! What fails around octo-push: connections, its own machine, either end.

mod local;
mod lost;
mod proxy;
mod resilience;
