//! For people: columns.

use crate::verbs::releases::row::{State, TargetRow};
use std::collections::HashSet;

/// What a column has of a row.
type Cell = fn(&TargetRow) -> String;

/// Which columns there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Columns {
    /// What the targets offer, and where all of it is.
    pub(super) all: bool,
    /// Why a target didn't tell, where nobody else says it.
    pub(super) messages: bool,
}

/// The table, with a dash for what there is not.
pub(super) fn text(rows: &[TargetRow], columns: Columns) -> String {
    let mut table: Vec<(&str, Cell)> = vec![
        ("TARGET", |row| row.target.clone()),
        ("APPLICATION", |row| row.shown("application")),
        ("VERSION", |row| row.shown("version")),
        ("REVISION", revision),
        ("SINCE", |row| row.shown("since")),
        ("BY", |row| row.shown("by")),
    ];
    table.push(("RESULT", if columns.messages { result_or_why } else { result }));
    if rows.iter().any(|row| last(row) != "-") {
        table.push(("LAST", last));
    }
    if rows.iter().any(|row| changed(row) != "-") {
        table.push(("CHANGED", changed));
    }
    if rows.iter().any(|row| freeze(row) != "-") {
        table.push(("FREEZE", freeze));
    }
    if columns.all || has_twins(rows) {
        table.push(("BASE", |row| row.shown("base")));
        table.push(("USER", |row| row.shown("user")));
    }
    if columns.all {
        table.push(("OFFERS", offers));
    }
    table.push(("", marks));
    aligned(&table, rows)
}

fn aligned(table: &[(&str, Cell)], rows: &[TargetRow]) -> String {
    let mut lines: Vec<Vec<String>> =
        vec![table.iter().map(|(head, _)| head.to_string()).collect()];
    lines.extend(rows.iter().map(|row| table.iter().map(|(_, cell)| cell(row)).collect()));
    let mut widths = vec![0; table.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        text.push_str(cells.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

/// Is an application at several places of one target?
fn has_twins(rows: &[TargetRow]) -> bool {
    let mut seen = HashSet::new();
    let of =
        |row: &TargetRow| Some((row.target.clone(), row.release.as_ref()?.application.clone()));
    !rows.iter().filter_map(of).all(|place| seen.insert(place))
}

fn revision(row: &TargetRow) -> String {
    let revision = row.release.as_ref().and_then(|release| release.revision());
    revision.unwrap_or_else(|| "-".into())
}

fn result(row: &TargetRow) -> String {
    if row.state.has_told() { row.shown("result") } else { "-".into() }
}

fn result_or_why(row: &TargetRow) -> String {
    row.message.clone().unwrap_or_else(|| result(row))
}

/// What was tried last, where that isn't what is current.
pub(super) fn last(row: &TargetRow) -> String {
    let result = row.shown("last-result");
    if row.state != State::Answered || ["-", "succeeded"].contains(&result.as_str()) {
        return "-".into();
    }
    [row.shown("last-what"), row.shown("last-version"), result].join(" ")
}

/// How many files are not as they were deployed, and when that was seen.
pub(super) fn changed(row: &TargetRow) -> String {
    match row.release.as_ref().and_then(|release| release.changed()) {
        None | Some(0) => "-".into(),
        Some(count) => {
            let s = if count == 1 { "" } else { "s" };
            match row.shown("verified").as_str() {
                "-" => format!("{count} file{s}"),
                seen => format!("{count} file{s}, seen {seen}"),
            }
        }
    }
}

/// Until when it is frozen, by whom and why.
pub(super) fn freeze(row: &TargetRow) -> String {
    match row.shown("frozen-until").as_str() {
        "-" => "-".into(),
        until => {
            format!("until {until} by {}: {}", row.shown("frozen-by"), row.shown("frozen-why"))
        }
    }
}

fn marks(row: &TargetRow) -> String {
    row.marks.iter().map(|mark| mark.word()).collect::<Vec<_>>().join(",")
}

fn offers(row: &TargetRow) -> String {
    row.offers.as_deref().filter(|offers| !offers.is_empty()).unwrap_or("-").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::releases::marking::tests::rows;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let well =
            rows(&["web2", "web1 application=shop version=1.1 since=2026-01-31T23:59:01Z by=ada"]);
        let expected = "\
TARGET  APPLICATION  VERSION  REVISION  SINCE                 BY   RESULT
web2    -            -        -         -                     -    -
web1    shop         1.1      1#4       2026-01-31T23:59:01Z  ada  succeeded
";
        assert_eq!(text(&well, Columns::default()), expected);
        let ill = rows(&[
            "away !unreachable no answer",
            "web1 application=shop last-what=deploy last-version=1.2 last-result=failed",
            "web2 application=shop frozen-until=2027-01-01T00:00:00Z frozen-by=ann frozen-why=x",
        ]);
        let expected = "\
TARGET  APPLICATION  VERSION  REVISION  SINCE  BY  RESULT     LAST               FREEZE                                   BASE  USER  OFFERS
away    -            -        -         -      -   no answer  -                  -                                        -     -     -        unreachable
web1    shop         -        1#4       -      -   succeeded  deploy 1.2 failed  -                                        /srv  app   put,run  failed
web2    shop         -        1#4       -      -   succeeded  -                  until 2027-01-01T00:00:00Z by ann: x  /srv  app   put,run  frozen
";
        let squeeze = |text: &str| {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines().map(words).collect::<Vec<_>>()
        };
        let both = Columns { all: true, messages: true };
        assert_eq!(squeeze(&text(&ill, both)), squeeze(expected));
        assert!(!text(&ill, Columns::default()).contains("no answer"));
    }

    #[test]
    fn changed_files_have_a_column_where_there_are_any() {
        let of = |changed| {
            let rows = rows(&[&format!("web1 application=shop {changed}")]);
            let table = text(&rows, Columns::default());
            table
                .lines()
                .last()
                .expect("a row")
                .split_whitespace()
                .skip(6)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(of("changed=0 verified=2026-01-01T00:00:00Z"), "succeeded");
        assert_eq!(
            of("changed=1 verified=2026-01-01T00:00:00Z"),
            "succeeded 1 file, seen 2026-01-01T00:00:00Z changed"
        );
        assert_eq!(of("changed=2"), "succeeded 2 files changed");
    }

    #[test]
    fn twins_are_told_apart() {
        let twins = rows(&["web1 application=shop base=/a", "web1 application=shop base=/b"]);
        let text = text(&twins, Columns::default());
        assert!(text.contains("BASE") && text.contains("/a") && text.contains("/b"), "{text}");
    }
}
