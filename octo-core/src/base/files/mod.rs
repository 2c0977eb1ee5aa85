//! Files: where they are, whether they can be believed, how they appear.

pub mod appended;
pub mod beneath;
pub mod edit_lock;
pub mod identity;
pub mod paths;
pub mod publish;
pub mod remove;
pub mod result_file;
pub mod watch;
pub mod watches;
