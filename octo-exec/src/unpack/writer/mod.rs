//! Writes a release below its directory.

mod output;
mod plain;
mod twin;

pub(super) use plain::{Place, Writer};
pub(crate) use plain::{Rules, times};
