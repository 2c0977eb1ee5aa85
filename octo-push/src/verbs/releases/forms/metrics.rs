//! For Prometheus: the text format of its textfile collector.

use crate::verbs::releases::mark::Mark;
use crate::verbs::releases::release::Release;
use crate::verbs::releases::row::TargetRow;
use octo_core::base::digest::Digest;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A metric family: its name and what it says.
type Family = (&'static str, &'static str);

const UP: Family = ("octo_up", "Whether the target told what it runs.");
const UNREACHABLE: Family = ("octo_unreachable", "Whether nothing answers there.");
const RELEASE: Family = ("octo_release_info", "The release that a target runs.");
const MARKED: Family = ("octo_release_marked", "Whether anything is wrong with a release.");
const FILES: Family = ("octo_changed_files", "How many files are not as they were deployed.");
const VERIFIED: Family = ("octo_verified_timestamp_seconds", "When those files were compared.");
const CHECKED: Family = ("octo_check_timestamp_seconds", "When this was asked.");

/// Each mark that a release can have has a family of its own.
const MARKS: [(Mark, Family); 7] = [
    (Mark::Stuck, ("octo_release_stuck", "Whether the way back failed.")),
    (Mark::Sick, ("octo_release_sick", "Whether what is current is no good.")),
    (Mark::Failed, ("octo_release_failed", "Whether the last attempt failed.")),
    (Mark::Drift, ("octo_release_drift", "Whether it is another one than on most targets.")),
    (Mark::Unverified, ("octo_release_unverified", "Whether its files couldn't be compared.")),
    (Mark::Stale, ("octo_release_stale", "Whether it may be another one by now.")),
    (Mark::Frozen, ("octo_release_frozen", "Whether it is not to be deployed for a while.")),
];

/// The file; `now` in seconds since 1970. Were files compared for it?
pub(crate) fn text(rows: &[TargetRow], is_verified: bool, now: i64) -> String {
    let mut text = String::new();
    let targets: BTreeMap<&str, &TargetRow> =
        rows.iter().map(|row| (row.target.as_str(), row)).collect();
    family(&mut text, UP);
    for (target, row) in &targets {
        sample(&mut text, UP, &[("target", target)], i64::from(row.state.has_told()));
    }
    family(&mut text, UNREACHABLE);
    for (target, row) in &targets {
        let is_so = row.marks.contains(&Mark::Unreachable);
        sample(&mut text, UNREACHABLE, &[("target", target)], i64::from(is_so));
    }
    let releases: Vec<(&TargetRow, &Release)> =
        rows.iter().filter_map(|row| Some((row, row.release.as_ref()?))).collect();
    family(&mut text, RELEASE);
    for (row, release) in releases.iter().filter(|(_, release)| release.is_seen()) {
        let sha256 = release.sha256().as_ref().map_or("-".into(), Digest::to_string);
        let version = release.shown("version");
        let labels = [&of(row, release)[..], &[("version", &version), ("sha256", &sha256)]];
        sample(&mut text, RELEASE, &labels.concat(), 1);
    }
    let is_wrong = |row: &TargetRow| row.marks.iter().any(|mark| mark.is_fault());
    of_releases(&mut text, MARKED, &releases, is_wrong);
    for (mark, of_mark) in MARKS {
        // Whether they could be compared isn't known where nobody tried.
        if mark.is_of_files() && !is_verified {
            continue;
        }
        of_releases(&mut text, of_mark, &releases, |row| row.marks.contains(&mark));
    }
    known(&mut text, FILES, &releases, |release| i64::try_from(release.changed()?).ok());
    known(&mut text, VERIFIED, &releases, |release| {
        release.get("verified")?.parse().ok().map(jiff::Timestamp::as_second)
    });
    family(&mut text, CHECKED);
    sample(&mut text, CHECKED, &[], now);
    text
}

