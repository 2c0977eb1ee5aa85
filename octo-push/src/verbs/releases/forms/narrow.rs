//! For terminals that the whole table doesn't fit: fewer columns, and the rest below its row.

use super::grid::Cell;
use crate::verbs::releases::row::TargetRow;
use octo_core::base::cli::terminal::columns_of;

/// What stays beside the target.
pub(super) const COLUMNS: [(&str, Cell); 6] = [
    ("TARGET", |row| row.target.clone()),
    ("APP", |row| row.shown("application")),
    ("VERSION", |row| row.shown("version")),
    ("SINCE", |row| minute(&row.shown("since"))),
    ("BY", |row| row.shown("by")),
    ("", marks),
];

/// The lines below a row: `head: text`, wrapped.
pub(super) fn notes(notes: &[(&str, Cell)], row: &TargetRow, columns: usize) -> String {
    let said = notes.iter().map(|(head, cell)| (head, cell(row)));
    said.filter(|(_, text)| text != "-")
        .map(|(head, text)| wrapped(&format!("{}: {text}", head.to_lowercase()), columns))
        .collect()
}

fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = String::new();
    let mut line = "   ".to_string();
    for word in text.split(' ') {
        if !line.trim().is_empty() && columns_of(&line) + 1 + columns_of(word) > columns {
            lines.push_str(&line);
            lines.push('\n');
            line = "     ".to_string();
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

/// What a row is marked with.
pub(super) fn marks(row: &TargetRow) -> String {
    row.marks.iter().map(|mark| mark.word()).collect::<Vec<_>>().join(",")
}

/// A time, for people.
fn minute(time: &str) -> String {
    time.chars().take(16).collect::<String>().replace('T', " ")
}
