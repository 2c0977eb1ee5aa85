//! Lines between which an address chooses that may be a lie.
//!
//! The address of a pusher is the listener's word. Where the listener is another user
//! than octo-exec it can say any address, and so pick the line of a pusher that grants
//! most: there all lines that an address chooses between must grant the same. A single
//! line needs no such rule, nor do lines of which time alone chooses.

use super::{Line, Options, Trust};
use crate::base::problem::Problem;
use crate::base::thumbprint::Thumbprint;
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

impl Trust {
    /// Two lines of this thumbprint that grant otherwise, and of which at this time the
    /// address alone says which decides: the first one, and the next one unlike it.
    pub fn address_decides(&self, thumbprint: Thumbprint, at: &Zoned) -> Option<(&Line, &Line)> {
        decided_by_address(self.of(thumbprint), at).pop()
    }

    /// What [`Trust::address_decides`] finds, as a problem of the second line, once for
    /// each thumbprint, in the order of the file.
    pub fn addresses_decide(&self, at: &Zoned) -> Vec<Problem> {
        let pairs = decided_by_address(self.lines.iter(), at).into_iter();
        let problem = |(first, other): (&Line, &Line)| {
            let reason = format!(
                "line {} grants otherwise, and only the address chooses: that is the word of the \
                 listener, which is another user",
                first.number
            );
            Problem::new(&self.path, other.number, other.text.as_bytes(), reason)
        };
        pairs.map(problem).collect()
    }
}

/// The first pair of each thumbprint. A line costs as much as its networks: a file may
/// have thousands of one thumbprint.
fn decided_by_address<'a>(
    lines: impl Iterator<Item = &'a Line>,
    at: &Zoned,
) -> Vec<(&'a Line, &'a Line)> {
    let today = at.with_time_zone(TimeZone::UTC).date();
    let holding = |line: &&Line| line.options.expires.is_none_or(|last| today <= last);
    let lines: Vec<&Line> = lines.filter(holding).collect();
    // At one time, an older line is before a younger one however soon it expires.
    let timeless = lines.iter().map(|line| {
        let options = Options { expires: None, ..line.options.clone() };
        Line { options, ..(*line).clone() }
    });
    let timeless = Trust { path: PathBuf::new(), lines: timeless.collect() };
    let never: HashSet<usize> = timeless.unreachable().iter().map(|u| u.line.number).collect();
    let mut firsts: HashMap<Thumbprint, usize> = HashMap::new();
    let mut told = HashSet::new();
    let mut pairs = Vec::new();
    for (index, line) in timeless.lines.iter().enumerate() {
        if never.contains(&line.number) {
            continue;
        }
        let first = *firsts.entry(line.thumbprint).or_insert(index);
        if !grant_the_same(&timeless.lines[first], line) && told.insert(line.thumbprint) {
            pairs.push((lines[first], lines[index]));
        }
    }
    pairs
}

/// Do two lines say the same but for their conditions? A window is none: outside of it
/// the line refuses, and no other is asked.
fn grant_the_same(one: &Line, other: &Line) -> bool {
    let conditions = Options { from: None, expires: None, ..one.options.clone() };
    one.name == other.name
        && conditions == Options { from: None, expires: None, ..other.options.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn trust(lines: &[&str]) -> Trust {
        let print = |seed: char| Thumbprint::of_certificate(seed.to_string().as_bytes());
        let text: String = lines
            .iter()
            .map(|line| format!("{}{}\n", print(line.as_bytes()[0].into()), &line[1..]))
            .collect();
        Trust::parse(Path::new("t"), text.as_bytes()).expect("sound")
    }

    fn found(lines: &[&str]) -> Option<(usize, usize)> {
        let trust = trust(lines);
        let at = "2027-06-30T12:00:00Z[UTC]".parse().expect("a time");
        let pair = trust.address_decides(trust.lines[0].thumbprint, &at)?;
        Some((pair.0.number, pair.1.number))
    }

    #[test]
    fn what_grants_otherwise_may_not_hang_on_an_address() {
        for lines in [
            ["a ci from=10.0.0.0/8 sudo", "a ci"],
            ["a ci from=10.0.0.0/8", "a ci from=11.0.0.0/8 sudo"],
            ["a ci from=10.1.0.0/16", "a ci from=10.0.0.0/8 window=22:00-05:00"],
            ["a ci from=10.0.0.0/8", "a other"],
            ["a ci from=10.0.0.0/8", "a ci allow=status"],
            ["a ci from=10.0.0.0/8 set=A=1", "a ci set=A=2"],
            // The last one is for who has no address.
            ["a ci from=0.0.0.0/0,::/0 sudo", "a ci"],
            // Today both hold, however soon one of them expires.
            ["a ci from=10.0.0.0/8 expires=2027-06-30 sudo", "a ci"],
            ["a ci from=10.0.0.0/8", "a ci expires=2027-06-30 sudo"],
        ] {
            assert_eq!(found(&lines), Some((1, 2)), "{lines:?}");
        }
        let later = ["a ci from=10.0.0.0/8", "a ci from=11.0.0.0/8", "b ci sudo", "a ci sudo"];
        assert_eq!(found(&later), Some((1, 4)));
    }

    #[test]
    fn what_an_address_does_not_choose_holds() {
        for lines in [
            &["a ci from=10.0.0.0/8 sudo"][..],
            &["a ci from=10.0.0.0/8 sudo", "b ci"],
            &["a ci from=10.0.0.0/8 sudo", "a ci from=11.0.0.0/8 sudo", "a ci sudo"],
            &["a ci from=10.0.0.0/8 expires=2027-06-30", "a ci"],
            // The other one never decides.
            &["a ci", "a ci from=10.0.0.0/8 sudo"],
            &["a ci from=10.0.0.0/8", "a ci from=10.1.0.0/16 sudo"],
            // Time chooses.
            &["a ci expires=2027-06-30 sudo", "a ci"],
            &["a ci expires=2027-06-30 sudo", "a ci from=10.0.0.0/8"],
            &["a ci expires=2027-06-29 from=10.0.0.0/8 sudo", "a ci"],
        ] {
            assert_eq!(found(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn each_thumbprint_is_told_once_with_the_line_unlike_its_first() {
        let lines = [
            "a ci from=10.0.0.0/8",
            "b ci from=10.0.0.0/8",
            "b ci",
            "a ci from=11.0.0.0/8 sudo",
            "a ci hold",
            "c ci from=10.0.0.0/8",
            "c ci hold",
        ];
        let at = Zoned::now();
        let problems = trust(&lines).addresses_decide(&at);
        let headings: Vec<String> = problems.iter().map(Problem::heading).collect();
        assert_eq!(headings.len(), 2, "{headings:#?}");
        assert!(headings[0].starts_with("t:4: line 1 grants otherwise, "), "{}", headings[0]);
        assert!(headings[1].starts_with("t:7: line 6 grants otherwise, "), "{}", headings[1]);
    }

    /// As many as a file can have: pairs would be millions.
    #[test]
    fn thousands_of_lines_of_one_key_cost_little() {
        let lines: Vec<String> =
            (0..8000).map(|n| format!("a ci from=10.{}.{}.0/24", n / 250, n % 250)).collect();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.push("a ci sudo");
        let begun = std::time::Instant::now();
        assert_eq!(found(&lines), Some((1, 8001)));
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
}
