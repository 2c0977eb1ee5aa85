//! A spec's lines, one at a time, each checked and bounded before the next.

use super::order::{Order, Verdict, check_reason};
use super::{LockRequest, MAXIMUM, MAXIMUM_LOCKS, MAXIMUM_VALUE, MAXIMUM_VALUES};
use super::{Script, Spec, SpecError, limit, malformed, stdin};
use crate::base::digest::Digest;
use crate::base::encoding::printable;
use crate::base::names::{LockName, VariableName, is_file_name};
use crate::base::record;
use crate::base::refusal::Refusal;
use crate::base::units::{MAXIMUM_SECONDS, whole};
use crate::trust::environment;
use crate::trust::signed::Signature;
use std::collections::HashSet;
use std::time::Duration;

impl Spec {
    /// Parses and checks a spec that somebody asks to have run.
    ///
    /// # Errors
    /// What is wrong with it, and by which code it is refused; variables that no pusher
    /// may set are denied, all of them at once.
    pub fn parse(bytes: &[u8]) -> Result<Spec, SpecError> {
        let spec = Spec::recorded(bytes)?;
        match spec.forbidden() {
            Some(error) => Err(error),
            None => Ok(spec),
        }
    }

    /// Why its variables are refused, if no pusher may set one of them.
    pub fn forbidden(&self) -> Option<SpecError> {
        let is_forbidden = |name: &&VariableName| environment::forbidden(name).is_some();
        let variables: Vec<_> = self.variables().filter(is_forbidden).cloned().collect();
        let reason = environment::refusal(&variables);
        let error = SpecError { refusal: Refusal::Denied, reason, variables };
        Some(error).filter(|error| !error.variables.is_empty())
    }

    /// Parses the spec of a record, which may have been permitted by an older table of
    /// forbidden variables: line by line, so that what a line adds is bounded before the
    /// next one is looked at.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn recorded(bytes: &[u8]) -> Result<Spec, SpecError> {
        if bytes.len() as u64 > MAXIMUM {
            return Err(limit(format!("the spec is larger than {MAXIMUM} bytes")));
        }
        let mut reading = Reading::new();
        for (index, line) in record::lines(bytes).enumerate() {
            let number = index + 1;
            let (key, values) =
                line.map_err(|_| malformed(format!("spec line {number}: not of the form")))?;
            reading.line(key, values).map_err(|error| match error.refusal {
                Refusal::Malformed => malformed(format!("spec line {number}: {}", error.reason)),
                // What is too large or not permitted has a name of its own.
                _ => error,
            })?;
        }
        reading.end()
    }
}

/// A spec in the making.
struct Reading {
    spec: Spec,
    script: Option<Script>,
    /// The names of variables and secrets so far.
    variables: HashSet<VariableName>,
    /// What arguments and variables take of the kernel's room so far.
    total: usize,
}

impl Reading {
    fn new() -> Reading {
        Reading {
            // Filled line by line; what runs is put in at the end, once it is known.
            spec: Spec::of(Script::Command(String::new())),
            script: None,
            variables: HashSet::new(),
            total: 0,
        }
    }

    fn line(&mut self, key: &str, values: Vec<Vec<u8>>) -> Result<(), SpecError> {
        let fields = SpecLine { key, values };
        match key {
            "script" | "name" | "command" => self.script(&fields),
            word if Order::WORDS.contains(&word) => self.script(&fields),
            "subject" => match &mut self.script {
                Some(Script::Order(Order::Verdict(Verdict::Approve { subjects, .. }))) => {
                    subjects.read(&fields.texts()?)
                }
                _ => Err(malformed("subject without approve")),
            },
            "package" => {
                fields.count(2)?;
                once(&mut self.spec.package, (fields.digest(0)?, fields.file_name(1)?))
            }
            "signature" => {
                fields.count(1)?;
                let signature = Signature::parse(fields.text(0)?).map_err(malformed)?;
                once(&mut self.spec.signature, signature)
            }
            "stdin" => {
                fields.count(2)?;
                let length = whole(fields.text(1)?).ok_or_else(|| malformed("not a length"))?;
                stdin::check(length)?;
                once(&mut self.spec.stdin, (fields.digest(0)?, length))
            }
            "arg" => self.argument(fields),
            "env" => self.assignment(fields),
            "secret" => {
                fields.count(1)?;
                let name = self.variable(fields.text(0)?)?;
                // Its value comes apart; its name takes room as well.
                self.total = added(self.total, b"", name.as_str().len() + 1, String::new)?;
                self.spec.secrets.push(name);
                Ok(())
            }
            "secrets" => {
                fields.count(1)?;
                once(&mut self.spec.secrets_digest, fields.digest(0)?)
            }
            "timeout" => {
                fields.count(1)?;
                once(&mut self.spec.timeout, fields.seconds(0)?)
            }
            "grace" => {
                fields.count(1)?;
                once(&mut self.spec.grace, fields.seconds(0)?)
            }
            "lock" => self.lock(&fields),
            "despite" => {
                fields.count(1)?;
                let reason = fields.text(0)?;
                check_reason(reason).map_err(malformed)?;
                once(&mut self.spec.despite, reason.to_string())
            }
            _ => Err(malformed(format!("unknown key {key}"))),
        }
    }

