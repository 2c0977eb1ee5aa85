//! What a target keeps: jobs and what they are asked to do, packages, the audit
//! log.

pub mod audit;
pub mod job;
pub mod spec;
pub mod statement;
pub mod store;
