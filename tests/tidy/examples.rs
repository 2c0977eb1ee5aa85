//! The marks of the pages' examples: what runs one elsewhere, or why nothing can.

use crate::*;

/// What is wrong with the marks of one page: each stands before an example, and holds.
fn wrong_marks(page: &str) -> Vec<String> {
    let lines: Vec<&str> = page.lines().collect();
    let mut wrong = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let runs = line.strip_prefix(".\\\" run:").map(str::trim);
        let reason = line.strip_prefix(".\\\" not run:").map(str::trim);
        if runs.is_none() && reason.is_none() {
            continue;
        }
        let block = lines[at + 1..].iter().find(|line| !line.starts_with(".\\\""));
        let example = |line: &&str| {
            line.starts_with(".Dl ") || line.starts_with(".Bd ") && line.contains("-literal")
        };
        let what = if !block.is_some_and(example) {
            "stands before no example"
        } else if runs.is_some_and(|file| file.is_empty() || !root().join(file).is_file()) {
            "names no file of tests"
        } else if reason.is_some_and(str::is_empty) {
            "gives no reason"
        } else {
            continue;
        };
        wrong.push(format!("{}: {line}: {what}", at + 1));
    }
    wrong
}

#[test]
fn marks_of_examples_hold() {
    for path in files_below(&root().join("man"), &[]) {
        assert_eq!(wrong_marks(&read(&path)), [""; 0], "{}", path.display());
    }
    let good =
        ".\\\" run: tests/shell/pack\n.Dl $ octo-pack\n.\\\" not run: two machines\n.Bd -literal\n";
    assert_eq!(wrong_marks(good), [""; 0]);
    for bad in [
        ".\\\" run: tests/shell/nothing\n.Dl $ octo-pack\n",
        ".\\\" run:\n.Dl $ octo-pack\n",
        ".\\\" not run:\n.Dl $ octo-pack\n",
        ".\\\" not run: two machines\n.Pp\n",
    ] {
        assert_eq!(wrong_marks(bad).len(), 1, "{bad}");
    }
}
