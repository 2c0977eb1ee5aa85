//! The examples of the pages and of README.md: each is run, is the form of a file, or its
//! source says why nothing can run it.

use crate::*;

/// What runs those that have no mark.
const RUNNER: &str = "tests/shell/pages";

/// A terminal has two more.
const COLUMNS: usize = 78;

/// What an example shows that is nothing to type.
const FORMS: [&str; 9] = [
    "diagram",
    "grammar",
    "logrotate",
    "nagios",
    "record",
    "secrets",
    "sudoers",
    "targets",
    "trust",
];

/// An example, and what the comment right before it says of it.
struct Block {
    line: usize,
    mark: Option<String>,
}

#[derive(Default, PartialEq, Debug)]
struct Sums {
    found: usize,
    here: usize,
    elsewhere: usize,
    forms: usize,
    never: usize,
}

/// The examples of a page, and the marks that stand before none.
fn of_page(page: &str) -> (Vec<Block>, Vec<usize>) {
    let (mut blocks, mut stray) = (Vec::new(), Vec::new());
    let mut mark: Option<String> = None;
    for (at, line) in page.lines().enumerate() {
        if line.starts_with(".Dl ") || line.starts_with(".Bd ") && line.contains("-literal") {
            blocks.push(Block { line: at + 1, mark: mark.take() });
        } else {
            stray.extend(mark.take().map(|_| at));
            let comment = line.strip_prefix(".\\\" ");
            mark = comment.filter(|words| is_mark(words)).map(String::from);
        }
    }
    (blocks, stray)
}

/// The blocks of Markdown that stand apart by blanks or by a fence; a mark is a comment.
fn of_markdown(page: &str) -> (Vec<Block>, Vec<usize>) {
    let (mut blocks, mut stray) = (Vec::new(), Vec::new());
    let mut mark: Option<String> = None;
    let (mut inside, mut fenced) = (false, false);
    for (at, line) in page.lines().enumerate() {
        let fence = line.starts_with("```");
        let block = fence || fenced || line.starts_with("    ");
        fenced ^= fence;
        if block && !inside {
            blocks.push(Block { line: at + 1, mark: mark.take() });
        } else if !block && !line.is_empty() {
            stray.extend(mark.take().map(|_| at));
            let comment = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
            mark = comment.filter(|words| is_mark(words)).map(String::from);
        }
        // A line without a letter doesn't end a block.
        inside = block || inside && line.is_empty();
    }
    (blocks, stray)
}

fn is_mark(comment: &str) -> bool {
    ["run:", "form:", "not run:"].iter().any(|kind| comment.starts_with(kind))
}

/// What is wrong with this mark of a page of this name, if not counted in the sums.
fn judge(name: &str, mark: Option<&str>, sums: &mut Sums) -> Option<String> {
    sums.found += 1;
    let Some(mark) = mark else {
        sums.here += 1;
        return None;
    };
    let (kind, words) = mark.split_once(": ").unwrap_or((mark, ""));
    let first = words.split(' ').next().unwrap_or_default();
    match kind {
        "run" if first == "exits" => sums.here += 1,
        "run" if first.is_empty() || !root().join(first).is_file() => {
            return Some(format!("{mark}: there is no such file"));
        }
        "run" if !read(&root().join(first)).contains(name) => {
            return Some(format!("{mark}: it doesn't know {name}"));
        }
        "run" => sums.elsewhere += 1,
        "form" if FORMS.contains(&words) => sums.forms += 1,
        "not run" if !words.is_empty() => sums.never += 1,
        _ => return Some(format!("{mark}: is no mark")),
    }
    None
}

/// What is wrong with the examples of this page, which are counted.
fn wrong(name: &str, page: &str, sums: &mut Sums) -> Vec<String> {
    let (blocks, stray) = if name.ends_with(".md") { of_markdown(page) } else { of_page(page) };
    let stray = stray.iter().map(|line| format!("{name}:{line}: a mark, and no example"));
    let mut wrong: Vec<String> = stray.collect();
    for block in blocks {
        let reason = judge(name, block.mark.as_deref(), sums);
        wrong.extend(reason.map(|reason| format!("{name}:{}: {reason}", block.line)));
    }
    wrong
}

