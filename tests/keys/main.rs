//! What octo-keys does, asked of the program itself.

#[path = "../support/mod.rs"]
mod support;

mod explain;
mod identities;
mod trust;
