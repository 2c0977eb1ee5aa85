//! Every message of the tools and pipelines has a row in tests/messages: somebody has read
//! it as one does at 3 a.m., and knows what the reader does then.

mod rust;
mod shell;

use crate::{files_below, read, root, rows};
use std::collections::{BTreeMap, BTreeSet};

const LONGEST: usize = 200;

/// By source file: its messages.
type Found = BTreeMap<String, BTreeSet<String>>;

/// A section of a table: what stands before each of its messages, and its rows.
#[derive(Default)]
struct Section {
    table: String,
    object: String,
    /// Template and remedy.
    rows: BTreeMap<String, String>,
}

#[test]
fn each_message_has_its_row_and_each_row_its_message() {
    let found = found();
    let sections = sections();
    let mut missing = String::new();
    let mut wrong = Vec::new();
    for (file, templates) in &found {
        let section = sections.get(file);
        let has = |template: &&String| section.is_some_and(|s| s.rows.contains_key(*template));
        let rows: Vec<_> = templates.iter().filter(|template| !has(template)).collect();
        if !rows.is_empty() {
            missing.push_str(&format!("\n{file}:\n"));
            rows.iter().for_each(|row| missing.push_str(&format!("  {:10}{row}\n", "?")));
        }
    }
    for (file, section) in &sections {
        for row in section.rows.keys() {
            if !found.get(file).is_some_and(|templates| templates.contains(row)) {
                wrong.push(format!("{}: {file}: no such message: {row}", section.table));
            }
        }
    }
    assert!(found.len() > 200 && found.values().map(BTreeSet::len).sum::<usize>() > 1000);
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{wrong:#?}\nrows for tests/messages, with what the reader does in place of ?:\n{missing}"
    );
}

#[test]
fn each_message_says_what_where_and_what_to_do() {
    let readme = read(&root().join("tests/messages/README.md"));
    let remedies: Vec<&str> = rows(&readme).map(|row| row[0]).collect();
    let mut wrong = Vec::new();
    for (file, section) in sections() {
        for (template, remedy) in &section.rows {
            if !remedies.contains(&remedy.as_str()) {
                wrong.push(format!("{file}: {template}: '{remedy}' is no remedy"));
            } else if let Some(reason) = fault(template, remedy, &section.object) {
                wrong.push(format!("{file}: {template}: {reason}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with the form of a message.
fn fault(template: &str, remedy: &str, object: &str) -> Option<&'static str> {
    if remedy == "other" {
        return None;
    }
    let lower = template.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
    // STATE, TLS and X.509 are names; a sentence begins with one capital.
    let mut first = template.chars();
    let is_sentence = first.next().is_some_and(char::is_uppercase)
        && first.next().is_some_and(char::is_lowercase);
    let is_setting = template.split(' ').next().is_some_and(|word| word.contains('='));
    if is_sentence && !is_setting {
        Some("begins with a capital")
    } else if template.ends_with(['.', '!']) && !template.ends_with("...") {
        Some("ends in a full stop or an exclamation mark")
    } else if ["please", "sorry", "oops", "invalid", "illegal"].iter().any(|w| words.contains(w)) {
        Some("has a word that says nothing")
    } else if lower.contains("error:") {
        Some("calls itself an error")
    } else if template.chars().count() > LONGEST {
        Some("is too long for a terminal")
    } else if ["failed", "bad", "wrong", "{}: failed", "{} failed"].contains(&lower.as_str()) {
        Some("gives no reason")
    } else if object.is_empty() && remedy != "part" && !template.contains(['{', '\'', '`']) {
        Some("names no object, and its section doesn't say what stands before it")
    } else {
        None
    }
}

fn found() -> Found {
    let mut found = Found::new();
    let sources = files_below(&root(), &["rs"]).into_iter().map(|path| below_root(&path));
    let sources: Vec<String> =
        sources.filter(|file| file.starts_with("octo-") && file.contains("/src/")).collect();
    let text = |file: &String| read(&root().join(file));
    let mut tests = Vec::new();
    for file in &sources {
        let folder = file.rsplit_once('/').expect("a folder").0;
        let folder = match file.ends_with("/mod.rs") || file.ends_with("/lib.rs") {
            true => folder.to_string(),
            false => file.trim_end_matches(".rs").to_string(),
        };
        let modules = rust::test_modules(&text(file));
        tests.extend(modules.iter().map(|module| format!("{folder}/{module}")));
    }
    let is_test = |file: &&String| {
        tests.iter().any(|t| **file == format!("{t}.rs") || file.starts_with(&format!("{t}/")))
    };
    for file in sources.iter().filter(|file| !is_test(file)) {
        found.entry(file.clone()).or_default().extend(rust::templates(&text(file)));
    }
    let scripts = std::fs::read_dir(root().join("scripts")).expect("scripts");
    let scripts = scripts.map(|entry| below_root(&entry.expect("an entry").path()));
    let mut scripts: Vec<String> =
        scripts.filter(|file| file.starts_with("scripts/octo-")).collect();
    scripts.push("octo-exec/functions.bash".into());
    let texts: Vec<String> = scripts.iter().map(text).collect();
    let printing = shell::printing(&texts);
    for (file, text) in scripts.into_iter().zip(&texts) {
        found.entry(file).or_default().extend(shell::templates(text, &printing));
    }
    found.retain(|_, templates| !templates.is_empty());
    found
}

fn below_root(path: &std::path::Path) -> String {
    path.strip_prefix(root()).expect("below it").to_string_lossy().into_owned()
}

/// The tables: a line `FILE: OBJECT` begins a section, a row is indented.
fn sections() -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    for table in files_below(&root().join("tests/messages"), &["txt"]) {
        let name = below_root(&table);
        let text = read(&table);
        let mut section: Option<&mut Section> = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(row) = line.strip_prefix("  ") {
                let (remedy, template) = row.split_once(' ').expect("a remedy, then the message");
                let section = section.as_mut().expect("a section before a row");
                let twice =
                    section.rows.insert(template.trim_start().into(), remedy.into()).is_some();
                assert!(!twice, "{name}: {line}: stands there twice");
            } else {
                let (file, object) = line.split_once(':').expect("FILE: OBJECT");
                let new = Section {
                    table: name.clone(),
                    object: object.trim().into(),
                    ..Section::default()
                };
                let earlier = sections.insert(file.to_string(), new);
                assert!(earlier.is_none(), "{name}: {file}: stands there twice");
                section = sections.get_mut(file);
            }
        }
    }
    sections
}
