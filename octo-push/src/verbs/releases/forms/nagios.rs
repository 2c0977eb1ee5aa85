//! For Nagios and its kin, by the guidelines for plugins: one line with performance data, an
//! exit status, and a line for each mark where more is asked for.

use super::counts::{Counts, targets};
use super::range::Range;
use super::table::{changed, freeze, last};
use crate::verbs::releases::mark::Mark;
use crate::verbs::releases::row::TargetRow;

/// When it is bad.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    /// How many targets with anything wrong are well.
    pub(super) warning: Range,
    /// How many of which somebody has to do something now.
    pub(super) critical: Range,
    /// Files were compared for it.
    pub(super) is_verified: bool,
}

/// The text and the exit status: 0, 1 or 2; 3 where all would be well, but for applications
/// that no target has: misspelt, they would be well for ever.
pub(super) fn verdict(
    rows: &[TargetRow],
    limits: &Thresholds,
    verbose: bool,
    missing: &[&str],
) -> (String, u8) {
    let counts = Counts::of(rows);
    let Thresholds { warning, critical, is_verified } = limits;
    let (state, code) = match () {
        () if critical.alerts(counts.bad as u64) => ("CRITICAL", 2),
        () if warning.alerts(counts.marked as u64) => ("WARNING", 1),
        () if !missing.is_empty() => ("UNKNOWN", 3),
        () => ("OK", 0),
    };
    let all = counts.targets;
    let mut text = format!("OCTO {state} - {}", targets(all));
    for (mark, count) in counts.each() {
        text += &format!(", {count} {}", mark.word());
    }
    if !missing.is_empty() {
        text += &format!(", none has {}", missing.join(" or "));
    }
    text += &format!(
        " | targets={all};;;0 marked={};{warning};;0;{all} bad={};;{critical};0;{all}",
        counts.marked, counts.bad
    );
    for mark in Mark::ALL.into_iter().filter(|mark| *is_verified || !mark.is_of_files()) {
        text += &format!(" {}={};;;0;{all}", mark.word(), counts.with(mark));
    }
    text.push('\n');
    if verbose {
        let marked = rows.iter().flat_map(|row| row.marks.iter().map(move |mark| (row, *mark)));
        text.extend(marked.map(|(row, mark)| line(row, mark) + "\n"));
    }
    (text, code)
}

fn line(row: &TargetRow, mark: Mark) -> String {
    let mut line = format!("{}: ", row.target);
    if row.release.is_some() {
        line += &format!("{} {}: ", row.shown("application"), row.shown("version"));
    }
    line += mark.word();
    let why = match mark {
        Mark::Unreachable | Mark::Unknown => row.message.clone().unwrap_or_default(),
        Mark::Stuck | Mark::Failed => last(row),
        Mark::Sick => row.shown("result"),
        Mark::Changed => changed(row),
        Mark::Unverified => row.unverified.clone().unwrap_or_default(),
        Mark::Stale => row.shown("seen"),
        Mark::Frozen => freeze(row),
        Mark::Drift => String::new(),
    };
    if !["", "-"].contains(&why.as_str()) {
        line += &format!(": {why}");
    }
    // What stands behind a bar would be performance data.
    line.replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::releases::marking::tests::rows;
    use crate::verbs::releases::unverified::tests::verified;

    fn limits(warning: &str, critical: &str) -> Thresholds {
        let range = |text| Range::parse(text).expect(text);
        Thresholds { warning: range(warning), critical: range(critical), is_verified: false }
    }

    #[test]
    fn one_line_and_an_exit_status() {
        let rows = rows(&[
            "away !unreachable no | failed=0",
            "web1 application=shop version=1.1 sha256=a last-what=deploy last-version=1.2 last-result=failed",
            "web2 application=shop version=1.1 sha256=a frozen-until=2027-01-01T00:00:00Z frozen-by=b|c frozen-why=d",
            "web3 application=shop version=1.0 sha256=b",
        ]);
        let (text, code) = verdict(&rows, &limits("0", "0"), false, &[]);
        let expected = "OCTO CRITICAL - 4 targets, 1 unreachable, 1 failed, 1 drift, 1 frozen | \
            targets=4;;;0 marked=3;0;;0;4 bad=2;;0;0;4 unreachable=1;;;0;4 stuck=0;;;0;4 \
            sick=0;;;0;4 failed=1;;;0;4 unknown=0;;;0;4 drift=1;;;0;4 stale=0;;;0;4 frozen=1;;;0;4\n";
        assert_eq!((text.as_str(), code), (expected, 2));
        let (text, _) = verdict(&rows, &limits("@3:4", "2:"), true, &[]);
        let (first, rest) = text.split_once('\n').expect("lines");
        assert!(first.contains("marked=3;@3:4;;0;4 bad=2;;2:;0;4"), "{first}");
        let expected = "away: unreachable: no / failed=0\n\
            web1: shop 1.1: failed: deploy 1.2 failed\n\
            web2: shop 1.1: frozen: until 2027-01-01T00:00:00Z by b/c: d\n\
            web3: shop 1.0: drift\n";
        assert_eq!(rest, expected);
        for (warning, critical, code) in
            [("0", "1", 2), ("0", "2", 1), ("2", "2", 1), ("3", "2", 0), ("@3:4", "@0:1", 1)]
        {
            let found = verdict(&rows, &limits(warning, critical), false, &[]).1;
            assert_eq!(found, code, "{warning} {critical}");
        }
    }

    #[test]
    fn what_was_compared_is_counted_and_has_its_reason() {
        let rows = verified(&[
            "away !unreachable no answer",
            "web1 application=shop verified=2026-01-01T00:00:00Z changed=0",
            "web2 application=shop verified=2026-01-01T00:00:00Z changed=3",
            "web3 application=shop verified=2026-01-01T00:00:00Z changed=0",
        ]);
        let limits = Thresholds { is_verified: true, ..limits("0", "1") };
        let (text, code) = verdict(&rows, &limits, true, &[]);
        let (first, rest) = text.split_once('\n').expect("lines");
        assert_eq!(code, 1);
        for part in [
            "OCTO WARNING - 4 targets, 1 unreachable, 1 changed, 2 unverified | targets=4;;;0 ",
            " marked=3;0;;0;4 bad=1;;1;0;4 ",
            " drift=0;;;0;4 changed=1;;;0;4 unverified=2;;;0;4 stale=0;;;0;4 ",
        ] {
            assert!(first.contains(part), "{part} is not in {first}");
        }
        let expected = "away: unreachable: no answer\n\
            away: unverified: no answer\n\
            web1: shop -: unverified: no / \\x1bmanifest\n\
            web2: shop -: changed: 3 files, seen 2026-01-01T00:00:00Z\n";
        assert_eq!(rest, expected);
    }

    #[test]
    fn what_is_well_or_wanted_is_no_fault() {
        for line in ["web1", "web1 application=shop frozen-until=2027-01-01T00:00:00Z"] {
            let (text, code) = verdict(&rows(&[line]), &limits("0", "0"), false, &[]);
            assert!(text.starts_with("OCTO OK - 1 target") && code == 0, "{text}");
        }
        let none = |line| verdict(&rows(&[line]), &limits("0", "0"), false, &["x", "y"]);
        let (text, code) = none("web1");
        assert!(text.starts_with("OCTO UNKNOWN - 1 target, none has x or y | "), "{text}");
        assert_eq!((code, none("web1 !unreachable z").1), (3, 2));
    }
}
