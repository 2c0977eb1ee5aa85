//! What octo-core decides, against the pages that promise it.

#[path = "../support/random.rs"]
mod random;

mod any_trust;
mod options;
mod trust;
