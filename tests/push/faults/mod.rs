//! What fails around octo-push: connections, its own machine, either end.

mod local;
mod lost;
mod proxy;
mod resilience;
mod soak;

pub(crate) use local::one_that_says;