#[test]
fn every_example_is_run_or_says_why_not() {
    let mut pages = files_below(&root().join("man"), &[]);
    pages.push(root().join("README.md"));
    pages.sort();
    let runner = std::fs::read_to_string(root().join(RUNNER)).unwrap_or_default();
    let mut all = Sums::default();
    let mut not_yet = Vec::new();
    for path in &pages {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let mut sums = Sums::default();
        assert_eq!(wrong(&name, &read(path), &mut sums), [""; 0]);
        let run = runner.lines().any(|line| line.trim() == format!("page {name}"));
        assert!(sums.here > 0 || !run, "{RUNNER} runs {name}, which has nothing to run");
        if sums.here > 0 && !run {
            not_yet.push(name);
        }
        all.found += sums.found;
        all.here += sums.here;
        all.elsewhere += sums.elsewhere;
        all.forms += sums.forms;
        all.never += sums.never;
    }
    let sum = all.here + all.elsewhere + all.forms + all.never;
    assert_eq!(all.found, sum, "{all:?}");
    assert_eq!(not_yet, [""; 0], "pages that {RUNNER} doesn't run");
}

#[test]
fn marks_of_examples_hold() {
    let good = ".\\\" run: tests/shell/tour\n.Dl $ octo-pack\n.\\\" not run: two machines\n\
                .Bd -literal\na\n.Ed\n.\\\" form: trust\n.Dl x\n.\\\" run: exits 1\n.Dl x\n.Dl y\n";
    let mut sums = Sums::default();
    assert_eq!(wrong("octo.7", good, &mut sums), [""; 0]);
    assert_eq!(sums, Sums { found: 5, here: 2, elsewhere: 1, forms: 1, never: 1 });
    for bad in [
        ".\\\" run: tests/shell/nothing\n.Dl $ octo-pack\n",
        ".\\\" run: tests/shell/pack\n.Dl $ octo-pack\n",
        ".\\\" run:\n.Dl $ octo-pack\n",
        ".\\\" form: poem\n.Dl $ octo-pack\n",
        ".\\\" not run:\n.Dl $ octo-pack\n",
        ".\\\" not run: two machines\n.Pp\n",
    ] {
        assert_eq!(wrong("octo.7", bad, &mut Sums::default()).len(), 1, "{bad}");
    }
}

#[test]
fn blocks_of_markdown_are_found() {
    let page = "text\n\n<!-- run: .ci/run -->\n\n    one\n\n    still one\n\ntext\n\n```\ntwo\n```\n\
                text\n\n    three\n";
    let mut sums = Sums::default();
    assert_eq!(wrong("README.md", page, &mut sums), [""; 0]);
    assert_eq!(sums, Sums { found: 3, here: 2, elsewhere: 1, forms: 0, never: 0 });
}

/// The lines of a page's examples that a terminal of 80 columns cuts, as a reader sees them.
fn too_long(page: &str) -> Vec<String> {
    let mut inside = false;
    let mut long = Vec::new();
    for line in page.lines() {
        let begins = line.starts_with(".Bd ") && line.contains("-literal");
        inside = begins || inside && line != ".Ed";
        let shown = match line.strip_prefix(".Dl ") {
            Some(shown) => shown,
            None if inside && !begins => line,
            None => continue,
        };
        let shown = shown.replace("\\(dq", "\"").replace("\\e", "\\").replace("\\&", "");
        long.extend((shown.chars().count() > COLUMNS).then_some(shown));
    }
    long
}

#[test]
fn no_example_is_wider_than_a_terminal() {
    for path in files_below(&root().join("man"), &[]) {
        assert_eq!(too_long(&read(&path)), [""; 0], "{}", path.display());
    }
    for line in read(&root().join("README.md")).lines().filter(|l| l.starts_with("    ")) {
        assert!(line.trim_start().chars().count() <= COLUMNS, "README.md: {line}");
    }
    let wide = "x".repeat(COLUMNS + 1);
    let page = format!(".Dl {wide}\n{wide}\n.Bd -literal\n{wide}\n.Ed\n.Dl {}\\e\n", &wide[2..]);
    assert_eq!(too_long(&page), [wide.as_str(), wide.as_str()]);
}
