//! For Prometheus: the text format of its textfile collector.

use super::marks::{Mark, TargetRow};
use octo_core::base::digest::Digest;
use std::fmt::Write;

/// A metric family: its name and what it says.
const UP: (&str, &str) = ("octo_up", "Whether the target answered.");
const RELEASE: (&str, &str) = ("octo_release_info", "The release that a target runs.");
const MARKED: (&str, &str) =
    ("octo_release_marked", "Whether it drifts or its last deployment failed.");
const CHECKED: (&str, &str) = ("octo_check_timestamp_seconds", "When this was asked.");

/// The file; `now` in seconds since 1970.
pub(super) fn text(rows: &[TargetRow], now: i64) -> String {
    let mut text = String::new();
    let mut targets: Vec<(&str, bool)> =
        rows.iter().map(|row| (row.target.as_str(), row.mark != Some(Mark::Unknown))).collect();
    targets.sort_unstable();
    targets.dedup_by_key(|(target, _)| *target);
    family(&mut text, UP);
    for (target, up) in targets {
        sample(&mut text, UP, &[("target", target)], i64::from(up));
    }
    family(&mut text, RELEASE);
    for (row, release) in rows.iter().filter_map(|row| Some((row, row.release()?))) {
        let labels = [
            ("target", row.target.as_str()),
            ("application", &release.application),
            ("version", release.version.as_deref().unwrap_or("-")),
            ("sha256", &release.sha256.as_ref().map_or("-".into(), Digest::to_string)),
        ];
        sample(&mut text, RELEASE, &labels, 1);
    }
    family(&mut text, MARKED);
    for (row, release) in rows.iter().filter_map(|row| Some((row, row.release()?))) {
        let labels = [("target", row.target.as_str()), ("application", &release.application)];
        sample(&mut text, MARKED, &labels, i64::from(row.mark.is_some()));
    }
    family(&mut text, CHECKED);
    sample(&mut text, CHECKED, &[], now);
    text
}

fn family(text: &mut String, (name, help): (&str, &str)) {
    // Writing to a String can't fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}

fn sample(text: &mut String, (name, _): (&str, &str), labels: &[(&str, &str)], value: i64) {
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
    use super::super::marks::{marked, tests::states};
    use super::*;

    #[test]
    fn families_in_one_piece() {
        let rows = marked(states(&["away no", "web1 shop 1.1 a 1 failed", "web1 api 2 b 1 ok"]));
        let (one, other) = ("a".repeat(64), "b".repeat(64));
        let expected = format!(
            "\
# HELP octo_up Whether the target answered.
# TYPE octo_up gauge
octo_up{{target=\"away\"}} 0
octo_up{{target=\"web1\"}} 1
# HELP octo_release_info The release that a target runs.
# TYPE octo_release_info gauge
octo_release_info{{target=\"web1\",application=\"api\",version=\"2\",sha256=\"{other}\"}} 1
octo_release_info{{target=\"web1\",application=\"shop\",version=\"1.1\",sha256=\"{one}\"}} 1
# HELP octo_release_marked Whether it drifts or its last deployment failed.
# TYPE octo_release_marked gauge
octo_release_marked{{target=\"web1\",application=\"api\"}} 0
octo_release_marked{{target=\"web1\",application=\"shop\"}} 1
# HELP octo_check_timestamp_seconds When this was asked.
# TYPE octo_check_timestamp_seconds gauge
octo_check_timestamp_seconds 5
"
        );
        assert_eq!(text(&rows, 5), expected);
        assert_eq!(escaped("x\",forged=\"\\\n"), "x\\\",forged=\\\"\\\\\\n");
    }
}
