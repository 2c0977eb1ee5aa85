//! Dependencies are those that ARCHITECTURE.md justifies, and keep to deny.toml, without
//! cargo-deny: licences, bans, one version a crate, one registry.

use crate::{Set, output, read, root, rows};
use std::collections::BTreeMap;
use std::process::Command;

#[test]
fn the_dependencies_are_those_that_are_justified() {
    let own = workspace();
    let mut found: BTreeMap<String, Set> = BTreeMap::new();
    for package in &own {
        for (edges, user) in [("normal,build", package.as_str()), ("dev", "tests")] {
            let tree = cargo_tree(&["--package", package, "--depth", "1", "--edges", edges]);
            for name in tree.lines().skip(1).filter_map(|line| line.split(' ').next()) {
                found.entry(name.to_string()).or_default().insert(user.to_string());
            }
        }
    }
    found.retain(|name, users| {
        if users.len() > 1 {
            users.remove("tests");
        }
        !name.is_empty() && !name.starts_with('[') && !own.contains(name)
    });
    let found: Vec<(String, String)> = found
        .into_iter()
        .map(|(name, users)| (name, users.into_iter().collect::<Vec<_>>().join(", ")))
        .collect();

    let text = read(&root().join("ARCHITECTURE.md"));
    let table = text.split("## Dependencies").nth(1).expect("a table of dependencies");
    let table = table.split("\n## ").next().expect("its end");
    let mut listed: Vec<(String, String)> =
        rows(table).map(|row| (row[0].to_string(), row[1].to_string())).collect();
    listed.sort();
    assert_eq!(found, listed, "cargo tree (left), ARCHITECTURE.md (right)");
    assert!(rows(table).all(|row| row.len() == 3 && !row[2].is_empty()), "a reason each");
}

#[test]
fn what_runs_scripts_has_no_network_code() {
    let tree = cargo_tree(&["--package", "octo-exec", "--edges", "normal,build"]);
    for name in ["rustls", "ring", "openssl", "octo-wire", "tokio"] {
        let has = tree.lines().any(|line| line.split(' ').next() == Some(name));
        assert!(!has, "octo-exec depends on {name}:\n{tree}");
    }
    assert!(tree.contains("octo-core"), "not a tree: {tree}");
}

#[test]
fn the_dependencies_keep_to_deny_toml() {
    let rules = read(&root().join("deny.toml"));
    let licences: Set = list(&rules, "allow").map(first_quoted).collect();
    let banned: Set = list(&rules, "deny").map(first_quoted).collect();
    assert!(licences.len() > 2 && banned.len() > 2, "where are the lists?");

    let edges = ["--workspace", "--edges", "normal,build,dev"];
    let tree = cargo_tree(&[&edges[..], &["--format", "{p}|{l}"]].concat());
    let mut versions: BTreeMap<String, Set> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (package, licence) in tree.lines().filter_map(|line| line.split_once('|')) {
        // `name v1.2.3`, and behind it where it is from, unless that is cargo's own registry.
        let mut words = package.split(' ');
        let (name, version) = (words.next().expect("a name"), words.next().expect("a version"));
        versions.entry(name.to_string()).or_default().insert(version.to_string());
        let from = words.next().filter(|word| *word != "(proc-macro)").unwrap_or("");
        if !from.is_empty() && !from.contains(root().to_str().expect("UTF-8")) {
            wrong.push(format!("{package}: not from the registry"));
        }
        if banned.contains(name) {
            wrong.push(format!("{name}: is banned"));
        }
        let licence = licence.trim_end_matches(" (*)");
        if !permits(licence, &licences) {
            wrong.push(format!("{name}: its licence is {licence}"));
        }
    }
    let twice = versions.iter().filter(|(_, versions)| versions.len() > 1);
    wrong.extend(twice.map(|(name, versions)| format!("{name}: more than one: {versions:?}")));
    assert!(versions.len() > 20, "not a tree: {tree}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_licence_is_permitted_by_its_expression() {
    let licences: Set = ["MIT", "ISC"].map(String::from).into();
    for (expression, permitted) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("(MIT OR ISC) AND GPL-3.0", false),
        ("MIT AND ISC OR GPL-3.0", true),
        ("MIT WITH LLVM-exception OR GPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(permits(expression, &licences), permitted, "{expression}");
    }
}

/// The lines of a list of deny.toml.
fn list<'a>(rules: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let begin = format!("{key} = [");
    rules.lines().skip_while(move |line| *line != begin).skip(1).take_while(|line| *line != "]")
}

fn first_quoted(line: &str) -> String {
    line.split('"').nth(1).expect("something in quotes").to_string()
}

/// Is this SPDX expression true of these licences?
fn permits(expression: &str, licences: &Set) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().collect::<Vec<_>>();
    words.reverse();
    either(&mut words, licences) && words.is_empty()
}

/// Takes `A OR B …` from the end of these words, which are in reverse.
fn either(words: &mut Vec<&str>, licences: &Set) -> bool {
    let mut permitted = both(words, licences);
    while words.pop_if(|word| *word == "OR").is_some() {
        permitted |= both(words, licences);
    }
    permitted
}

fn both(words: &mut Vec<&str>, licences: &Set) -> bool {
    let mut permitted = one(words, licences);
    while words.pop_if(|word| *word == "AND").is_some() {
        permitted &= one(words, licences);
    }
    permitted
}

fn one(words: &mut Vec<&str>, licences: &Set) -> bool {
    let Some(mut licence) = words.pop().map(String::from) else { return false };
    if licence == "(" {
        return either(words, licences) & (words.pop() == Some(")"));
    }
    if words.pop_if(|word| *word == "WITH").is_some() {
        licence += &format!(" WITH {}", words.pop().unwrap_or(""));
    }
    licences.contains(&licence)
}

fn workspace() -> Vec<String> {
    let text = read(&root().join("Cargo.toml"));
    let members = text.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    let quoted = members.expect("members").split('"').skip(1).step_by(2);
    quoted.map(|path| path.rsplit('/').next().expect("a name").to_string()).collect()
}

fn cargo_tree(words: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    output(
        Command::new(cargo)
            .args(["tree", "--offline", "--locked", "--prefix", "none", "--quiet"])
            .args(words)
            .current_dir(root()),
    )
}
