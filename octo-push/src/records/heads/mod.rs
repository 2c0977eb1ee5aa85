//! STATE/heads: what tentacles said of their audit logs, a file a target; octo-audit(5),
//! HEADS.

pub(crate) mod heard;
pub(crate) mod known;
pub(crate) mod line;
pub(crate) mod store;
#[cfg(test)]
mod tests;
