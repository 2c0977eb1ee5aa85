//! The verbs of a tool: one row each, from which its dispatch, its help and the
//! refusal of other words follow.
//!
//! Options that all verbs share may stand before the verb or behind it: nobody
//! remembers which side.

use super::options::{OptionGroup, Order, Said, dashed, parse, places};
use super::tool::Tool;
use crate::base::error::Result;
use crate::base::nearest::nearest;
use crate::base::paths::Places;
use getopts::Matches;
use std::ptr;

/// A verb of a tool; `F` is what does it.
#[derive(Debug)]
pub struct VerbRow<F: 'static> {
    /// The word that people type.
    pub word: &'static str,
    /// Its arguments, for `--help`.
    pub arguments: &'static str,
    /// What it does, for `--help`.
    pub help: &'static str,
    /// All options that it takes, but for those that every tool has.
    pub options: &'static [&'static OptionGroup],
    /// Where they may stand.
    pub order: Order,
    /// What does it.
    pub run: F,
}

/// A verb that needs what was said and the places, nothing else.
pub type PlainVerb = VerbRow<fn(&Said, &Places) -> Result<u8>>;

/// A verb with its arguments and what it does, both for `--help`; what [`VerbRow`]'s
/// functions add makes the row whole.
pub const fn verb(word: &'static str, arguments: &'static str, help: &'static str) -> VerbRow<()> {
    VerbRow { word, arguments, help, options: &[], order: Order::Anywhere, run: () }
}

impl VerbRow<()> {
    /// With options of these groups.
    pub const fn takes(self, options: &'static [&'static OptionGroup]) -> VerbRow<()> {
        VerbRow { options, ..self }
    }

    /// With options before its arguments only.
    pub const fn options_first(self) -> VerbRow<()> {
        VerbRow { order: Order::BeforeArguments, ..self }
    }

    /// Done by this.
    pub const fn runs<F>(self, run: F) -> VerbRow<F> {
        let VerbRow { word, arguments, help, options, order, run: () } = self;
        VerbRow { word, arguments, help, options, order, run }
    }
}

/// A command line up to its verb.
#[derive(Debug)]
pub struct Front<'a> {
    tool: &'a Tool,
    shared: &'static [&'static OptionGroup],
    words: &'a [String],
    before: Matches,
}

impl<'a> Front<'a> {
    /// Reads what stands before the verb: options of these groups, and those that
    /// every tool has. `None` where `--help` or `--version` was answered.
    ///
    /// # Errors
    /// As [`Tool::said`].
    pub fn read(
        tool: &'a Tool,
        shared: &'static [&'static OptionGroup],
        words: &'a [String],
    ) -> Result<Option<Front<'a>>> {
        let before = parse(tool, "", shared, words, Order::BeforeArguments)?;
        Ok(before.map(|before| Front { tool, shared, words, before }))
    }

    /// Where among the words the verb stands: `-t run` is none.
    pub fn position(&self) -> usize {
        self.words.len() - self.before.free.len()
    }

    /// The row of its verb.
    ///
    /// # Errors
    /// Exit 64, with the nearest word, or all of them where there is none.
    pub fn verb<F>(&self, verbs: &'static [VerbRow<F>]) -> Result<&'static VerbRow<F>> {
        let Some(word) = self.before.free.first() else {
            let words: Vec<&str> = verbs.iter().map(|row| row.word).collect();
            return Err(self.tool.misuse(format!("which verb? {}", words.join(", "))));
        };
        if let Some(row) = verbs.iter().find(|row| row.word == word) {
            return Ok(row);
        }
        let meant = nearest(word, verbs.iter().map(|row| row.word));
        let meant = meant.map(|meant| format!("{} {meant} is one", self.tool.name));
        Err(self.tool.misspelt(format!("{word}: no such verb"), meant))
    }

    /// Reads what stands behind the verb; `None` as above.
    ///
    /// # Errors
    /// As [`Tool::said`]; exit 64 for an option before the verb that is none of its.
    pub fn said<F>(self, verb: &VerbRow<F>) -> Result<Option<Said<'a>>> {
        let takes = |name: &str| verb.options.iter().any(|group| group.has(name));
        for row in self.shared.iter().flat_map(|group| group.rows) {
            if self.before.opt_present(row.name()) && !takes(row.name()) {
                let option = dashed(row.name());
                return Err(self.tool.misuse(format!("{}: {option}: no such option", verb.word)));
            }
        }
        let behind = &self.words[self.position() + 1..];
        let behind = parse(self.tool, verb.word, verb.options, behind, verb.order)?;
        let sides = |behind| vec![self.before, behind];
        Ok(behind.map(|b| Said::new(self.tool, (verb.word, verb.arguments), sides(b))))
    }

    /// Finds its verb and does it.
    ///
    /// # Errors
    /// As above and [`places`]', and the verb's.
    pub fn call(self, verbs: &'static [PlainVerb]) -> Result<u8> {
        let verb = self.verb(verbs)?;
        let Some(said) = self.said(verb)? else { return Ok(0) };
        (verb.run)(&said, &places(&said)?)
    }
}

