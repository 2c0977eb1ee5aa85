//! The house: each folder has its row in ARCHITECTURE.md, files and functions are small
//! enough to be read in one go, and text has the form that .editorconfig asks for.

use crate::{Set, files_below, read, root, rows};
use std::collections::BTreeMap;
use std::path::Path;

const FILES_A_FOLDER: usize = 12;
const LINES_A_FILE: usize = 400;
const LINES_A_FUNCTION: usize = 60;

/// Parts of one sample, which has a row.
const SAMPLE: &str = "examples/hello-web/";

#[test]
fn each_folder_has_its_row_and_each_row_its_folder() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let table = text.split("## The rooms").nth(1).and_then(|rest| rest.split("\n## ").next());
    let listed: Set = rows(table.expect("a table of rooms")).map(|row| row[0].into()).collect();
    let folders: Set = all_files()
        .filter_map(|file| Some(file.rsplit_once('/')?.0.to_string()))
        .filter(|folder| !folder.starts_with(SAMPLE) && !is_of_a_crate(folder))
        .collect();
    let mut wrong: Vec<String> =
        folders.difference(&listed).map(|folder| format!("{folder}: has no row")).collect();
    wrong.extend(listed.difference(&folders).map(|row| format!("{row}: no such folder")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_folder_file_or_function_is_too_large() {
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut tests = 0;
    for file in all_files().filter(|file| file.ends_with(".rs")) {
        if file.contains("/src/") {
            *folders.entry(file.rsplit_once('/').expect("a folder").0.into()).or_default() += 1;
        }
        tests += usize::from(file.starts_with("tests/"));
        let text = read(&root().join(&file));
        let lines = text.lines().count();
        if lines > LINES_A_FILE {
            wrong.push(format!("{file}: {lines} lines, {LINES_A_FILE} at most"));
        }
        for (name, lines) in
            functions(&text).into_iter().filter(|(_, lines)| *lines > LINES_A_FUNCTION)
        {
            wrong.push(format!("{file}: {name}: {lines} lines, {LINES_A_FUNCTION} at most"));
        }
    }
    let full = folders.iter().filter(|(_, files)| **files > FILES_A_FOLDER);
    wrong.extend(
        full.map(|(name, files)| format!("{name}: {files} files, {FILES_A_FOLDER} at most")),
    );
    assert!(folders.len() > 20, "where are the sources?");
    assert!(tests > 50, "where are the tests?");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn text_has_the_form_that_editorconfig_asks_for() {
    let mut wrong = Vec::new();
    for file in all_files() {
        let text = read(&root().join(&file));
        if !text.is_empty() && !text.ends_with('\n') {
            wrong.push(format!("{file}: its last line has no end"));
        }
        let width = if file.starts_with("scripts/") { 100 } else { usize::MAX };
        for (number, line) in (1..).zip(text.split('\n')) {
            let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
            let reason = if line.ends_with([' ', '\t', '\r']) {
                "ends in a blank"
            } else if indent.contains('\t') {
                "begins with a tab"
            } else if line.chars().count() > width {
                "is too long"
            } else {
                continue;
            };
            wrong.push(format!("{file}:{number}: {reason}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_test_file_is_part_of_a_program_that_a_crate_declares() {
    let manifests: String = files_below(&root(), &["toml"]).iter().map(|f| read(f)).collect();
    let tests = root().join("tests");
    let files = files_below(&tests, &["rs"]);
    let programs = files.iter().filter(|file| file.ends_with("main.rs"));
    let programs: String = programs.map(|file| read(file)).collect();
    let mut wrong = Vec::new();
    for file in &files {
        let below = file.strip_prefix(&tests).expect("a file of tests").display().to_string();
        let folder = file.parent().expect("a folder");
        let name = file.file_stem().expect("a name").to_string_lossy();
        let declared = if below.starts_with("support/") {
            programs.contains(&format!("#[path = \"../{below}\"]\nmod "))
        } else if name == "main" {
            manifests.contains(&format!("path = \"../tests/{below}\""))
        } else if name == "mod" {
            let outer = folder.parent().expect("a folder around it");
            declares(outer, &folder.file_name().expect("a name").to_string_lossy())
        } else {
            declares(folder, &name)
        };
        if !declared {
            wrong.push(format!("tests/{below} never runs"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_tree_speaks_of_the_project_alone() {
    // Paths of one machine; spelt apart, so that this file passes its own check.
    let forbidden = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/.")];
    let mut wrong = Vec::new();
    for file in files_below(&root(), &[]) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).expect("read")).into_owned();
        for word in forbidden {
            // A path from the root, not the middle of one.
            let begins = |at: usize| {
                let before = text[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "._-}$".contains(c))
            };
            if text.match_indices(word).any(|(at, _)| begins(at)) {
                wrong.push(format!("{}: {word}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Paths from the top of the tree.
fn all_files() -> impl Iterator<Item = String> {
    let below = |path: &Path| path.strip_prefix(root()).expect("below").to_path_buf();
    files_below(&root(), &[]).into_iter().map(move |f| below(&f).to_str().expect("UTF-8").into())
}

/// Is this the folder of a crate, in which there is a Cargo.toml and no code?
fn is_of_a_crate(folder: &str) -> bool {
    !folder.contains('/') && root().join(folder).join("Cargo.toml").exists()
}

/// The functions of code that rustfmt wrote, and their lines: to the brace that stands
/// below the beginning.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let before = code.split(' ').take_while(|word| *word != "fn");
        let is_head = |word: &str| word == "const" || word.starts_with("pub");
        if !code.contains("fn ") || !before.into_iter().all(is_head) {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        let signature = lines[at..].iter().position(|line| line.ends_with(['{', '}', ';']));
        if signature.is_some_and(|lines_of_it| lines[at + lines_of_it].ends_with('{')) {
            let more = lines[at..].iter().position(|line| line.starts_with(&end)).unwrap_or(0);
            found.push((code.to_string(), more + 1));
        }
    }
    found
}

/// Does the file that heads this folder of tests have this module?
fn declares(folder: &Path, module: &str) -> bool {
    let heads = ["main.rs", "mod.rs"].map(|name| folder.join(name));
    let line = format!("mod {module};");
    heads.iter().filter(|head| head.exists()).any(|head| read(head).lines().any(|l| l == line))
}
