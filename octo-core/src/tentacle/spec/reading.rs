//! A spec's lines, one at a time, each checked and bounded before the next.

use super::{LockRequest, MAXIMUM_LOCKS, MAXIMUM_VALUE, MAXIMUM_VALUES};
use super::{Script, Spec, SpecError, limit, malformed};
use crate::base::digest::Digest;
use crate::base::names::{LockName, VariableName, is_file_name};
use crate::base::refusal::Refusal;
use crate::base::units::whole;
use std::collections::HashSet;
use std::time::Duration;

/// A spec in the making.
pub(super) struct Reading {
    spec: Spec,
    script: Option<Script>,
    /// The names of variables and secrets so far.
    variables: HashSet<VariableName>,
    /// What arguments and variables take of the kernel's room so far.
    total: usize,
}

impl Reading {
    pub(super) fn new() -> Reading {
        Reading {
            // Filled line by line; what runs is put in at the end, once it is known.
            spec: Spec::of(Script::Command(String::new())),
            script: None,
            variables: HashSet::new(),
            total: 0,
        }
    }

    pub(super) fn line(&mut self, key: &str, values: Vec<Vec<u8>>) -> Result<(), SpecError> {
        let text = |index: usize| -> Result<&str, SpecError> {
            let value: &Vec<u8> =
                values.get(index).ok_or_else(|| malformed("a field is missing"))?;
            std::str::from_utf8(value).map_err(|_| malformed("not UTF-8"))
        };
        let count = |wanted: usize| {
            if values.len() == wanted {
                Ok(())
            } else {
                Err(malformed(format!("{key} takes {wanted} fields")))
            }
        };
        let digest = |index| Digest::parse(text(index)?).ok_or_else(|| malformed("not a sha256"));
        let seconds = |index| {
            whole(text(index)?)
                .filter(|s| *s <= 31_557_600_000)
                .map(Duration::from_secs)
                .ok_or_else(|| malformed("not a number of seconds"))
        };
        let file_name = |index| {
            let name = text(index)?;
            if is_file_name(name.as_bytes()) {
                Ok(name.to_string())
            } else {
                Err(malformed("not a file name"))
            }
        };
        match key {
            "script" | "name" | "command" if self.script.is_some() => {
                return Err(malformed("a second thing to run"));
            }
            "script" => {
                count(2)?;
                self.script = Some(Script::Sent { digest: digest(0)?, name: file_name(1)? });
            }
            "name" => {
                count(1)?;
                self.script = Some(Script::Named(file_name(0)?));
            }
            "command" => {
                count(1)?;
                let command = text(0)?;
                if command.contains('\0') {
                    return Err(malformed("the command holds a NUL"));
                }
                self.script = Some(Script::Command(command.to_string()));
            }
            "package" => {
                count(2)?;
                once(&mut self.spec.package, (digest(0)?, file_name(1)?))?;
            }
            "arg" => {
                count(1)?;
                let what = || format!("argument {}", self.spec.arguments.len() + 1);
                self.total = added(self.total, &values[0], values[0].len(), what)?;
                self.spec.arguments.extend(values);
            }
            "env" => {
                count(2)?;
                let name = self.variable(text(0)?)?;
                let length = name.as_str().len() + 1 + values[1].len();
                let what = || format!("variable {name}");
                self.total = added(self.total, &values[1], length, what)?;
                self.spec.environment.extend(values.into_iter().nth(1).map(|value| (name, value)));
            }
            "secret" => {
                count(1)?;
                let name = self.variable(text(0)?)?;
                // Its value comes apart; its name takes room as well.
                self.total = added(self.total, b"", name.as_str().len() + 1, String::new)?;
                self.spec.secrets.push(name);
            }
            "secrets" => {
                count(1)?;
                once(&mut self.spec.secrets_digest, digest(0)?)?;
            }
            "timeout" => {
                count(1)?;
                once(&mut self.spec.timeout, seconds(0)?)?;
            }
            "grace" => {
                count(1)?;
                once(&mut self.spec.grace, seconds(0)?)?;
            }
            "lock" => {
                count(3)?;
                let name = LockName::parse(text(0)?).ok_or_else(|| malformed("not a lock name"))?;
                if self.spec.locks.iter().any(|l| l.name == name) {
                    return Err(malformed(format!("lock {name} twice")));
                }
                if self.spec.locks.len() == MAXIMUM_LOCKS {
                    return Err(limit(format!("more than {MAXIMUM_LOCKS} locks")));
                }
                let shared = match text(1)? {
                    "shared" => true,
                    "exclusive" => false,
                    _ => return Err(malformed("a lock is shared or exclusive")),
                };
                self.spec.locks.push(LockRequest { name, shared, wait: seconds(2)? });
            }
            _ => return Err(malformed(format!("unknown key {key}"))),
        }
        Ok(())
    }

    fn variable(&mut self, name: &str) -> Result<VariableName, SpecError> {
        let name = VariableName::for_pusher(name)
            .map_err(|reason| SpecError { refusal: Refusal::Denied, reason })?;
        if self.variables.insert(name.clone()) {
            Ok(name)
        } else {
            Err(malformed(format!("variable {name} twice")))
        }
    }

    pub(super) fn end(self) -> Result<Spec, SpecError> {
        let script = self.script.ok_or_else(|| malformed("the spec names nothing to run"))?;
        if self.spec.secrets.is_empty() != self.spec.secrets_digest.is_none() {
            return Err(malformed("secrets are named without their digest, or the reverse"));
        }
        Ok(Spec { script, ..self.spec })
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), SpecError> {
    if slot.is_some() {
        return Err(malformed("said twice"));
    }
    *slot = Some(value);
    Ok(())
}

/// The room that is taken once this value is added. What the kernel would refuse
/// only when it is too late to say so is refused here.
fn added(
    total: usize,
    value: &[u8],
    length: usize,
    what: impl FnOnce() -> String,
) -> Result<usize, SpecError> {
    // The kernel counts the NUL and a pointer a string as well.
    let total = total + length + 9;
    check_value(what, value, length)?;
    if total > MAXIMUM_VALUES {
        return Err(limit(format!(
            "arguments and variables are larger than {MAXIMUM_VALUES} bytes in all"
        )));
    }
    Ok(total)
}

pub(super) fn check_value(
    what: impl FnOnce() -> String,
    value: &[u8],
    length: usize,
) -> Result<(), SpecError> {
    if value.contains(&0) {
        return Err(malformed(format!("{} holds a NUL", what())));
    }
    if length > MAXIMUM_VALUE {
        return Err(limit(format!("{} is larger than {MAXIMUM_VALUE} bytes", what())));
    }
    Ok(())
}
