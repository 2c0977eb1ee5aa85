//! What fails around octo-push: connections, its own machine, either end.

mod audits;
mod local;
mod lost;
mod played;
mod proxy;
mod resilience;
mod soak;
mod vain;
mod waits;

pub(crate) use played::{next_request, one_that, one_that_is_cut, one_that_says, say};
