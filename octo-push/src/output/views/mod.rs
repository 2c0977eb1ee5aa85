//! The ways to show what jobs print.

mod buffer;
mod files;
mod gathered;
mod lines;
mod live;

pub(crate) use files::ToFiles;
pub(crate) use gathered::Gathered;
pub(crate) use live::{Live, Prefixed};
