//! What octo's tools share, without TLS, in five houses: [`base`] for what any
//! program needs, [`trust`] for who may push, [`targets`] for where to, [`tentacle`]
//! for what a target keeps, [`patch`] for a package as its difference to another.
//!
//! Nothing here opens a network connection; octo-exec, which runs other
//! people's code, is built from this crate alone.

pub mod base;
pub mod patch;
pub mod targets;
pub mod tentacle;
pub mod trust;

pub use base::digest::Digest;
pub use base::error::{Error, Exit, Result};
pub use base::names::{JobId, LockName, PusherName, VariableName};
pub use base::refusal::Refusal;
pub use base::thumbprint::Thumbprint;
