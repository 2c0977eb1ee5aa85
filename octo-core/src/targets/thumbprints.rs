//! CONFIG/thumbprints: by what tentacles are recognised whose lines come from an inventory, which
//! needn't know that. One line a tentacle, `NAME THUMBPRINT[,THUMBPRINT…] [seal=THUMBPRINT]`.

use super::parse::{parse_name, parse_thumbprints};
use super::{SEAL, Target, TargetTrust, Targets};
use crate::base::names::PusherName;
use crate::base::problem::{ENOUGH, Problem};
use crate::base::thumbprint::Thumbprint;
use std::collections::HashMap;
use std::path::Path;

/// What is known of one tentacle.
#[derive(Debug, Clone)]
struct Known {
    thumbprints: Vec<Thumbprint>,
    seals: Vec<Thumbprint>,
    line: usize,
}

/// The lines of the file, by the names that they are of.
#[derive(Debug, Clone, Default)]
pub struct Thumbprints {
    all: HashMap<PusherName, Known>,
}

impl Thumbprints {
    /// Those of a file's bytes; `path` is for the messages.
    ///
    /// # Errors
    /// What is wrong, in the order of the lines, up to a bound.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Thumbprints, Vec<Problem>> {
        let mut thumbprints = Thumbprints::default();
        let mut problems = Vec::new();
        for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let number = index + 1;
            let added = parse_line(line, number).and_then(|known| match known {
                None => Ok(()),
                Some((name, known)) => match thumbprints.all.get(&name) {
                    Some(first) => Err(format!("{name} is on line {} already", first.line)),
                    None => {
                        thumbprints.all.insert(name, known);
                        Ok(())
                    }
                },
            });
            if let Err(reason) = added {
                problems.push(Problem::new(path, number, line, reason));
            }
            if problems.len() == ENOUGH {
                break;
            }
        }
        if problems.is_empty() { Ok(thumbprints) } else { Err(problems) }
    }

    /// How many tentacles it names.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Gives those targets that ask for it what is known of them.
    pub(super) fn join(&self, targets: &mut Targets) {
        for target in targets.all.iter_mut().filter(|target| target.is_unknown()) {
            let Some(known) = self.all.get(&target.name) else { continue };
            target.trust = TargetTrust::Thumbprints(known.thumbprints.clone());
            target.known = Some(known.line);
            target.seals.clone_from(&known.seals);
        }
    }
}

/// Whether any of these asks for it: else the file needn't be there, nor sound.
pub(super) fn are_asked_for(targets: &Targets) -> bool {
    targets.all.iter().any(Target::is_unknown)
}

fn parse_line(line: &[u8], number: usize) -> Result<Option<(PusherName, Known)>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_string())?;
    if text.starts_with('#') {
        return Ok(None);
    }
    let mut words = text.split_ascii_whitespace();
    let Some(name) = words.next() else { return Ok(None) };
    let name = parse_name("target name", name)?;
    let list = words.next().ok_or("a thumbprint is missing")?;
    let thumbprints = parse_thumbprints(list, "a thumbprint, several joined by commas")?;
    let mut seals = Vec::new();
    for word in words {
        match word.strip_prefix(SEAL) {
            Some(list) if seals.is_empty() => {
                seals = parse_thumbprints(list, "seal=THUMBPRINT, several joined by commas")?;
            }
            _ => return Err("a line is NAME THUMBPRINT, and seal=THUMBPRINT once".into()),
        }
    }
    Ok(Some((name, Known { thumbprints, seals, line: number })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(seed: &str) -> String {
        Thumbprint::of_certificate(seed.as_bytes()).to_string()
    }

    #[test]
    fn what_is_known_is_joined() {
        let (a, b) = (print("a"), print("b"));
        let text = format!("# known\r\n\nweb1 {a},{b} seal={b}\r\nold {a}\nweb3 {b}");
        let thumbprints = Thumbprints::parse(Path::new("t"), text.as_bytes()).expect("sound");
        assert_eq!(thumbprints.count(), 3);
        let lines = format!("web1 h known x\nweb2 h known\nweb3 h {a}\nweb4 h webpki\n");
        let mut targets = Targets::parse(Path::new("t"), lines.as_bytes()).expect("sound");
        assert!(are_asked_for(&targets));
        thumbprints.join(&mut targets);
        let shown: Vec<String> = targets.all.iter().map(|t| t.trust.to_string()).collect();
        assert_eq!(shown, [format!("{a},{b}"), "known".into(), a, "webpki".into()]);
        assert_eq!(targets.all[0].sealed_by(), Some(format!("seal={b}")));
        let unknown: Vec<bool> = targets.all.iter().map(Target::is_unknown).collect();
        assert_eq!(unknown, [false, true, false, false]);
    }

    #[test]
    fn each_wrong_line_is_named() {
        let a = print("a");
        for (line, said) in [
            ("web1".to_string(), "a thumbprint is missing"),
            (format!("-x {a}"), "is not a target name"),
            ("web1 known".into(), "several joined by commas"),
            (format!("web1 {a} web"), "a line is NAME THUMBPRINT"),
            (format!("web1 {a} seal={a} seal={a}"), "a line is NAME THUMBPRINT"),
            (format!("web1 {a},{a}"), "twice"),
            (format!("ok {a}"), "ok is on line 1 already"),
        ] {
            let text = format!("ok {a}\n\n{line}\n");
            let problems = Thumbprints::parse(Path::new("t"), text.as_bytes()).expect_err(&line);
            assert_eq!(problems.len(), 1, "{line}");
            assert!(problems[0].reason.contains(said), "{line}: {}", problems[0].heading());
            assert!(problems[0].heading().starts_with("t:3: "));
        }
        assert_eq!(
            Thumbprints::parse(Path::new("t"), &b"x\n".repeat(1000)).expect_err("x").len(),
            ENOUGH
        );
    }
}
