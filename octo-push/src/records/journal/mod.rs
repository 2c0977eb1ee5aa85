//! STATE/journal: what this octopus asked for and what came of it, one line an
//! action and target, with the audit head that the tentacle gave.
//!
//! Before a job is sent, a line of kind `begun` names each of its targets: an
//! octo-push that was killed can be followed, repeated or continued by the job's
//! id. The heads prove later that a tentacle's log was not rewritten.

mod ahead;
mod backwards;
pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod labels;
pub(crate) mod merged;
pub(crate) mod read;
#[cfg(test)]
mod tests;
