//! What octo-exec does, asked of the program itself.

#[path = "../support/mod.rs"]
mod support;

mod control;
mod ends;
mod faults;
mod policy;
mod result_files;
mod run;
mod states;
