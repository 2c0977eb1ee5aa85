//! The limits that octo-planning(7) names are those of the code.

use crate::{read, root};

const PAGE: &str = "man/octo-planning.7";

/// Units of the page; and what the words of the code are in the same.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("s", 1),
    ("min", 60),
    ("h", 3600),
    ("hours", 3600),
    ("days", 86400),
    ("KiB/s", 1 << 10),
];
const CONSTRUCTORS: [(&str, u64); 4] = [
    ("Duration::from_secs(", 1),
    ("SignedDuration::from_hours(", 3600),
    ("Duration::from_mins(", 60),
    ("", 1),
];

/// What a cell such as `4,096` or `64 MiB` says.
fn of_page(cell: &str) -> Option<u64> {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let unit = UNITS.iter().find(|(word, _)| *word == unit)?.1;
    Some(number.replace(',', "").parse::<u64>().ok()? * unit)
}

/// What an expression such as `64 << 20` or `Duration::from_secs(7 * 86400)` begins with.
fn of_code(expression: &str) -> Option<u64> {
    let (rest, unit) = CONSTRUCTORS
        .iter()
        .find_map(|(word, unit)| Some((expression.trim().strip_prefix(word)?, unit)))?;
    let is_of_number = |c: char| c.is_ascii_digit() || " _<*".contains(c);
    let end = rest.find(|c| !is_of_number(c)).unwrap_or(rest.len());
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    let value = match rest[..end].split_once("<<") {
        Some((value, bits)) => number(value)? << number(bits)?,
        None => rest[..end].split('*').map(number).product::<Option<u64>>()?,
    };
    Some(value * unit)
}

/// The number behind this text of a file, in which it stands once.
fn behind(file: &str, text: &str) -> Result<u64, String> {
    if !root().join(file).is_file() {
        return Err(format!("{file}: there is no such file"));
    }
    let source = read(&root().join(file));
    let mut parts = source.split(text).skip(1);
    match (parts.next(), parts.next()) {
        (Some(rest), None) => of_code(rest).ok_or(format!("{file}: no number behind {text}")),
        (None, _) => Err(format!("{file}: has no {text}")),
        _ => Err(format!("{file}: has several {text}")),
    }
}

/// A row, and the mark before it: `.\" is: FILE TEXT`, behind which the number stands in FILE.
fn judge(mark: &str, row: &str) -> Result<(), String> {
    let place = mark.strip_prefix(".\\\" is: ").ok_or(format!("{row}: no mark before it"))?;
    let (file, text) = place.split_once(' ').ok_or(format!("{mark}: no text"))?;
    let cell = row.split(" Ta ").nth(1).map(|cell| cell.trim_matches('"'));
    let shown = cell.and_then(of_page).ok_or(format!("{row}: says no number"))?;
    let real = behind(file, text)?;
    if shown == real { Ok(()) } else { Err(format!("{row}: it is {real}")) }
}

#[test]
fn limits_of_the_planning_page_are_those_of_the_code() {
    let page = read(&root().join(PAGE));
    let table = page.split(".Sh LIMITS\n").nth(1).and_then(|rest| rest.split("\n.El").next());
    let lines: Vec<&str> = table.expect("a table of limits").lines().collect();
    let rows = lines.windows(2).filter(|pair| pair[1].starts_with(".It \""));
    let judged: Vec<_> = rows.map(|pair| judge(pair[0], pair[1])).collect();
    let wrong: Vec<_> = judged.iter().filter_map(|row| row.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(judged.len() >= 15, "only {} limits", judged.len());
}

#[test]
fn numbers_are_read_as_page_and_code_write_them() {
    assert_eq!(of_page("4,096"), Some(4096));
    assert_eq!(of_page("64 MiB"), Some(64 << 20));
    assert_eq!(of_page("64 apples"), None);
    assert_eq!(of_code(" 64 << 20;"), Some(64 << 20));
    assert_eq!(of_code(" 10_000; // 3"), Some(10_000));
    assert_eq!(of_code(" Duration::from_secs(7 * 86400);"), Some(7 * 86400));
    assert_eq!(of_code(" SignedDuration::from_hours(1);"), Some(3600));
    assert_eq!(of_code("4096)?.unwrap_or(64)"), Some(4096));
    assert_eq!(of_code(" OTHER;"), None);
    // A row whose number is another one is wrong, and so is one without a mark.
    let mark = ".\\\" is: octo-push/src/cli/options.rs \"fanout\", 1..=";
    assert_eq!(judge(mark, ".It \"at once\" Ta \"4,096\""), Ok(()));
    assert!(judge(mark, ".It \"at once\" Ta \"4,097\"").is_err());
    assert!(judge(".El", ".It \"at once\" Ta \"4,096\"").is_err());
}
