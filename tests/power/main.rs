//! What was promised survives a power cut, at every moment of what is done.
//!
//! A recording is made by strace(1): each call that changes files, of all programs that take
//! part. From it the tree is rebuilt as a power cut may leave it at each of these moments:
//! with what was synced and nothing else, with all that was done but for half of the last
//! write, with names that come before what they name, or behind it. Then the machine comes up
//! again: octo-exec brings forward what waits, and what was promised is looked for.

#[path = "../support/mod.rs"]
mod support;

mod counts;
mod disk;
mod others;
mod promises;
mod recording;
mod replay;
mod run;
mod trace;
mod tree;
