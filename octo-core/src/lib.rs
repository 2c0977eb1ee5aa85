//! What octo's tools share, without TLS: who is trusted, what is stored, how a
//! job is recorded, and the habits of the command line.
//!
//! Nothing here opens a network connection; octo-exec, which runs other
//! people's code, is built from this crate alone.

mod appended;
pub mod audit;
pub mod cli;
pub mod digest;
pub mod encoding;
pub mod error;
pub mod job;
pub mod journal;
pub mod names;
pub mod no_core;
pub mod operator;
pub mod paths;
pub mod problem;
pub mod publish;
pub mod record;
pub mod refusal;
pub mod seed;
pub mod signals;
pub mod spec;
pub mod store;
pub mod targets;
pub mod thumbprint;
pub mod trust;
pub mod units;
pub mod variables;
pub mod watch;

pub use digest::Digest;
pub use error::{Error, Exit, Result};
pub use names::{JobId, LockName, PusherName, VariableName};
pub use refusal::Refusal;
pub use thumbprint::Thumbprint;
