//! `--gate`: a command between two batches, which says whether the rollout goes on.

use crate::cli::argv;
use octo_core::base::error::{Error, Exit, Result, describe};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Runs the gate with the batch's names behind its own arguments; returns why the
/// rollout has to stop, if it has to.
pub(super) fn objection(gate: &[String], names: &[&str]) -> Option<String> {
    let (program, arguments) = gate.split_first()?;
    // Of octo-deploy, which is its own gate, the path says nothing.
    let name = Path::new(program).file_name().and_then(|name| name.to_str());
    let gate = argv::quote(name.unwrap_or(program));
    match run(program, arguments, names) {
        Ok(status) if status.success() => None,
        // `exit status: 1` or `signal: 15 (SIGTERM)`.
        Ok(status) => Some(format!("the gate {gate} said no, {status}")),
        Err(error) => Some(format!("the gate {gate} can't be run: {}", error.message)),
    }
}

/// What the gate prints goes to standard error: standard output is the jobs'.
fn run(program: &str, arguments: &[String], names: &[&str]) -> Result<ExitStatus> {
    let output = rustix::io::dup(std::io::stderr())
        .map_err(|error| Error::new(Exit::Io, "standard error", describe(&error.into())))?;
    Command::new(program)
        .args(arguments)
        .args(names)
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .status()
        .map_err(|error| Error::new(Exit::NotFound, program, describe(&error)))
}
