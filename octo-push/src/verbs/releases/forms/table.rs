//! For people: columns.

use super::grid::{Cell, Grid};
use super::narrow::{self, marks};
use crate::verbs::releases::mark::Mark;
use crate::verbs::releases::row::{State, TargetRow};
use octo_core::base::cli::terminal::Terminal;
use std::collections::HashSet;

/// Which columns there are, and where they are shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Columns {
    /// What the targets offer, and where all of it is.
    pub(super) all: bool,
    /// Why a target didn't tell, where nobody else says it.
    pub(super) messages: bool,
    /// What a person looks at; a pipe gets all of it, a line a row.
    pub(super) terminal: Option<Terminal>,
}

/// The table, with a dash for what there is not.
pub(super) fn text(rows: &[TargetRow], columns: Columns) -> String {
    let result: Cell = if columns.messages { result_or_why } else { result };
    let mut table: Vec<(&str, Cell)> = vec![
        ("TARGET", |row| row.target.clone()),
        ("APPLICATION", |row| row.shown("application")),
        ("VERSION", |row| row.shown("version")),
        ("REVISION", revision),
        ("SINCE", |row| row.shown("since")),
        ("BY", |row| row.shown("by")),
        ("RESULT", result),
    ];
    let mut notes: Vec<(&str, Cell)> = Vec::new();
    for (head, cell) in [("LAST", last as Cell), ("CHANGED", changed), ("FREEZE", freeze)] {
        if rows.iter().any(|row| cell(row) != "-") {
            notes.push((head, cell));
        }
    }
    if columns.all || has_twins(rows) {
        notes.push(("BASE", |row| row.shown("base")));
        notes.push(("USER", |row| row.shown("user")));
    }
    if columns.all {
        notes.push(("OFFERS", offers));
    }
    table.extend(&notes);
    table.push(("", marks));
    let wide = Grid::of(&table, rows);
    let Some(terminal) = columns.terminal else {
        return wide.text(&[], |_, text| text);
    };
    let colour = |row: usize, text: String| match rows.get(row) {
        Some(row) if terminal.colours => coloured(row, &text),
        _ => text,
    };
    if wide.width() <= terminal.columns {
        return wide.text(&[], colour);
    }
    notes.insert(0, ("REVISION", revision_where_it_tells));
    notes.insert(1, ("RESULT", if columns.messages { ill_result_or_why } else { ill_result }));
    let below: Vec<String> =
        rows.iter().map(|row| narrow::notes(&notes, row, terminal.columns)).collect();
    let mut grid = Grid::of(&narrow::COLUMNS, rows);
    grid.shorten(terminal.columns);
    grid.text(&below, colour)
}

/// The marks of a row, which stand at its end, in their colours.
fn coloured(row: &TargetRow, text: &str) -> String {
    let words = marks(row);
    match text.strip_suffix(&words) {
        Some(before) if !words.is_empty() => {
            let colour = |mark: &Mark| match mark {
                Mark::Frozen => 36,
                mark if mark.is_bad() => 31,
                _ => 33,
            };
            let word = |mark: &Mark| format!("\x1b[{}m{}\x1b[0m", colour(mark), mark.word());
            format!("{before}{}", row.marks.iter().map(word).collect::<Vec<_>>().join(","))
        }
        _ => text.to_string(),
    }
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

/// Of rows that have a mark: others run what the rest of the targets does.
fn revision_where_it_tells(row: &TargetRow) -> String {
    if row.marks.is_empty() { "-".into() } else { revision(row) }
}

fn ill_result(row: &TargetRow) -> String {
    result(row).replace("succeeded", "-")
}

fn ill_result_or_why(row: &TargetRow) -> String {
    row.message.clone().unwrap_or_else(|| ill_result(row))
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

fn offers(row: &TargetRow) -> String {
    row.offers.as_deref().filter(|offers| !offers.is_empty()).unwrap_or("-").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::releases::marking::tests::rows;
    use octo_core::base::cli::terminal::columns_of;

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
        let both = Columns { all: true, messages: true, terminal: None };
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

    /// As a terminal of so many columns shows it.
    fn shown(rows: &[TargetRow], columns: usize, colours: bool) -> String {
        let terminal = Some(Terminal { columns, colours });
        text(rows, Columns { all: false, messages: true, terminal })
    }

    #[test]
    fn a_terminal_gets_what_fits() {
        let ill = rows(&[
            "production-1 application=shop version=2026.11.25-1042_3 since=2026-11-25T10:42:01Z by=ada",
            "production-2 !unreachable no answer within 10 seconds, and this goes on for quite a while",
            "staging-0001 application=shop version=2026.11.25-1042_3 since=2026-11-25T10:42:01Z by=ada \
             frozen-until=2027-01-01T00:00:00Z frozen-by=ann frozen-why=inventory",
        ]);
        let text = shown(&ill, 80, false);
        let expected = "\
TARGET        APP   VERSION            SINCE             BY
production-2  -     -                  -                 -    unreachable
    result: no answer within 10 seconds, and this goes on for quite a while
production-1  shop  2026.11.25-1042_3  2026-11-25 10:42  ada
staging-0001  shop  2026.11.25-1042_3  2026-11-25 10:42  ada  frozen
    revision: 1#4
    freeze: until 2027-01-01T00:00:00Z by ann: inventory
";
        assert_eq!(text, expected);
        let narrow = shown(&ill, 62, true);
        assert!(narrow.contains("\x1b[31munreachable\x1b[0m\n"), "{narrow}");
        assert!(narrow.contains("\x1b[36mfrozen\x1b[0m\n"), "{narrow}");
        let plain = narrow.replace("\x1b[31m", "").replace("\x1b[36m", "").replace("\x1b[0m", "");
        assert!(plain.lines().all(|line| columns_of(line) <= 62), "{plain}");
        assert!(plain.contains("production-1") && plain.contains("production-2"), "{plain}");
        assert!(!shown(&ill, 240, false).contains("revision: "));
        assert!(shown(&ill, 240, true).contains("\x1b[31munreachable\x1b[0m\n"));
    }

    #[test]
    fn twins_are_told_apart() {
        let twins = rows(&["web1 application=shop base=/a", "web1 application=shop base=/b"]);
        let text = text(&twins, Columns::default());
        assert!(text.contains("BASE") && text.contains("/a") && text.contains("/b"), "{text}");
    }
}
