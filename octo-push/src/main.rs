//! octo-push: one verb to one or many tentacles.
#![allow(dead_code, unused_imports)] // until the verbs are wired up

mod argv;
mod dial;
mod escape;
mod fold;
mod help;
mod json;
mod options;
mod outcome;
mod output;
mod pushed;
mod remember;
mod rolling;
mod signals;
mod stop;
mod verbs;

use octo_core::cli::Tool;
use octo_core::error::Result;
use std::process::ExitCode;

const TOOL: Tool = Tool { name: "octo-push", help: help::TEXT };

fn main() -> ExitCode {
    TOOL.main(run)
}

fn run(tool: &Tool, arguments: &[String]) -> Result<u8> {
    let Some((common, verb)) = verbs::read(tool, arguments)? else { return Ok(0) };
    let _ = (common, verb);
    Ok(0)
}
