//! Help, pages and completion name the same words as the code, and each tool has one
//! version.

use crate::{Set, output, read, root};
use octo_core::trust::TrustOption;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const BINARIES: [&str; 4] = ["octo-exec", "octo-keys", "octo-listen", "octo-push"];
/// What builds, tests and shows the project; not installed, so without a page.
const OF_THE_HOUSE: [&str; 8] =
    ["bench", "build", "install", "quickstart", "release", "test", "test-apps", "test-install"];

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

#[test]
fn each_shell_completes_each_tool() {
    let tools: Set = tools().into_iter().collect();
    for (shell, before, behind) in [
        ("bash", "  complete -F _octo ", "\nfi"),
        ("zsh", "#compdef ", "\n"),
        ("fish", "for tool in ", "\n    complete"),
    ] {
        let file = read(&root().join(format!("completions/octo.{shell}")));
        let list = file.split_once(before).and_then(|(_, list)| list.split_once(behind));
        let list = list.expect("a list of tools").0.replace('\\', " ");
        let named: Set = list.split_whitespace().map(String::from).collect();
        assert_eq!(named, tools, "octo.{shell} (left), the tools (right)");
    }
}

#[test]
fn every_tool_has_one_version_and_a_bounded_help() {
    for tool in tools() {
        // The scripts ask the tools.
        let tools = path_of("octo-exec");
        let path = std::env::var("PATH").expect("a PATH");
        let path = format!("{}:{path}", tools.parent().expect("a directory").display());
        let said = output(Command::new(path_of(&tool)).arg("--version").env("PATH", path));
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
            let words = line.split_whitespace().skip_while(|word| !word.ends_with("Xr"));
            let mut words = words.skip(1);
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

/// Who says what a job is, not how much it may take.
const NO_BOUNDS: [&str; 7] = ["user", "sudo", "scripts", "stdin", "signed", "hold", "set"];

#[test]
fn the_tables_of_bounds_have_each_option_that_bounds() {
    let of_table = |page: &str, begin: &str| -> Set {
        let page = read(&root().join(page));
        let table = page.split(begin).nth(1).expect("a table").split(".El").next();
        let words =
            table.expect("its end").split(" Ta ").filter_map(|cell| cell.strip_prefix("Cm "));
        words.map(|word| word.trim().trim_end_matches('=').to_string()).collect()
    };
    let bounds = TrustOption::all().filter(|option| !NO_BOUNDS.contains(&option.key));
    let bounds: Set = bounds.map(|option| option.key.to_string()).collect();
    assert_eq!(of_table("man/octo-keys.1", ".Ss Bounds\n"), bounds);
    // A pusher meets those that refuse what it asks, or cut it, not those on who may ask.
    let mut met = bounds;
    for word in ["from", "expires", "allow", "window", "locks"] {
        assert!(met.remove(word), "{word}");
    }
    assert_eq!(of_table("man/octo-push.1", "What the tentacle bounds"), met);
}

/// What one has and the other has not is wrong.
fn compare(wrong: &mut Vec<String>, tool: &str, one: (&str, &Set), other: (&str, &Set)) {
    let missing = one.1.difference(other.1);
    wrong.extend(
        missing.map(|word| format!("{tool}: {word} of its {} is not in its {}", one.0, other.0)),
    );
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
