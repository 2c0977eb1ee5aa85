//! What a script leaves behind for its pusher: values and artifacts.

pub(crate) mod artifacts;
pub(super) mod values;
