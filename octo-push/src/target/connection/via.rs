//! Which way to a target is spoken of: what errors name.

use octo_core::targets::{Road, Target};
use std::fmt;

/// A target, and the way that is used; all its ways, where none of them is (`-P`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Via<'a> {
    pub(crate) target: &'a Target,
    pub(crate) road: Option<&'a Road>,
}

impl fmt::Display for Via<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.road {
            Some(road) => road.fmt(out),
            None => self.target.roads.fmt(out),
        }
    }
}
