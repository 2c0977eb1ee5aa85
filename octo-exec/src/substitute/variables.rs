//! The variables that text is filled in from: their values, in which `#{NAME}` counts too.

use super::template::{Piece, has_names, pieces, variable};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::rc::Rc;
use zeroize::Zeroizing;

/// A value, and what is filled in by it, has no more bytes.
pub(super) const LARGEST: usize = 16 << 20;
/// So much may all values that name others have together: a few can double again and again.
const LARGEST_OF_ALL: usize = 64 << 20;
/// So many values may go on in each other.
const DEEPEST: usize = 64;

/// What a list of names ends in that was cut.
const AND_MORE: &str = "...";

/// A value as it is filled in.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// It is a secret, or one went into it.
    pub(super) is_secret: bool,
    /// What is not set and is named by it; then its bytes are not whole.
    pub(super) missing: BTreeSet<String>,
}

pub(super) struct Variables {
    values: HashMap<Vec<u8>, Vec<u8>>,
    secrets: HashSet<String>,
    /// Not all of them are known by name: any may be one.
    is_cut: bool,
    resolved: HashMap<String, Rc<Value>>,
    left: usize,
}

impl Variables {
    /// Those of this environment.
    pub(super) fn new(environment: impl Iterator<Item = (OsString, OsString)>) -> Variables {
        let bytes = |(name, value): (OsString, OsString)| (name.into_vec(), value.into_vec());
        let values: HashMap<Vec<u8>, Vec<u8>> = environment.map(bytes).collect();
        let names = values.get(&b"OCTO_SECRETS"[..]).map(|list| String::from_utf8_lossy(list));
        let names = names.unwrap_or_default();
        let secrets: HashSet<String> = names.split_ascii_whitespace().map(Into::into).collect();
        let is_cut = secrets.contains(AND_MORE);
        Variables { values, secrets, is_cut, resolved: HashMap::new(), left: LARGEST_OF_ALL }
    }

    /// What is filled in for a name; `None` where it isn't set.
    ///
    /// # Errors
    /// Why its value can't be: a loop, growth, or what is no name in it. Of a value it
    /// shows nothing.
    pub(super) fn value(&mut self, name: &[u8]) -> Result<Option<Rc<Value>>, String> {
        self.resolve(variable(name), &mut Vec::new())
    }

    /// How a name is told that isn't set: to Octopus, capitals don't matter.
    pub(super) fn missing(&self, name: &[u8]) -> String {
        let name = variable(name);
        let other = self.values.keys().filter(|set| set.eq_ignore_ascii_case(name.as_bytes()));
        match other.min() {
            Some(other) => format!("{name} ({} is)", String::from_utf8_lossy(other)),
            None => name,
        }
    }

    fn resolve(
        &mut self,
        name: String,
        way: &mut Vec<String>,
    ) -> Result<Option<Rc<Value>>, String> {
        if let Some(value) = self.resolved.get(&name) {
            return Ok(Some(Rc::clone(value)));
        }
        let Some(own) = self.own(&name) else { return Ok(None) };
        if let Some(first) = way.iter().position(|before| *before == name) {
            way.push(name);
            return Err(format!("{}: their values name each other", way[first..].join(" → ")));
        }
        let is_secret = self.is_cut || self.secrets.contains(&name);
        let mut value =
            Value { bytes: Zeroizing::new(Vec::new()), is_secret, missing: BTreeSet::new() };
        way.push(name);
        if has_names(&own) {
            self.fill(&own, way, &mut value)?;
        } else {
            value.bytes = own;
        }
        let name = way.pop().unwrap_or_default();
        let value = Rc::new(value);
        self.resolved.insert(name, Rc::clone(&value));
        Ok(Some(value))
    }

