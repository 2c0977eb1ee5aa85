//! What stands in one place, or in none.

use crate::{files_below, read, root};

/// Each file that is text, but cargo's own list of what it took from where.
fn texts() -> impl Iterator<Item = (String, String)> {
    let files = files_below(&root(), &[]).into_iter();
    files.filter(|path| !path.ends_with("Cargo.lock")).filter_map(|path| {
        let text = String::from_utf8(std::fs::read(&path).ok()?).ok()?;
        Some((path.strip_prefix(root()).ok()?.display().to_string(), text))
    })
}

/// The release has its version from Cargo.toml, and so has each package and script.
#[test]
fn the_version_stands_in_one_place() {
    let manifest = read(&root().join("Cargo.toml"));
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    let version = version.and_then(|rest| rest.strip_suffix('"')).expect("a version");
    // The heading of what is new, what a line of the wire looks like, an application's own.
    let apart = [
        "Cargo.toml",
        "CHANGELOG.md",
        "bench/RESULTS.md",
        "man/octo-protocol.7",
        "tests/push/real_input.rs",
    ];
    let stands = |text: &str| {
        text.match_indices(version).any(|(at, _)| {
            let beside = [text[..at].chars().last(), text[at + version.len()..].chars().next()];
            !beside.iter().flatten().any(|c| c.is_ascii_digit() || *c == '.')
        })
    };
    let wrong: Vec<String> = texts()
        .filter(|(name, text)| !apart.contains(&name.as_str()) && stands(text))
        .map(|(name, _)| name)
        .collect();
    assert!(wrong.is_empty(), "{version} stands in {wrong:#?} too");
}

/// Where packages come from is said by the machine: cargo's and apt's own configuration.
#[test]
fn no_registry_or_mirror_is_named() {
    let ends = ["crates.io", "debian.org", "pypi.org", "npmjs.org", "npmjs.com", "docker.io"];
    let names = |text: &str| {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)));
        let mut hosts = words.map(|word| word.trim_matches('.').to_ascii_lowercase());
        // A page of its manuals is no place that packages come from.
        hosts.any(|host| ends.iter().any(|end| host.ends_with(end)) && host != "www.debian.org")
    };
    let own = "tests/tidy/once.rs";
    let wrong: Vec<String> =
        texts().filter(|(name, text)| name != own && names(text)).map(|(name, _)| name).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
