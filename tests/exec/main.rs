//! What octo-exec does, asked of the program itself.

#[path = "../support/mod.rs"]
mod support;

mod approval;
mod control;
mod ends;
mod faults;
mod forged;
mod jobs;
mod policy;
mod result_files;
mod run;
mod states;

fn sandbox() -> support::Sandbox {
    support::Sandbox::new(assert_cmd::cargo::cargo_bin!("octo-exec"))
}
