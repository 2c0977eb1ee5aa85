//! What octo's tools share, without TLS, in four houses: [`base`] for what any
//! program needs, [`trust`] for who may push, [`targets`] for where to, [`tentacle`]
//! for what a target keeps.
//!
//! Nothing here opens a network connection; octo-exec, which runs other
//! people's code, is built from this crate alone.

pub mod base;
pub mod targets;
pub mod tentacle;
pub mod trust;

pub use base::digest::Digest;
pub use base::error::{Error, Exit, Result};
pub use base::names::{JobId, LockName, PusherName, VariableName};
pub use base::refusal::Refusal;
pub use base::thumbprint::Thumbprint;
