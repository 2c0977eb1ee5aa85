//! What octo-keys does, asked of the program itself.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod check;
mod explain;
mod identities;
mod renew;
mod rollouts;
mod show;
mod state;
mod tentacle;
mod trust;

use assert_cmd::cargo::cargo_bin;
use octo_core::Thumbprint;
use std::ffi::OsStr;
use std::process::Command;
use support::{Sandbox, stdout_of};

fn sandbox() -> Sandbox {
    Sandbox::new(cargo_bin!("octo-keys"))
}

/// A thumbprint, another for each seed.
fn print(seed: &str) -> String {
    Thumbprint::of_certificate(seed.as_bytes()).to_string()
}

/// Who starts jobs here: for any other user than root, the only one that a line may name.
fn own_user() -> String {
    octo_core::base::users::name_of(rustix::process::geteuid().as_raw())
}

/// Makes an identity; its thumbprint.
fn make(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut command = sandbox.tool("octo-keys");
    stdout_of(command.arg("new").args(arguments)).trim_end().to_string()
}

/// A command of std's with nothing of the caller's environment, as `Sandbox::tool`.
fn scrubbed(sandbox: &Sandbox, program: impl AsRef<OsStr>) -> Command {
    let tool = sandbox.tool("octo-keys");
    let mut command = Command::new(program);
    command.env_clear().envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// For tests that have asked for it by `needs`.
fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().expect("openssl starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
