//! The form of the trust file: its lines, and whose each of them is.

pub mod cached;
pub(super) mod head;
mod line;
mod lines;
pub(super) mod owner;
pub(super) mod parse;
mod plain;

pub use line::Line;
pub use lines::Lines;