/// Finds the verb of a command line and does it.
///
/// # Errors
/// As [`Front`]'s.
pub fn call(
    tool: &Tool,
    shared: &'static [&'static OptionGroup],
    words: &[String],
    verbs: &'static [PlainVerb],
) -> Result<u8> {
    let Some(front) = Front::read(tool, shared, words)? else { return Ok(0) };
    front.call(verbs)
}

/// The verbs for [`super::help::Help`].
pub fn listed<F>(verbs: &'static [VerbRow<F>]) -> Vec<(String, &'static str)> {
    let spelled =
        |row: &VerbRow<F>| format!("{} {}", row.word, row.arguments).trim_end().to_string();
    verbs.iter().map(|row| (spelled(row), row.help)).collect()
}

/// All options for [`super::help::Help`], those that verbs share once.
pub fn groups<F>(verbs: &'static [VerbRow<F>]) -> Vec<&'static OptionGroup> {
    let mut groups: Vec<&OptionGroup> = Vec::new();
    for group in verbs.iter().flat_map(|row| row.options).copied() {
        if !groups.iter().any(|known| ptr::eq(*known, group)) {
            groups.push(group);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cli::options::{flag, value};

    const TOOL: Tool = Tool { name: "x", help: String::new };
    static WHICH: OptionGroup =
        OptionGroup { title: "which", rows: &[value("t", "target", "SELECT", "")] };
    static STEPS: OptionGroup =
        OptionGroup { title: "steps", rows: &[flag("", "canary", ""), flag("q", "quiet", "")] };
    static SHARED: &[&OptionGroup] = &[&WHICH, &STEPS];
    static VERBS: [VerbRow<()>; 2] = [
        verb("run", "SCRIPT", "").options_first().takes(&[&WHICH, &STEPS]),
        verb("status", "", "").takes(&[&WHICH]),
    ];

    fn read(line: &str) -> Result<(&'static str, Option<String>, Vec<String>)> {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        let front = Front::read(&TOOL, SHARED, &words)?.expect("no --help");
        let verb = front.verb(&VERBS)?;
        let said = front.said(verb)?.expect("no --help");
        Ok((verb.word, said.one("target")?, said.arguments().to_vec()))
    }

    #[test]
    fn options_stand_on_either_side_where_the_verb_takes_them() {
        let web = || Some("web".to_string());
        for (line, expected) in [
            ("-t web status", ("status", web(), vec![])),
            ("status x -tweb y", ("status", web(), vec!["x".to_string(), "y".into()])),
            ("-q run --target=web s", ("run", web(), vec!["s".into()])),
            ("run -qt web s -t db", ("run", web(), vec!["s".into(), "-t".into(), "db".into()])),
            ("run -- -t", ("run", None, vec!["-t".into()])),
        ] {
            assert_eq!(read(line).expect(line), expected, "{line}");
        }
        assert_eq!(groups(&VERBS).len(), 2);
    }

    #[test]
    fn what_no_table_has_is_named_with_the_nearest() {
        for (line, said, hint) in [
            ("--targt web status", "--targt: no such option", "--target is one"),
            ("status --targe web", "status: --targe: no such option", "--target is one"),
            ("--canary status", "status: --canary: no such option", "x --help"),
            ("status --canary", "status: --canary: no such option", "x --help"),
            ("status -z", "status: -z: no such option", "x --help"),
            ("-t a status -t b", "status: --target: given twice", "x --help"),
            ("status -ta --target b", "status: --target: given twice", "x --help"),
            ("status -t", "status: -t: its value is missing", "x --help"),
            ("run -q=1 s", "run: -=: no such option", "x --help"),
            ("run --quiet=1 s", "run: --quiet: takes no value", "x --help"),
            ("staus", "staus: no such verb", "x status is one"),
            ("-t web", "which verb? run, status", "x --help"),
        ] {
            let error = read(line).expect_err(line);
            assert_eq!(error.message, said, "{line}");
            assert_eq!(error.hints[0], hint, "{line}");
        }
    }
}
