//! What each verb does.

pub(crate) mod audit;
pub(crate) mod get;
pub(crate) mod journal;
pub(crate) mod plumb;
