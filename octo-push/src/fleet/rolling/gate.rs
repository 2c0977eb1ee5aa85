//! `--gate`: a command between two batches, which says whether the rollout goes on.

use crate::cli::argv;
use octo_core::base::error::{Error, Exit, Result, describe};
use std::process::{Command, Stdio};

/// Runs the gate with the batch's names behind its own arguments; returns why the
/// rollout has to stop, if it has to.
pub(super) fn objection(gate: &[String], names: &[&str]) -> Option<String> {
    let (program, arguments) = gate.split_first()?;
    match passes(program, arguments, names) {
        Ok(true) => None,
        Ok(false) => Some(format!("the gate {} said no", argv::quote(program))),
        Err(error) => {
            Some(format!("the gate {} can't be run: {}", argv::quote(program), error.message))
        }
    }
}

/// What the gate prints goes to standard error: standard output is the jobs'.
fn passes(program: &str, arguments: &[String], names: &[&str]) -> Result<bool> {
    let output = rustix::io::dup(std::io::stderr())
        .map_err(|error| Error::new(Exit::Io, "standard error", describe(&error.into())))?;
    let status = Command::new(program)
        .args(arguments)
        .args(names)
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .status()
        .map_err(|error| Error::new(Exit::NotFound, program, describe(&error)))?;
    Ok(status.success())
}