    /// Fills in the value of the variable that the way ends in.
    fn fill(&mut self, own: &[u8], way: &mut Vec<String>, to: &mut Value) -> Result<(), String> {
        let of = way.last().cloned().unwrap_or_default();
        if way.len() > DEEPEST {
            return Err(format!("{}: more than {DEEPEST} values name each other", way[0]));
        }
        let is_secret = to.is_secret;
        for piece in pieces(own) {
            match piece {
                Err(wrong) => return Err(format!("the value of {of} holds {}", wrong.what)),
                Ok(Piece::Text(text)) => self.add(text, &of, to)?,
                Ok(Piece::Name(name)) => {
                    let name = variable(name);
                    match self.resolve(name.clone(), way)? {
                        Some(value) => {
                            to.is_secret |= value.is_secret;
                            to.missing.extend(value.missing.iter().cloned());
                            self.add(&value.bytes, &of, to)?;
                        }
                        // What a secret holds is nobody's to read.
                        None if is_secret => {
                            to.missing.insert(format!("what the value of {of} names"));
                        }
                        None => {
                            to.missing.insert(format!("{name} (in the value of {of})"));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, bytes: &[u8], of: &str, to: &mut Value) -> Result<(), String> {
        let most = LARGEST.saturating_sub(to.bytes.len()).min(self.left);
        if bytes.len() > most {
            return Err(format!("the value of {of} grows beyond {LARGEST} bytes"));
        }
        self.left -= bytes.len();
        to.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The value that a variable itself has. Octopus's own names are answered where
    /// nobody has set them.
    fn own(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let set = |name: &str| self.values.get(name.as_bytes()).cloned();
        let own = set(name).or_else(|| match ours(name)? {
            "OCTO_TARGET" => set("OCTO_TARGET").or_else(host),
            ours => set(ours),
        });
        own.map(Zeroizing::new)
    }
}

/// What Octopus calls what we call this.
fn ours(name: &str) -> Option<&'static str> {
    Some(match name {
        "Octopus_Release_Number" | "Octopus_Action_Package_PackageVersion" => "OCTO_VERSION",
        "Octopus_Project_Name" | "Octopus_Action_Package_PackageId" => "OCTO_APP",
        "Octopus_Deployment_Id" => "OCTO_JOB",
        "Octopus_Environment_Name" => "OCTO_ENVIRONMENT",
        "Octopus_Machine_Name" => "OCTO_TARGET",
        "Octopus_Action_Package_InstallationDirectoryPath"
        | "OctopusOriginalPackageDirectoryPath" => "OCTO_RELEASE",
        _ => return None,
    })
}

fn host() -> Option<Vec<u8>> {
    let name = rustix::system::uname();
    let name = std::ffi::OsStr::from_bytes(name.nodename().to_bytes());
    Some(name.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(all: &[(&str, &str)]) -> Variables {
        Variables::new(all.iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn value(all: &[(&str, &str)], name: &str) -> Result<(String, bool), String> {
        let value = variables(all).value(name.as_bytes())?.expect("it is set");
        let missing: Vec<String> = value.missing.iter().cloned().collect();
        match missing.is_empty() {
            true => Ok((String::from_utf8_lossy(&value.bytes).into_owned(), value.is_secret)),
            false => Err(missing.join(", ")),
        }
    }

    #[test]
    fn a_value_that_names_others_has_theirs_in_it() {
        let all = [
            ("Url", "http://#{Host}:#{Port}/##{x}"),
            ("Host", "#{Name}.example"),
            ("Name", "db"),
            ("Port", ""),
            ("Key", "k#{Pass}"),
            ("Pass", "hunter22"),
            ("OCTO_SECRETS", "Other Pass"),
            ("OCTO_VERSION", "1.4"),
        ];
        assert_eq!(value(&all, "Url"), Ok(("http://db.example:/#{x}".into(), false)));
        assert_eq!(value(&all, "Key"), Ok(("khunter22".into(), true)));
        assert_eq!(value(&all, "Octopus.Release.Number"), Ok(("1.4".into(), false)));
        let own = [("Octopus_Release_Number", "5"), ("OCTO_VERSION", "1.4")];
        assert_eq!(value(&own, "Octopus.Release.Number"), Ok(("5".into(), false)));
        assert!(value(&all, "Octopus.Machine.Name").is_ok_and(|(name, _)| !name.is_empty()));
        assert!(variables(&all).value(b"Octopus.Project.Name").is_ok_and(|found| found.is_none()));
        // Of a list that was cut nobody knows who is missing.
        let cut = [("A", "1"), ("OCTO_SECRETS", "B ...")];
        assert_eq!(value(&cut, "A"), Ok(("1".into(), true)));
    }

    #[test]
    fn a_loop_is_named_and_so_is_what_is_missing() {
        let all = [
            ("A", "#{B}"),
            ("B", "x#{C}"),
            ("C", "#{B}"),
            ("Self", "#{Self}"),
            ("D", "#{none}#{E}"),
            ("E", "#{Not.There}"),
            ("S", "a#{cret}"),
            ("F", "#{S}"),
            ("Bad", "s#{cret | ToUpper}"),
            ("OCTO_SECRETS", "S"),
        ];
        let error = |name: &str| value(&all, name).expect_err(name);
        assert_eq!(error("A"), "B → C → B: their values name each other");
        assert_eq!(error("Self"), "Self → Self: their values name each other");
        assert_eq!(error("D"), "Not_There (in the value of E), none (in the value of D)");
        assert_eq!(error("F"), "what the value of S names");
        assert_eq!(error("Bad"), "the value of Bad holds a filter");
    }

    #[test]
    fn growth_has_an_end() {
        let name = |n: usize| format!("V{n}");
        let mut all: Vec<(String, String)> =
            (0..40).map(|n| (name(n), format!("#{{{0}}}#{{{0}}}", name(n + 1)))).collect();
        all.push((name(40), "0123456789".into()));
        let of = |all: &[(String, String)], first: &str| {
            let all = all.iter().map(|(name, value)| (name.into(), value.into()));
            Variables::new(all).value(first.as_bytes()).map(|_| ())
        };
        let error = of(&all, "V0").expect_err("too large");
        assert!(error.ends_with("grows beyond 16777216 bytes"), "{error}");
        let long: Vec<(String, String)> =
            (0..100_000).map(|n| (name(n), format!("#{{{}}}", name(n + 1)))).collect();
        let error = of(&long, "V0").expect_err("too deep");
        assert_eq!(error, "V0: more than 64 values name each other");
    }
}
