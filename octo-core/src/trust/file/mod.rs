//! The form of the trust file: its lines, and whose each of them is.

pub(super) mod head;
mod line;
pub(super) mod owner;
pub(super) mod parse;

pub use line::Line;
