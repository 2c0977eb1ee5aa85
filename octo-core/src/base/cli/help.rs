//! `--help`, laid out from the tables of verbs and options.

use super::options::{COMMON, OptionGroup, OptionRow};
use std::fmt::Write;

/// A left column that leaves no two blanks puts its text on the next line.
const COLUMN: usize = 30;

/// What `--help` says, besides what the tables say.
#[derive(Debug)]
pub struct Help {
    /// The lines behind `usage: `.
    pub usage: &'static [&'static str],
    /// What the tool does, in lines of at most 80 columns.
    pub about: &'static str,
    /// Each verb with its arguments, and what it does.
    pub verbs: Vec<(String, &'static str)>,
    /// Its options; those that every tool has follow by themselves.
    pub options: Vec<&'static OptionGroup>,
    /// What else there is to say; may be empty.
    pub notes: &'static str,
    /// Command lines that work.
    pub examples: &'static [&'static str],
}

impl Help {
    /// The text, ending in a newline.
    pub fn text(&self) -> String {
        let mut text = format!("usage: {}\n", self.usage.join("\n       "));
        paragraph(&mut text, self.about);
        if !self.verbs.is_empty() {
            text.push_str("\nverbs:\n");
            for (verb, help) in &self.verbs {
                entry(&mut text, verb, help);
            }
        }
        for group in self.options.iter().copied().chain([&COMMON]) {
            if !group.title.is_empty() {
                let _ = write!(text, "\n{}:\n", group.title);
            }
            for row in group.rows {
                entry(&mut text, &spelled(row), row.help);
            }
        }
        paragraph(&mut text, self.notes);
        text.push_str("\nexamples:\n");
        for example in self.examples {
            let _ = writeln!(text, "  {example}");
        }
        text
    }
}

fn paragraph(text: &mut String, words: &str) {
    if !words.is_empty() {
        let _ = writeln!(text, "\n{words}");
    }
}

fn entry(text: &mut String, left: &str, right: &str) {
    let left = format!("  {left}");
    if left.chars().count() + 1 < COLUMN {
        let _ = writeln!(text, "{left:<COLUMN$}{right}");
    } else {
        let _ = writeln!(text, "{left}\n{:COLUMN$}{right}", "");
    }
}

/// `-t, --target SELECT`
fn spelled(row: &OptionRow) -> String {
    let names = match (row.short, row.long) {
        ("", long) => format!("    --{long}"),
        (short, "") => format!("-{short}"),
        (short, long) => format!("-{short}, --{long}"),
    };
    match row.value {
        Some(value) => format!("{names} {value}"),
        None => names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cli::options::{flag, values};

    #[test]
    fn the_tables_are_laid_out() {
        static MORE: OptionGroup = OptionGroup { title: "", rows: &[flag("m", "", "more")] };
        static GROUP: OptionGroup = OptionGroup {
            title: "which",
            rows: &[
                values("t", "target", "SELECT", "names or tags"),
                flag("", "a-name-that-is-long-indeed", "wraps"),
            ],
        };
        let help = Help {
            usage: &["x VERB", "x --y"],
            about: "Does.",
            verbs: vec![("put FILE...".into(), "puts")],
            options: vec![&GROUP, &MORE],
            notes: "",
            examples: &["x put a"],
        };
        let text = help.text();
        for part in [
            "usage: x VERB\n       x --y\n\nDoes.\n\nverbs:\n  put FILE...                 puts\n",
            "\nwhich:\n  -t, --target SELECT         names or tags\n",
            "\n      --a-name-that-is-long-indeed\n                              wraps\n",
            "wraps\n  -m                          more\n\neverywhere:\n      --config DIR            instead of",
            "\nexamples:\n  x put a\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}
