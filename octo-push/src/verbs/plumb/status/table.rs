//! For people: columns.

use super::marks::{Mark, TargetRow};

const HEAD: [&str; 7] = ["APPLICATION", "TARGET", "VERSION", "SINCE", "BY", "RESULT", ""];

/// The table, with a dash for what there is not.
pub(super) fn text(rows: &[TargetRow]) -> String {
    let mut lines = vec![HEAD.map(String::from)];
    lines.extend(rows.iter().map(cells));
    let mut widths = [0; HEAD.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  "));
        text.push_str(cells.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

fn cells(row: &TargetRow) -> [String; HEAD.len()] {
    let release = row.release();
    let or_dash = |value: Option<&String>| value.map_or("-".to_string(), String::clone);
    [
        or_dash(release.map(|r| &r.application)),
        row.target.clone(),
        or_dash(release.and_then(|r| r.version.as_ref())),
        or_dash(release.and_then(|r| r.since.as_ref())),
        or_dash(release.and_then(|r| r.by.as_ref())),
        row.message().unwrap_or_else(|| or_dash(release.and_then(|r| r.result.as_ref()))),
        row.mark.map_or("", Mark::word).to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::marks::{marked, tests::states};
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = marked(states(&["away no answer", "web1 shop 1.1 a 1 failed", "web2"]));
        let expected = "\
APPLICATION  TARGET  VERSION  SINCE                 BY   RESULT
-            away    -        -                     -    no answer  unknown
-            web2    -        -                     -    -
shop         web1    1.1      2026-01-31T23:59:01Z  ada  succeeded  failed
";
        assert_eq!(text(&rows), expected);
    }
}
