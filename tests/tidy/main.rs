//! Tidiness that would rot unseen: words, documents, dependencies and the tree agree.

mod circles;
mod dependencies;
mod documents;
mod examples;
mod layout;
mod messages;
mod once;
mod planning;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

type Set = BTreeSet<String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace").to_path_buf()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
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
    let apart = ["target", ".git", "dist"].map(|name| root().join(name));
    let built = root().join(built);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("directory") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if apart.contains(&path) || path == built || path.is_symlink() {
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
