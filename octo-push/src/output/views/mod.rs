//! The ways to show what jobs print.

mod buffer;
mod files;
mod gathered;
mod lines;
mod live;

pub(crate) use files::FileView;
pub(crate) use gathered::GatheredView;
pub(crate) use live::{LiveView, PrefixedView};