/// A family that has a series for each release.
fn of_releases(
    text: &mut String,
    of: Family,
    releases: &[(&TargetRow, &Release)],
    is_so: impl Fn(&TargetRow) -> bool,
) {
    family(text, of);
    for (row, release) in releases {
        sample(text, of, &self::of(row, release), i64::from(is_so(row)));
    }
}

/// A family that has a series for each release of which that is known.
fn known(
    text: &mut String,
    of: Family,
    releases: &[(&TargetRow, &Release)],
    value: impl Fn(&Release) -> Option<i64>,
) {
    family(text, of);
    for (row, release) in releases {
        if let Some(value) = value(release) {
            sample(text, of, &self::of(row, release), value);
        }
    }
}

/// The labels that tell a release from all others.
fn of<'a>(row: &'a TargetRow, release: &'a Release) -> [(&'static str, &'a str); 4] {
    let (application, base, user) = release.place();
    [
        ("target", &row.target),
        ("application", application),
        ("base", base.unwrap_or("-")),
        ("user", user.unwrap_or("-")),
    ]
}

fn family(text: &mut String, (name, help): Family) {
    // Writing to a String can't fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}

fn sample(text: &mut String, (name, _): Family, labels: &[(&str, &str)], value: i64) {
    text.push_str(name);
    for (index, (label, of)) in labels.iter().enumerate() {
        let open = if index == 0 { '{' } else { ',' };
        let _ = write!(text, "{open}{label}=\"{}\"", escaped(of));
    }
    text.push_str(if labels.is_empty() { "" } else { "}" });
    let _ = writeln!(text, " {value}");
}

/// A label's value: the format knows these three.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::releases::marking::tests::rows;

    #[test]
    fn families_in_one_piece() {
        let rows = rows(&[
            "away !unreachable no",
            "shut !refused no",
            "web1 application=shop version=1.1 sha256=a last-result=failed verified=2026-01-01T00:00:00Z changed=3",
            "web1 application=api base= user= release= number= result= frozen-until=2027-01-01T00:00:00Z",
        ]);
        let text = text(&rows, true, 5);
        let shop = "target=\"web1\",application=\"shop\",base=\"/srv\",user=\"app\"";
        let api = "target=\"web1\",application=\"api\",base=\"-\",user=\"-\"";
        let mut expected = String::from(
            "\
# HELP octo_up Whether the target told what it runs.
# TYPE octo_up gauge
octo_up{target=\"away\"} 0
octo_up{target=\"shut\"} 0
octo_up{target=\"web1\"} 1
# HELP octo_unreachable Whether nothing answers there.
# TYPE octo_unreachable gauge
octo_unreachable{target=\"away\"} 1
octo_unreachable{target=\"shut\"} 0
octo_unreachable{target=\"web1\"} 0
# HELP octo_release_info The release that a target runs.
# TYPE octo_release_info gauge
",
        );
        let sha256 = "a".repeat(64);
        expected += &format!("octo_release_info{{{shop},version=\"1.1\",sha256=\"{sha256}\"}} 1\n");
        let wrong = [("octo_release_marked", MARKED.1, [0, 1])];
        let marks = MARKS.map(|(mark, (name, help))| {
            (name, help, [i64::from(mark == Mark::Frozen), i64::from(mark == Mark::Failed)])
        });
        for (name, help, [of_api, of_shop]) in wrong.into_iter().chain(marks) {
            expected += &format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
            expected += &format!("{name}{{{api}}} {of_api}\n{name}{{{shop}}} {of_shop}\n");
        }
        for ((name, help), value) in [(FILES, 3), (VERIFIED, 1_767_225_600)] {
            expected += &format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
            expected += &format!("{name}{{{shop}}} {value}\n");
        }
        expected += "# HELP octo_check_timestamp_seconds When this was asked.\n\
            # TYPE octo_check_timestamp_seconds gauge\nocto_check_timestamp_seconds 5\n";
        assert_eq!(text, expected);
        assert!(!super::text(&rows, false, 5).contains("octo_release_unverified"));
        assert_eq!(escaped("x\",forged=\"\\\n"), "x\\\",forged=\\\"\\\\\\n");
    }
}
