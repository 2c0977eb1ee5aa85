//! What octo-exec does, asked of the program itself.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tar.rs"]
mod tar;

mod announcing;
mod approval;
mod changes;
mod control;
mod ends;
mod enter;
mod faults;
mod fetched;
mod freezes;
mod functions;
mod groups;
mod jobs;
mod policy;
mod pruned;
mod releases;
mod result_files;
mod run;
mod service;
mod setup;
mod states;
mod substitute;
mod substitute_whole;
mod unpack;
mod unpack_link;
mod unpack_refused;
mod unpack_whole;
mod values;
mod variables;
mod verify;
mod whose;

fn sandbox() -> support::Sandbox {
    support::Sandbox::new(assert_cmd::cargo::cargo_bin!("octo-exec"))
}
