//! What documents name is there: files, and the tests that hold attacks off.

use crate::{files_below, read, root, rows};

#[test]
fn documents_name_files_that_exist() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"] {
        let text = read(&root().join(document));
        let words = text.split(|c: char| c.is_whitespace() || "`|()[],;:*".contains(c));
        for word in words.map(|word| word.trim_end_matches('.')) {
            let Some((first, _)) = word.split_once('/') else { continue };
            // In capitals stands what the reader is to fill in.
            let is_form = word.chars().any(|c| c.is_ascii_uppercase());
            if root().join(first).is_dir() && !["", "."].contains(&first) && !is_form {
                named += 1;
                if !root().join(word).exists() {
                    wrong.push(format!("{document}: {word} does not exist"));
                }
            }
        }
    }
    assert!(named > 50, "{named}");
    assert!(wrong.is_empty(), "{wrong:#?}");
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
