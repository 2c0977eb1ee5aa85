//! The habits of the command line that all tools share: `main` calls `run`,
//! prints, maps to an exit status; verbs and options are rows of tables.

pub mod help;
mod input;
pub mod options;
mod output;
mod pasted;
pub mod terminal;
mod tool;
pub mod verbs;

pub use input::standard_input;
pub use options::places;
pub use output::{print, print_bytes};
pub use tool::Tool;

/// Now, in UTC and to the second: `2026-01-31T23:59:59Z` (RFC 3339).
pub fn utc_now() -> String {
    utc(jiff::Timestamp::now())
}

/// A time in UTC, to the second (RFC 3339).
pub fn utc(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
