//! Of which releases nobody knows whether their files are as they were deployed, though
//! octo-health tried to find out: it names those that couldn't tell, and why, in a file.
//!
//! ```text
//! web1⇥/srv⇥shop⇥held by octopus, process 71, since 2026-01-31T23:59:01Z
//! ```

use super::mark::Mark;
use super::row::TargetRow;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::read_bounded;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

/// More than so many bytes are no such file.
const LARGEST: u64 = 32 << 20;
/// Why one is unverified that was to be compared, and of which nothing came.
const NEVER: &str = "nothing was compared there";

/// Which couldn't be verified, and why: by target, directory and application.
#[derive(Debug, Default)]
pub(super) struct Unverified(HashMap<[String; 3], String>);

impl Unverified {
    /// What a file says.
    ///
    /// # Errors
    /// Where it can't be read; exit 65 for a line of another form.
    pub(super) fn read(path: &Path) -> Result<Unverified> {
        let mut file = File::open(path).map_err(|error| Error::io(path, &error))?;
        let bytes = read_bounded(&mut file, path, LARGEST)?;
        Unverified::parse(&String::from_utf8_lossy(&bytes)).map_err(|line| {
            let place = format!("{}:{line}", path.display());
            Error::new(Exit::Data, place, "not TARGET, DIRECTORY, APP and WHY with tabs between")
        })
    }

    /// The number of the first line of another form is the error.
    fn parse(text: &str) -> std::result::Result<Unverified, usize> {
        let mut known = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let fields: Vec<&str> = line.splitn(4, '\t').collect();
            let [target, base, application, why] = fields[..] else { return Err(index + 1) };
            known.insert([target, base, application].map(String::from), printable(why.as_bytes()));
        }
        Ok(Unverified(known))
    }

    /// Marks those rows of which it isn't known, in which they say why.
    pub(super) fn mark(&self, rows: &mut [TargetRow]) {
        for row in rows {
            row.unverified = self.why(row);
            if row.unverified.is_some() {
                row.marks.push(Mark::Unverified);
                row.marks.sort_unstable();
            }
        }
    }

    fn why(&self, row: &TargetRow) -> Option<String> {
        if !row.state.has_told() {
            return row.message.clone();
        }
        // Where nothing is current there is nothing to compare.
        let release = row.release.as_ref().filter(|release| release.get("release").is_some())?;
        let place = [row.target.clone(), release.shown("base"), release.application.clone()];
        match self.0.get(&place) {
            Some(why) => Some(why.clone()),
            None => release.get("verified").is_none().then(|| NEVER.to_string()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::marking::tests::rows;
    use super::*;

    /// These rows, marked; of web1's shop it is said that it couldn't be verified.
    pub(in super::super) fn verified(lines: &[&str]) -> Vec<TargetRow> {
        let mut rows = rows(lines);
        let unverified = Unverified::parse("web1\t/srv\tshop\tno | \u{1b}manifest\n");
        unverified.expect("a line").mark(&mut rows);
        rows
    }

    #[test]
    fn what_could_not_be_verified_says_why() {
        let lines = [
            "away !unreachable no answer",
            "web1 application=shop verified=2026-01-01T00:00:00Z changed=1",
            "web2 application=shop verified=2026-01-01T00:00:00Z changed=0",
            "web3 application=shop",
            "web4 application=shop release= result=",
            "web5 application=shop base= user= release= number= result= \
             frozen-until=2027-01-01T00:00:00Z",
            "web6",
        ];
        let said: Vec<(String, String)> = verified(&lines)
            .iter()
            .map(|row| {
                let words: Vec<&str> = row.marks.iter().map(|mark| mark.word()).collect();
                let why = row.unverified.clone().unwrap_or_default();
                (format!("{} {}", row.target, words.join(",")), why)
            })
            .collect();
        let expected = [
            ("away unreachable,unverified", "no answer"),
            ("web6 ", ""),
            ("web1 changed,unverified", "no | \\x1bmanifest"),
            ("web2 ", ""),
            ("web3 unverified", NEVER),
            ("web4 ", ""),
            ("web5 frozen", ""),
        ];
        assert_eq!(said, expected.map(|(marked, why)| (marked.to_string(), why.to_string())));
    }

    #[test]
    fn a_line_of_another_form_is_named() {
        for (text, line) in [("a\tb\tc\td\ne\tf\tg\n", 2), ("\n", 1), ("a b c d\n", 1)] {
            assert_eq!(Unverified::parse(text).expect_err(text), line);
        }
        assert!(Unverified::parse("").expect("nothing").0.is_empty());
    }
}
