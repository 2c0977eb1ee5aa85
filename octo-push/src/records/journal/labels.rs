//! `--label NAME=VALUE`: what a run is part of, in words of whoever started it. Pipelines
//! tell by them the story of an application.

use octo_core::base::encoding::{decode_text, encode, is_word, printable};

/// So many at most.
const MOST: usize = 16;
/// All of them, as a line has them, leave room for the rest of it.
const LONGEST: usize = 4096;
/// What their keys begin with.
const PREFIX: &str = "label.";

/// The application that is deployed.
pub(crate) const APPLICATION: &str = "application";
/// Which of its versions.
pub(crate) const VERSION: &str = "version";
/// In which environment.
pub(crate) const ENVIRONMENT: &str = "environment";
/// What the run does: `deploy`, `rollback`, `back`, …
pub(crate) const WHAT: &str = "what";
/// Which version ran before it.
pub(crate) const FROM: &str = "from";
/// The job of the rollout that a run is part of.
pub(crate) const ROLLOUT: &str = "rollout";

/// The labels of a run, in the order in which they were said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels(Vec<(String, String)>);

impl Labels {
    /// Reads `NAME=VALUE` of each.
    ///
    /// # Errors
    /// In words, naming the label.
    pub(crate) fn read(said: &[String]) -> Result<Labels, String> {
        let mut labels = Labels::default();
        for text in said {
            let shown = printable(text.as_bytes());
            let (name, value) = text.split_once('=').ok_or(format!("{shown}: not NAME=VALUE"))?;
            if !is_word(name.as_bytes()) {
                return Err(format!("{shown}: a name has small letters, digits and -"));
            }
            if labels.get(name).is_some() {
                return Err(format!("{name}: given twice"));
            }
            labels.0.push((name.to_string(), value.to_string()));
        }
        if labels.0.len() > MOST {
            return Err(format!("{MOST} at most"));
        }
        match labels.encode().len() {
            0..=LONGEST => Ok(labels),
            length => Err(format!("{length} bytes in all, {LONGEST} at most")),
        }
    }

    /// The value of this one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|label| label.0 == name).map(|label| label.1)
    }

    /// Names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// As words of a line, each behind a blank.
    pub(super) fn encode(&self) -> String {
        let word =
            |(name, value): (&str, &str)| format!(" {PREFIX}{name}={}", encode(value.as_bytes()));
        self.iter().map(word).collect()
    }

    /// Those among the pairs of a line; none where one is wrong.
    pub(super) fn parse(pairs: &[(&str, &str)]) -> Option<Labels> {
        let labels =
            pairs.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
        let label =
            |(name, value): (&str, &&str)| Some((name.to_string(), decode_text(value.as_bytes())?));
        labels.map(label).collect::<Option<_>>().map(Labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_label_is_said() {
        let read =
            |said: &[&str]| Labels::read(&said.iter().map(ToString::to_string).collect::<Vec<_>>());
        let labels = read(&["application=shop", "version=1 =é", "x="]).expect("labels");
        assert_eq!(labels.get("version"), Some("1 =é"));
        assert_eq!((labels.get("x"), labels.get("y")), (Some(""), None));
        let line = labels.encode();
        assert_eq!(line, " label.application=shop label.version=1%20%3D%C3%A9 label.x=");
        let pairs: Vec<(&str, &str)> =
            line.trim().split(' ').filter_map(|word| word.split_once('=')).collect();
        assert_eq!(Labels::parse(&pairs), Some(labels));
        assert_eq!(Labels::parse(&[("label.a", "%zz")]), None);
        let long = format!("a={}", " ".repeat(1400));
        let many: Vec<String> = (0..17).map(|number| format!("a{number}=b")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (said, reason) in [
            (&["a"][..], "a: not NAME=VALUE"),
            (&["A=b"], "A=b: a name has small letters, digits and -"),
            (&["=b"], "=b: a name has small letters, digits and -"),
            (&["a=b", "a=c"], "a: given twice"),
            (&[&long], "4209 bytes in all, 4096 at most"),
            (&many, "16 at most"),
        ] {
            assert_eq!(read(said), Err(reason.to_string()));
        }
        assert!(read(&many[..16]).is_ok());
    }
}