    fn script(&mut self, fields: &SpecLine<'_>) -> Result<(), SpecError> {
        if self.script.is_some() {
            return Err(malformed("a second thing to run"));
        }
        match fields.key {
            // Each order has a number of its own.
            word if Order::WORDS.contains(&word) => {}
            "script" => fields.count(2)?,
            _ => fields.count(1)?,
        }
        self.script = Some(match fields.key {
            "script" => Script::Sent { digest: fields.digest(0)?, name: fields.file_name(1)? },
            "name" => Script::Named(fields.file_name(0)?),
            word if Order::WORDS.contains(&word) => {
                Script::Order(Order::parse(word, &fields.texts()?)?)
            }
            _ => {
                let command = fields.text(0)?;
                if command.contains('\0') {
                    return Err(malformed("the command holds a NUL"));
                }
                Script::Command(command.to_string())
            }
        });
        Ok(())
    }

    fn argument(&mut self, fields: SpecLine<'_>) -> Result<(), SpecError> {
        fields.count(1)?;
        let value = &fields.values[0];
        let what = || format!("argument {}", self.spec.arguments.len() + 1);
        self.total = added(self.total, value, value.len(), what)?;
        self.spec.arguments.extend(fields.values);
        Ok(())
    }

    fn assignment(&mut self, fields: SpecLine<'_>) -> Result<(), SpecError> {
        fields.count(2)?;
        let name = self.variable(fields.text(0)?)?;
        let value = &fields.values[1];
        let length = name.as_str().len() + 1 + value.len();
        self.total = added(self.total, value, length, || format!("variable {name}"))?;
        self.spec.environment.extend(fields.values.into_iter().nth(1).map(|value| (name, value)));
        Ok(())
    }

    fn lock(&mut self, fields: &SpecLine<'_>) -> Result<(), SpecError> {
        fields.count(3)?;
        let name = LockName::parse(fields.text(0)?).ok_or_else(|| malformed("not a lock name"))?;
        // At most 64 of them.
        if self.spec.locks.iter().any(|lock| lock.name == name) {
            return Err(malformed(format!("lock {name} twice")));
        }
        if self.spec.locks.len() == MAXIMUM_LOCKS {
            return Err(limit(format!("more than {MAXIMUM_LOCKS} locks")));
        }
        let shared = match fields.text(1)? {
            "shared" => true,
            "exclusive" => false,
            _ => return Err(malformed("a lock is shared or exclusive")),
        };
        self.spec.locks.push(LockRequest { name, shared, wait: fields.seconds(2)? });
        Ok(())
    }

    fn variable(&mut self, name: &str) -> Result<VariableName, SpecError> {
        let shown =
            || malformed(format!("'{}' is not a variable name", printable(name.as_bytes())));
        let name = VariableName::parse(name).ok_or_else(shown)?;
        if !self.variables.insert(name.clone()) {
            return Err(malformed(format!("variable {name} twice")));
        }
        Ok(name)
    }

    fn end(self) -> Result<Spec, SpecError> {
        let script = self.script.ok_or_else(|| malformed("the spec names nothing to run"))?;
        if self.spec.secrets.is_empty() != self.spec.secrets_digest.is_none() {
            return Err(malformed("secrets are named without their digest, or the reverse"));
        }
        if self.spec.signature.is_some() && self.spec.package.is_none() {
            return Err(malformed("a signature without a package"));
        }
        let spec = Spec { script, ..self.spec };
        match &spec.script {
            // Nothing of a job's would come of it: who says it has meant something else.
            Script::Order(order) if spec != Spec::of(spec.script.clone()) => {
                Err(malformed(format!("{} stands alone", order.word())))
            }
            Script::Order(Order::Verdict(Verdict::Approve { subjects, .. }))
                if subjects.is_empty() =>
            {
                Err(malformed("it approves nothing"))
            }
            _ => Ok(spec),
        }
    }
}

/// The fields of one line.
struct SpecLine<'a> {
    key: &'a str,
    values: Vec<Vec<u8>>,
}

impl SpecLine<'_> {
    fn count(&self, wanted: usize) -> Result<(), SpecError> {
        if self.values.len() == wanted {
            return Ok(());
        }
        Err(malformed(format!("{} takes {wanted} fields", self.key)))
    }

    fn text(&self, index: usize) -> Result<&str, SpecError> {
        let value = self.values.get(index).ok_or_else(|| malformed("a field is missing"))?;
        std::str::from_utf8(value).map_err(|_| malformed("not UTF-8"))
    }

    fn texts(&self) -> Result<Vec<&str>, SpecError> {
        (0..self.values.len()).map(|index| self.text(index)).collect()
    }

    fn digest(&self, index: usize) -> Result<Digest, SpecError> {
        Digest::parse(self.text(index)?).ok_or_else(|| malformed("not a sha256"))
    }

    fn seconds(&self, index: usize) -> Result<Duration, SpecError> {
        whole(self.text(index)?)
            .filter(|seconds| *seconds <= MAXIMUM_SECONDS)
            .map(Duration::from_secs)
            .ok_or_else(|| malformed("not a number of seconds"))
    }

    fn file_name(&self, index: usize) -> Result<String, SpecError> {
        let name = self.text(index)?;
        let right = is_file_name(name.as_bytes());
        right.then(|| name.to_string()).ok_or_else(|| malformed("not a file name"))
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
