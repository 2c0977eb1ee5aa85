//! Tidiness that would rot unseen: help, pages, completion and code name the same
//! options; versions agree; dependencies are the ones that ARCHITECTURE.md justifies.

mod dependencies;
mod layout;

use octo_core::trust::TrustOption;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const BINARIES: [&str; 4] = ["octo-exec", "octo-keys", "octo-listen", "octo-push"];
/// What builds, tests and shows the project; not installed, so without a page.
const OF_THE_HOUSE: [&str; 4] = ["bench", "install", "quickstart", "test"];

type Set = BTreeSet<String>;

#[test]
fn help_page_and_completion_name_the_same_options() {
    let mut wrong = Vec::new();
    for tool in tools() {
        let Some(page) = page_of(&tool) else {
            wrong.push(format!("{tool}: no page in man/"));
            continue;
        };
        let help = options_of_help(&help(&tool));
        // What a page says of an option, it says below a head of a list.
        let heads = page.lines().filter(|line| line.starts_with(".It "));
        let heads = options_of_page(&heads.collect::<Vec<_>>().join("\n"));
        let named = options_of_page(&page);
        compare(&mut wrong, &tool, ("help", &help), ("page", &named));
        compare(&mut wrong, &tool, ("page's lists", &heads), ("help", &help));
        let offered = complete(&tool, "-");
        compare(&mut wrong, &tool, ("help", &help), ("completion", &offered));
        compare(&mut wrong, &tool, ("completion", &offered), ("help", &help));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn help_page_and_completion_name_the_same_verbs() {
    let mut wrong = Vec::new();
    let having = ["octo-exec", "octo-keys", "octo-push", "octo-release"];
    for tool in tools() {
        let help = verbs_of_help(&help(&tool));
        if help.is_empty() == having.contains(&tool.as_str()) {
            wrong.push(format!("{tool}: verbs of its help: {help:?}"));
        }
        if help.is_empty() {
            continue;
        }
        let page = verbs_of_page(&page_of(&tool).unwrap_or_default());
        let offered = complete(&tool, "");
        for (name, other) in [("page", &page), ("completion", &offered)] {
            compare(&mut wrong, &tool, ("help", &help), (name, other));
            compare(&mut wrong, &tool, (name, other), ("help", &help));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What one has and the other has not is wrong.
fn compare(wrong: &mut Vec<String>, tool: &str, one: (&str, &Set), other: (&str, &Set)) {
    let missing = one.1.difference(other.1);
    wrong.extend(
        missing.map(|word| format!("{tool}: {word} of its {} is not in its {}", one.0, other.0)),
    );
}

#[test]
fn every_tool_has_one_version_and_a_bounded_help() {
    for tool in tools() {
        let said = output(Command::new(path_of(&tool)).arg("--version"));
        assert_eq!(said, format!("{tool} {}\n", env!("CARGO_PKG_VERSION")));
        let help = help(&tool);
        assert!(help.starts_with("usage: "), "{tool}: {help}");
        assert!(help.contains("\nexample"), "{tool}: its help has no example");
        let long = help.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None, "{tool}: too long for a terminal");
    }
    let changes = read(&root().join("CHANGELOG.md"));
    assert!(changes.contains(&format!("## {}", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn pages_have_their_sections_and_refer_to_pages_that_exist() {
    let mut wrong = Vec::new();
    for (name, text) in pages() {
        let tool = name.ends_with(".1") || name.ends_with(".8");
        for section in ["FILES", "ENVIRONMENT", "EXIT STATUS", "EXAMPLES"] {
            if tool && !text.contains(&format!(".Sh {section}\n")) {
                wrong.push(format!("man/{name}: no {section}"));
            }
        }
        for line in text.lines().filter(|line| line.contains("Xr octo")) {
            let mut words = line.split_whitespace().skip_while(|w| !w.starts_with("octo"));
            let (page, section) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            if !root().join(format!("man/{page}.{section}")).exists() {
                wrong.push(format!("man/{name}: {page}({section}) does not exist"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_page_of_the_trust_file_has_each_option_and_no_other() {
    let page = read(&root().join("man/octo-trust.5"));
    let mut heads: Vec<&str> = Vec::new();
    // Lists within an item are of words that an option takes.
    let mut depth = 0;
    for line in page.lines() {
        depth += usize::from(line.starts_with(".Bl "));
        depth -= usize::from(line.starts_with(".El"));
        let item = line.strip_prefix(".It Cm ").filter(|_| depth == 1);
        heads.extend(item.and_then(|item| item.split(' ').next()));
    }
    let keys: Vec<&str> = TrustOption::all().map(|row| row.key).collect();
    assert_eq!(heads, keys, "octo-trust(5) (left), trust/options.rs (right)");
}

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
    for name in ["rustls", "aws-lc-rs", "aws-lc-sys", "ring", "openssl", "octo-wire", "tokio"] {
        let has = tree.lines().any(|line| line.split(' ').next() == Some(name));
        assert!(!has, "octo-exec depends on {name}:\n{tree}");
    }
    assert!(tree.contains("octo-core"), "not a tree: {tree}");
}

#[test]
fn the_attacks_name_tests_that_exist() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let table = text.split("## Known attacks").nth(1).expect("a table of attacks");
    let sources: String = files_below(&root(), &["rs"]).iter().map(|f| read(f)).collect();
    let shell: String =
        files_below(&root().join("tests/shell"), &[]).iter().map(|f| read(f)).collect();
    assert!(rows(table).count() > 10, "where is the table?");
    for row in rows(table) {
        let known = sources.contains(&format!("fn {}()", row[1]))
            || shell.contains(&format!("\n{}() {{", row[1]));
        assert!(known, "{}: no such test", row[1]);
    }
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

/// Does the file that heads this folder of tests have this module?
fn declares(folder: &Path, module: &str) -> bool {
    let heads = ["main.rs", "mod.rs"].map(|name| folder.join(name));
    let line = format!("mod {module};");
    heads.iter().filter(|head| head.exists()).any(|head| read(head).lines().any(|l| l == line))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace").to_path_buf()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The binaries, and the scripts that users run.
fn tools() -> Vec<String> {
    let mut tools: Vec<String> = BINARIES.iter().map(ToString::to_string).collect();
    let scripts = std::fs::read_dir(root().join("scripts")).expect("scripts");
    let names =
        scripts.map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"));
    tools.extend(names.filter(|n| !n.contains('.') && !OF_THE_HOUSE.contains(&n.as_str())));
    tools.sort();
    tools
}

fn path_of(tool: &str) -> PathBuf {
    if !BINARIES.contains(&tool) {
        return root().join("scripts").join(tool);
    }
    let test = std::env::current_exe().expect("own path");
    let path = test.parent().and_then(Path::parent).expect("target/PROFILE").join(tool);
    assert!(path.exists(), "{} is missing: cargo build --workspace", path.display());
    path
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn help(tool: &str) -> String {
    output(Command::new(path_of(tool)).arg("--help"))
}

/// The options of a help text: examples and quoted text may show other programs'.
fn options_of_help(help: &str) -> Set {
    let text = help.split("\nexample").next().expect("a text");
    let lines = text.lines().map(|line| {
        // Every second piece between ` '` and `'` is quoted; an apostrophe in a word isn't.
        let mut pieces = line.split(" '");
        let first = pieces.next().unwrap_or("").to_string();
        pieces.fold(first, |all, piece| all + " " + piece.split_once('\'').map_or("", |(_, r)| r))
    });
    lines
        .flat_map(|line| {
            let words = line.split(|c: char| c.is_whitespace() || "[]()|,.=".contains(c));
            words.map(String::from).collect::<Vec<_>>()
        })
        .filter(|word| is_option(word))
        .collect()
}

fn is_option(word: &str) -> bool {
    if let Some(long) = word.strip_prefix("--") {
        return long.len() > 1 && long.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    }
    let mut rest = word.strip_prefix('-').unwrap_or("").chars();
    rest.next().is_some_and(|c| c.is_ascii_alphabetic()) && rest.next().is_none()
}

/// What stands behind `Fl` in a page's lines: `Fl t , -target Ar
/// SELECT` are two; `Fl nqv` of a synopsis is none.
fn options_of_page(page: &str) -> Set {
    let mut options = Set::new();
    for line in page.lines().filter(|line| line.starts_with('.')) {
        let mut within = false;
        for word in line.trim_start_matches('.').split_whitespace() {
            let is_macro = word.len() == 2 && word.starts_with(|c: char| c.is_ascii_uppercase());
            if is_macro {
                within = word == "Fl";
            } else if within && is_option(&format!("-{word}")) {
                options.insert(format!("-{word}"));
            }
        }
    }
    options
}

/// The verbs of a help text: what begins the lines below `verbs:`; octo-release has
/// them in its usage, with bars between.
fn verbs_of_help(help: &str) -> Set {
    let is_verb = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let word = |text: &str| text.split_whitespace().find(|w| is_verb(w)).map(String::from);
    if let Some((_, list)) = help.split_once("\nverbs:\n") {
        let lines = list.lines().take_while(|line| !line.is_empty());
        let entries = lines.filter_map(|line| line.strip_prefix("  "));
        return entries.filter(|entry| !entry.starts_with(' ')).filter_map(word).collect();
    }
    let usage = help.split("\n\n").next().unwrap_or("");
    let (mut depth, mut plain) = (0, String::new());
    for letter in usage.chars() {
        depth += i32::from(letter == '[') - i32::from(letter == ']');
        plain.push(if depth == 0 { letter } else { ' ' });
    }
    match plain.contains('|') {
        true => plain.split('|').filter_map(word).collect(),
        false => Set::new(),
    }
}

/// The verbs that head an outermost list of a page: of its verbs, if there is such a
/// section, else of its description.
fn verbs_of_page(page: &str) -> Set {
    let section = [".Sh VERBS\n", ".Ss Verbs\n", ".Sh DESCRIPTION\n"];
    let section =
        section.iter().find_map(|head| page.split_once(head)).map_or("", |(_, rest)| rest);
    let ends = |line: &&str| !line.starts_with(".Sh ") && !line.starts_with(".Ss ");
    let (mut depth, mut verbs) = (0, Set::new());
    for line in section.lines().take_while(ends) {
        depth += i32::from(line.starts_with(".Bl ")) - i32::from(line.starts_with(".El"));
        if let Some(head) = line.strip_prefix(".It Cm ")
            && depth == 1
        {
            verbs.extend(head.split_whitespace().next().map(String::from));
        }
    }
    verbs
}

fn pages() -> BTreeMap<String, String> {
    let directory = root().join("man");
    let names = std::fs::read_dir(&directory).expect("man").map(|e| e.expect("entry").file_name());
    names
        .map(|n| n.into_string().expect("UTF-8"))
        .map(|n| (n.clone(), read(&directory.join(n))))
        .collect()
}

fn page_of(tool: &str) -> Option<String> {
    let mut pages = pages();
    ["1", "8"].iter().find_map(|section| pages.remove(&format!("{tool}.{section}")))
}

/// What bash would offer for this word as the first argument.
fn complete(tool: &str, word: &str) -> Set {
    let script =
        "source \"$1\"; COMP_WORDS=(\"$2\" \"$3\") COMP_CWORD=1; _octo \"$2\" \"$3\" \"$2\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let path = path_of(tool);
    let said = output(
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", script, "bash"])
            .arg(root().join("completions/octo.bash"))
            .args([path.as_os_str(), word.as_ref()])
            .current_dir(root()),
    );
    said.lines().filter(|line| !line.is_empty()).map(String::from).collect()
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

/// The cells of a table's rows, its head left out.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// Every file of the tree, or those with these endings, but what is built or git's.
fn files_below(directory: &Path, endings: &[&str]) -> Vec<PathBuf> {
    // By their places: a folder of sources may be called target, too.
    let built = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let apart = [root().join("target"), root().join(built), root().join(".git")];
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("directory") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if apart.contains(&path) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files.extend(files_below(&path, endings));
        } else if endings.is_empty() || endings.iter().any(|e| name.ends_with(&format!(".{e}"))) {
            files.push(path);
        }
    }
    files
}
