//! What a target keeps: jobs, what they are asked to do and hand back, packages, what is
//! released, the audit log, by which thumbprints it is known, with which key it seals ends.

pub mod account;
pub mod approval;
pub mod audit;
pub mod changes;
pub mod doorbell;
pub mod identity;
pub mod job;
pub mod known;
pub mod layout;
pub mod objects;
pub mod outputs;
pub mod releases;
pub mod seal;
pub mod settings;
pub mod signature;
pub mod spec;
pub mod spool;
pub mod statement;
pub mod store;
pub mod underway;
