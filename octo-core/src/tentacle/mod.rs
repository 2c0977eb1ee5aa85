//! What a target keeps: jobs and what they are asked to do, packages, the audit
//! log, by which thumbprints it is known.

pub mod audit;
pub mod job;
pub mod known;
pub mod spec;
pub mod statement;
pub mod store;
