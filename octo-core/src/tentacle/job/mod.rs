//! The job directory: one run, in files that a sysadmin can read with ls and cat.
//!
//! octo-job(5) is the page for it. Who writes what:
//!
//! ```text
//! octo-listen, octo-exec run   request spec script secrets lock     published by one rename
//! anyone who may                cancel, approved, denied            published files of their own
//! octo-exec job                 grant held waiting started log index end package work/ artifacts/
//! ```
//!
//! A job's state is read off these files; that somebody runs it is a held kernel
//! lock on `lock`, never a process id. Nothing here decides what is permitted.

mod directory;
mod end;
mod follow;
mod log;
mod lost;
mod publish;
mod request;
mod state;
#[cfg(test)]
mod tests;

pub use directory::JobDirectory;
pub use end::{End, EndKind};
pub use follow::{Event, Follower};
pub use log::{Chunk, Finished, LogWriter, Stream};
pub use lost::settle_lost;
pub use publish::{NewJob, Published, is_pruned, mark_pruned, sweep};
pub use request::{JobRequest, Pusher};
pub use state::{JobLock, State};

/// The largest `outputs` that is read. A script may write 1 MiB of values, which grow
/// where a mask is longer than what it hides, and by a line feed at the end.
pub const MAXIMUM_OUTPUTS: u64 = 2 << 20;
