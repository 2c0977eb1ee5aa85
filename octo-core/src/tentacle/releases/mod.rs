//! What is released on this machine, as octo-release says it below each BASE, and the copies
//! of that which octo-exec keeps: looking runs nothing.
//!
//! ```text
//! STATE/releases/USER/APP@HEX    USER ran octo-release; HEX: 16 digits of BASE's sha256
//! STATE/freezes/APP              until when APP is not to be deployed
//! ```

mod copies;
mod facts;
mod freeze;
mod freezing;
mod journal;
pub mod keys;
mod looked;
mod released;

pub use copies::{Change, MAXIMUM_COPIES, all, apply, of_user};
pub use facts::{Facts, KEYS, is_name};
pub use freeze::{Freeze, freezes};
pub use freezing::{Freezes, MAXIMUM_FREEZES};
pub use journal::JournalStat;
pub use looked::{Current, Found, Looked, MAXIMUM_META, answers};
pub use released::{Directory, Released};
