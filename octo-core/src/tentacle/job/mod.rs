//! The job directory: one run, in files that a sysadmin can read with ls and cat.
//!
//! octo-job(5) is the page for it. Who writes what:
//!
//! ```text
//! octo-exec take       record script secrets lock; origin request request.sig request.crt spec
//! octo-exec run        record script secrets lock; origin spec   each published by one rename
//! octo-exec            cancel approved grant held waiting started log index end package;
//!                      end.seal end.seal.sig, behind which `end` appears
//! the job's own user   work/ values made/
//! ```
//!
//! All of it is octo-exec's, and the listener's group reads the records. A job's state
//! is read off these files; the right to run it is a kernel lock on `lock`, which only
//! octo-exec can open. Nothing here decides what is permitted.

mod directory;
mod end;
mod follow;
mod log;
mod origin;
mod pruned;
mod publish;
mod record;
mod refused;
mod state;
#[cfg(test)]
mod tests;

pub use directory::JobDirectory;
pub use end::{End, EndKind};
pub use follow::{Event, Follower};
pub use log::{Chunk, Finished, LogWriter, Room, Stream, lost};
pub use origin::{Origin, Pusher};
pub use pruned::{forget_pruned, is_pruned, mark_pruned, remember_pruned};
pub use publish::{NewJob, Published, sweep};
pub use record::{SEAL, SEAL_SIGNATURE, restore};
pub use refused::{Refused, refuse};
pub use state::{JobLock, State};

/// The largest `outputs` that is read. A script may write 1 MiB of values, which grow
/// where a mask is longer than what it hides, and by a line feed at the end.
pub const MAXIMUM_OUTPUTS: u64 = 2 << 20;
