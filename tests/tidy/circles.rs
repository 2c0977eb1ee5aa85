//! No circle of files: what uses a file isn't used by it, near or far. A file and the
//! mod.rs above it are one house; what a mod.rs hands on counts as where it comes from.

use crate::{files_below, read, root};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module: the words of its path below `crate`.
type Module = Vec<String>;

/// One crate: the text of each module that is a file, and what it hands on.
struct Crate {
    files: BTreeMap<Module, String>,
    handed_on: BTreeMap<Module, BTreeMap<String, Module>>,
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut arrows_in_all = 0;
    let mut circles = Vec::new();
    for name in ["core", "wire", "push", "listen", "exec", "keys"] {
        let name = format!("octo-{name}");
        let arrows = Crate::read(&root().join(&name).join("src")).arrows();
        arrows_in_all += arrows.values().map(BTreeSet::len).sum::<usize>();
        let left = without_ends(arrows);
        for (from, to) in &left {
            let to: Vec<String> = to.iter().map(|module| module.join("::")).collect();
            circles.push(format!("{name}: {} uses {}", from.join("::"), to.join(", ")));
        }
    }
    assert!(arrows_in_all > 500, "{arrows_in_all} arrows: is the text still understood?");
    assert!(circles.is_empty(), "in a circle, or between two: {circles:#?}");
}

/// What is left when files that use no other, or that no other uses, are taken away
/// again and again: circles, and what lies between two.
fn without_ends(
    mut arrows: BTreeMap<Module, BTreeSet<Module>>,
) -> BTreeMap<Module, BTreeSet<Module>> {
    loop {
        let before = arrows.len();
        let used: BTreeSet<Module> = arrows.values().flatten().cloned().collect();
        arrows.retain(|module, to| !to.is_empty() && used.contains(module));
        let left: BTreeSet<Module> = arrows.keys().cloned().collect();
        arrows.values_mut().for_each(|to| to.retain(|module| left.contains(module)));
        if arrows.len() == before {
            return arrows;
        }
    }
}

impl Crate {
    fn read(src: &Path) -> Crate {
        let mut files = BTreeMap::new();
        for file in files_below(src, &["rs"]) {
            let below = file.strip_prefix(src).expect("below").with_extension("");
            let words = below.iter().map(|word| word.to_str().expect("UTF-8").to_string());
            let heads = ["mod", "lib", "main"];
            let module: Module = words.filter(|word| !heads.contains(&word.as_str())).collect();
            if !module.iter().any(|word| word == "tests") {
                files.insert(module, code_of(&read(&file)));
            }
        }
        let mut found = Crate { files, handed_on: BTreeMap::new() };
        for (module, text) in &found.files {
            let public = text.match_indices("use ").filter(|(at, _)| {
                let line = text[..*at].rsplit('\n').next().unwrap_or_default().trim_start();
                line.starts_with("pub")
            });
            for path in public.flat_map(|(at, _)| paths(&text[at + 4..])) {
                let name = path.last().expect("a word").clone();
                let path = found.below_crate(module, path);
                found.handed_on.entry(module.clone()).or_default().insert(name, path);
            }
        }
        found
    }

    /// Which file uses which.
    fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let of = |(module, text): (&Module, &String)| {
            let is_begin = |at: usize| !text[..at].ends_with([':', '_']) && !is_word(text, at);
            let begins = ["crate::", "super::", "self::"]
                .into_iter()
                .flat_map(|word| text.match_indices(word))
                .filter(|(at, _)| is_begin(*at))
                .map(|(at, _)| at);
            let said = begins.flat_map(|at| paths(&text[at..]));
            // Modules below are named without any of these.
            let below = self.files.keys().filter(|other| {
                other.split_last().is_some_and(|(last, above)| {
                    let named = format!("{last}::");
                    above == module.as_slice()
                        && text.match_indices(&named).any(|(at, _)| is_begin(at))
                })
            });
            let used = said.filter_map(|path| self.file_of(self.below_crate(module, path)));
            let used = used.chain(below.cloned());
            let own =
                |to: &Module| *to == *module || module.split_last().map(|(_, up)| up) == Some(to);
            (module.clone(), used.filter(|to| !own(to)).collect())
        };
        self.files.iter().map(of).collect()
    }

    /// The path as `crate` sees it.
    fn below_crate(&self, module: &[String], path: Module) -> Module {
        let ups = path.iter().take_while(|word| *word == "super").count();
        let up = &module[..module.len().saturating_sub(ups)];
        match path[0].as_str() {
            "crate" => path[1..].to_vec(),
            "super" => [up, &path[ups..]].concat(),
            "self" => [module, &path[1..]].concat(),
            _ => [module, &path[..]].concat(),
        }
    }

    /// The file in which what this path names is written down.
    fn file_of(&self, path: Module) -> Option<Module> {
        let there = (0..=path.len()).rev().find(|n| self.files.contains_key(&path[..*n]))?;
        let module = &path[..there];
        let handed_on = self.handed_on.get(module).and_then(|names| names.get(path.get(there)?));
        match handed_on {
            Some(from) if from.len() > module.len() && *from != path => self.file_of(from.clone()),
            _ => Some(module.to_vec()),
        }
    }
}

/// Without comments, and without the tests, which come last.
fn code_of(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.take_while(|line| !line.ends_with("mod tests {"));
    code.collect::<Vec<_>>().join("\n")
}

fn is_word(text: &str, before: usize) -> bool {
    text[..before].ends_with(|c: char| c.is_alphanumeric())
}

/// The paths that begin here, braces taken apart.
fn paths(text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    take_paths(text, &Vec::new(), &mut found);
    found
}

fn take_paths<'a>(text: &'a str, before: &Module, found: &mut Vec<Module>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut inner) = text.strip_prefix('{') {
        loop {
            inner = inner.trim_start_matches([' ', '\n', ',']);
            if inner.is_empty() || inner.starts_with('}') {
                return inner.get(1..).unwrap_or_default();
            }
            inner = take_paths(inner, before, found);
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let path = [before.as_slice(), &[word.to_string()]].concat();
    match rest.strip_prefix("::") {
        Some(rest) if !word.is_empty() => take_paths(rest, &path, found),
        _ => {
            found.push(path);
            // An `as NAME`, a `*` or what else stands before the next one.
            let next = rest.find([',', '}', ';', '\n']).unwrap_or(rest.len());
            &rest[next..]
        }
    }
}
