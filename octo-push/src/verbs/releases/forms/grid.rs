//! Cells that stand in columns, whatever their letters take on a terminal.

use crate::verbs::releases::row::TargetRow;
use octo_core::base::cli::terminal::{columns_of, cut};
use std::collections::HashSet;

/// What a column has of a row.
pub(super) type Cell = fn(&TargetRow) -> String;

/// Between two columns.
const GAP: usize = 2;
/// What a cell has at least when it is shortened.
const LEAST: usize = 6;

/// Lines of cells, the first of which are heads.
#[derive(Debug)]
pub(super) struct Grid {
    lines: Vec<Vec<String>>,
}

impl Grid {
    pub(super) fn of(table: &[(&str, Cell)], rows: &[TargetRow]) -> Grid {
        let mut lines: Vec<Vec<String>> =
            vec![table.iter().map(|(head, _)| (*head).to_string()).collect()];
        lines.extend(rows.iter().map(|row| table.iter().map(|(_, cell)| cell(row)).collect()));
        Grid { lines }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.lines[0].len()];
        for line in &self.lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(columns_of(cell));
            }
        }
        widths
    }

    /// So many columns it takes.
    pub(super) fn width(&self) -> usize {
        let used: Vec<usize> = self.widths().into_iter().filter(|width| *width > 0).collect();
        used.iter().sum::<usize>() + GAP * used.len().saturating_sub(1)
    }

    /// Shortens cells in their middle until all fits, the widest column first, and none so that
    /// two that differ look alike; the marks, in the last column, stay whole.
    pub(super) fn shorten(&mut self, columns: usize) {
        let mut whole: HashSet<usize> = HashSet::from([self.lines[0].len() - 1]);
        let full = self.lines.clone();
        while self.width() > columns {
            let widths = self.widths();
            let can = (0..widths.len()).filter(|at| !whole.contains(at) && widths[*at] > LEAST);
            let Some(at) = can.max_by_key(|at| widths[*at]) else {
                return;
            };
            let shorter: Vec<String> =
                full.iter().map(|line| in_middle(&line[at], widths[at] - 1)).collect();
            if distinct(shorter.iter()) < distinct(full.iter().map(|line| &line[at])) {
                whole.insert(at);
                continue;
            }
            for (line, cell) in self.lines.iter_mut().zip(shorter) {
                line[at] = cell;
            }
        }
    }

    /// The lines, each with what stands below its row; `finish` has the row's number and its text.
    pub(super) fn text(
        &self,
        below: &[String],
        finish: impl Fn(usize, String) -> String,
    ) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            let cells = line.iter().zip(&widths).map(|(cell, width)| {
                format!("{cell}{}", " ".repeat(width - columns_of(cell) + GAP))
            });
            let line = cells.collect::<String>().trim_end().to_string();
            // The first line has the heads.
            text.push_str(&index.checked_sub(1).map_or(line.clone(), |row| finish(row, line)));
            text.push('\n');
            let notes = index.checked_sub(1).and_then(|row| below.get(row));
            text.push_str(notes.map_or("", String::as_str));
        }
        text
    }
}

fn distinct<'a>(cells: impl Iterator<Item = &'a String>) -> usize {
    cells.collect::<HashSet<_>>().len()
}

/// At most so wide: `~` stands for what is left out.
fn in_middle(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_string();
    }
    let head = cut(text, columns / 2 - 1);
    let mut tail = "";
    for (at, _) in text.char_indices().rev() {
        if columns_of(head) + 1 + columns_of(&text[at..]) > columns || at <= head.len() {
            break;
        }
        tail = &text[at..];
    }
    format!("{head}~{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_left_out() {
        assert_eq!(in_middle("2026.11.25-1042_3", 10), "2026~042_3");
        assert_eq!(in_middle("short", 10), "short");
        assert!(columns_of(&in_middle("中中中中中中中中", 9)) <= 9);
    }

    #[test]
    fn what_differs_never_looks_alike() {
        let of = |cells: [&str; 2]| {
            let lines = [&["HEAD", ""], &[cells[0], "x"], &[cells[1], "y"]];
            let lines = lines.iter().map(|line| line.map(String::from).to_vec()).collect();
            let mut grid = Grid { lines };
            grid.shorten(12);
            grid.lines.iter().skip(1).map(|line| line[0].clone()).collect::<Vec<_>>()
        };
        assert_eq!(of(["production-0001", "production-0002"]), ["pro~-0001", "pro~-0002"]);
        assert_ne!(of(["production-1-south", "production-2-south"])[0], of(["a", "b"])[0]);
        let middle = of(["aaaaaaaaa1bbbbbbbbb", "aaaaaaaaa2bbbbbbbbb"]);
        assert_ne!(middle[0], middle[1]);
    }
}
