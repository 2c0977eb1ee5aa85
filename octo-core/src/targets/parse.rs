//! The lines of a targets file, one by one, and what they may not say together.

use super::{KNOWN, Roads, SEAL, Target, TargetTrust, Targets};
use crate::base::encoding::printable;
use crate::base::names::PusherName;
use crate::base::problem::{ENOUGH, Problem};
use crate::base::thumbprint::Thumbprint;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Lines and where they are from.
pub(super) struct Lines {
    /// For messages; `ca=` files are relative to its directory.
    pub(super) file: Arc<Path>,
    pub(super) bytes: Vec<u8>,
}

impl Targets {
    /// The targets of one file's bytes; `path` is for the messages, and `ca=`
    /// files are relative to its directory.
    ///
    /// # Errors
    /// What is wrong, in the order of the lines, up to a bound.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Targets, Vec<Problem>> {
        Targets::parse_all(&[Lines { file: path.into(), bytes: bytes.to_vec() }])
    }

    /// The same of several files, none of which may have a name that another has.
    ///
    /// # Errors
    /// As [`Targets::parse`].
    pub(super) fn parse_all(files: &[Lines]) -> Result<Targets, Vec<Problem>> {
        let mut targets = Targets::default();
        let mut lines_of_targets = Vec::new();
        let mut problems = Vec::new();
        let mut places: HashMap<PusherName, (usize, usize)> = HashMap::new();
        let told = |file: usize, (first, line): (usize, usize)| match first == file {
            true => format!("line {line}"),
            false => format!("line {line} of {}", files[first].file.display()),
        };
        'files: for (file, lines) in files.iter().enumerate() {
            for (index, line) in lines.bytes.split(|b| *b == b'\n').enumerate() {
                let number = index + 1;
                let parsed = parse_line(&lines.file, number, line).and_then(|target| {
                    let Some(target) = target else { return Ok(None) };
                    let first = *places.entry(target.name.clone()).or_insert((file, number));
                    if first != (file, number) {
                        return Err(format!(
                            "target {} is on {} already",
                            target.name,
                            told(file, first)
                        ));
                    }
                    Ok(Some(target))
                });
                match parsed {
                    Ok(None) => {}
                    Ok(Some(target)) => {
                        targets.all.push(target);
                        lines_of_targets.push((file, line));
                    }
                    Err(reason) => {
                        problems.push((file, Problem::new(&lines.file, number, line, reason)))
                    }
                }
                if problems.len() == ENOUGH {
                    break 'files;
                }
            }
        }
        // `-t db` must not mean both the machine db and others that carry the tag.
        let lines = targets.all.iter().zip(lines_of_targets);
        let tags = lines.flat_map(|(target, line)| {
            let of_target = target.tags.iter();
            of_target.map(move |tag| (tag, target, line))
        });
        let ambiguous = tags.filter_map(|(tag, target, (file, line))| {
            let first = *places.get(tag).filter(|place| **place != (file, target.line))?;
            let reason = format!("tag {tag} is the name of the target on {}", told(file, first));
            Some((file, Problem::new(&target.file, target.line, line, reason)))
        });
        let room = ENOUGH.saturating_sub(problems.len());
        problems.extend(ambiguous.take(room));
        problems.sort_by_key(|(file, problem)| (*file, problem.line));
        if problems.is_empty() {
            return Ok(targets);
        }
        Err(problems.into_iter().map(|(_, problem)| problem).collect())
    }
}

fn parse_line(path: &Arc<Path>, number: usize, line: &[u8]) -> Result<Option<Target>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_string())?;
    if text.starts_with('#') {
        return Ok(None);
    }
    let mut words = text.split_ascii_whitespace();
    let Some(name) = words.next() else { return Ok(None) };
    let (Some(address), Some(trust)) = (words.next(), words.next()) else {
        return Err("a target needs a name, an address and a thumbprint".into());
    };
    let name = parse_name("target name", name)?;
    let roads = Roads::parse(address)?;
    let trust = parse_trust(path, trust)?;
    if roads.address().is_none() && !matches!(trust, TargetTrust::Thumbprints(_)) {
        return Err("webpki and ca= vouch for an address, and there is none".into());
    }
    let (mut tags, mut seals) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for word in words {
        if let Some(list) = word.strip_prefix(SEAL) {
            if !seals.is_empty() {
                return Err("seal= stands there twice".into());
            }
            seals = parse_thumbprints(list, "seal=THUMBPRINT, several joined by commas")?;
            continue;
        }
        if word.starts_with('#') {
            return Err("a comment is a line of its own".into());
        }
        let tag = parse_name("tag", word)?;
        if !seen.insert(word) {
            return Err(format!("tag {tag} stands there twice"));
        }
        tags.push(tag);
    }
    // An inventory that may not say who it is may not say who proves its ends either.
    if !seals.is_empty() && matches!(&trust, TargetTrust::Thumbprints(none) if none.is_empty()) {
        return Err("seal= stands beside the thumbprint, in CONFIG/thumbprints".into());
    }
    Ok(Some(Target {
        name,
        roads,
        trust,
        seals,
        tags,
        file: Arc::clone(path),
        line: number,
        known: None,
    }))
}

pub(super) fn parse_name(what: &str, text: &str) -> Result<PusherName, String> {
    PusherName::parse(text).ok_or_else(|| {
        format!("'{}' is not a {what} ({})", printable(text.as_bytes()), PusherName::FORM)
    })
}

fn parse_trust(path: &Path, text: &str) -> Result<TargetTrust, String> {
    match text {
        "webpki" => return Ok(TargetTrust::WebPki),
        KNOWN => return Ok(TargetTrust::Thumbprints(Vec::new())),
        _ => {}
    }
    if let Some(file) = text.strip_prefix("ca=") {
        if file.is_empty() {
            return Err("ca= names no file".into());
        }
        let directory = path.parent().unwrap_or(Path::new("."));
        return Ok(TargetTrust::CaFile(directory.join(file)));
    }
    let form = "a thumbprint, several joined by commas, known, webpki or ca=FILE";
    parse_thumbprints(text, form).map(TargetTrust::Thumbprints)
}

pub(super) fn parse_thumbprints(text: &str, form: &str) -> Result<Vec<Thumbprint>, String> {
    let mut thumbprints = Vec::new();
    let mut seen = HashSet::new();
    for part in text.split(',') {
        let thumbprint = Thumbprint::parse(part).map_err(|reason| format!("{reason} ({form})"))?;
        if !seen.insert(thumbprint) {
            return Err(format!("thumbprint {thumbprint} stands there twice"));
        }
        thumbprints.push(thumbprint);
    }
    Ok(thumbprints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(seed: &str) -> String {
        Thumbprint::of_certificate(seed.as_bytes()).to_string()
    }

    fn parse(text: &str) -> Result<Targets, Vec<Problem>> {
        Targets::parse(Path::new("t"), text.as_bytes())
    }

    #[test]
    fn a_file_with_everything() {
        let (a, b) = (print("a"), print("b"));
        let text = format!(
            "# a comment\r\n\nweb1 10.0.0.11 {a} production web\r\nweb2 web2.example:99 {a},{b}\n\
             edge [2001:db8::1]:443 webpki seal={b},{a} edge\n  six 2001:db8::2 ca=fleet.pem"
        );
        let targets = Targets::parse(Path::new("/etc/octo/targets"), text.as_bytes());
        let targets = targets.expect("sound");
        assert_eq!(targets.all.len(), 4);
        let web2 = targets.named("web2").expect("web2");
        assert_eq!(web2.roads.to_string(), "web2.example:99");
        assert_eq!(web2.line, 4);
        assert_eq!(web2.trust.to_string(), format!("{a},{b}"));
        let edge = targets.named("edge").expect("edge");
        assert_eq!(edge.sealed_by(), Some(format!("seal={b},{a}")));
        assert_eq!((edge.tags.len(), web2.sealed_by()), (1, None));
        let six = targets.named("six").expect("six");
        assert_eq!(six.trust, TargetTrust::CaFile("/etc/octo/fleet.pem".into()));
        let shared = targets.shared_thumbprints();
        assert_eq!(shared.len(), 1);
        let names: Vec<&str> = shared[0].1.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["web1", "web2"]);
    }

    #[test]
    fn each_wrong_line_is_named() {
        let a = print("a");
        for (line, said) in [
            ("web1".to_string(), "needs a name, an address"),
            ("web1 10.0.0.1".into(), "needs a name, an address"),
            (format!("-x 10.0.0.1 {a}"), "'-x' is not a target name"),
            (format!("web1 -oProxyCommand=x {a}"), "is not an address"),
            ("web1 exec:nc webpki".into(), "vouch for an address"),
            (format!("web1 h,h {a}"), "twice"),
            (format!("web1 h {}", &a[..40]), "SHA-1"),
            (format!("web1 h \u{200e}{a}"), "U+200E"),
            (format!("web1 h {a},{a}"), "twice"),
            (format!("web1 h {a} x x"), "twice"),
            (format!("web1 h {a} x # y"), "comment"),
            (format!("web1 h {a} a/b"), "'a/b' is not a tag"),
            ("web1 h ca=".into(), "names no file"),
            (format!("web1 h {a} seal="), "seal=THUMBPRINT"),
            (format!("web1 h {a} seal={a},{a}"), "twice"),
            (format!("web1 h {a} seal={a} x seal={a}"), "seal= stands there twice"),
            (format!("web1 h known x seal={a}"), "in CONFIG/thumbprints"),
            (format!("ok h {a}"), "is on line 1 already"),
            (format!("web1 h {a} ok"), "tag ok is the name"),
        ] {
            let text = format!("ok h {a}\n\n{line}\n");
            let problems = parse(&text).expect_err(&line);
            assert_eq!(problems.len(), 1, "{line}");
            assert!(problems[0].reason.contains(said), "{line}: {}", problems[0].heading());
            assert!(problems[0].heading().starts_with("t:3: "), "{}", problems[0].heading());
        }
        let problems = Targets::parse(Path::new("t"), b"a b c\n\xff\x1b\n").expect_err("bad");
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[1].text, "\\xff\\x1b");
    }

    /// A hundred bytes and more a problem, beside two bytes of the file.
    #[test]
    fn of_a_file_that_is_no_such_file_few_problems_are_kept() {
        let wrong = parse(&"x\n".repeat(1_000_000)).expect_err("no targets");
        assert_eq!((wrong.len(), wrong[ENOUGH - 1].line), (ENOUGH, ENOUGH));

        // A tag a target, each the name of the one before.
        let chain: String = (0..20_000).map(|i| format!("n{} h webpki n{i}\n", i + 1)).collect();
        let problems = parse(&chain).expect_err("names");
        assert_eq!(problems.len(), ENOUGH);
        assert_eq!(problems[ENOUGH - 1].text, "n101 h webpki n100");

        // Some of one kind, then more of the other, also on a single line.
        let names: String = (0..200).map(|i| format!("n{i} h webpki\n")).collect();
        let tags: Vec<String> = (0..200).map(|i| format!("n{i}")).collect();
        let problems = parse(&format!("{names}all h webpki {}\nx\n", tags.join(" ")));
        let problems = problems.expect_err("tags");
        assert_eq!((problems.len(), problems[0].line), (ENOUGH, 201));
        assert_eq!(problems[ENOUGH - 1].line, 202);
    }

    /// Each would take minutes if one word cost a look at all the others.
    #[test]
    fn long_lines_and_files_are_cheap() {
        let start = std::time::Instant::now();
        let mut text = String::new();
        for i in 0..10_000 {
            text.push_str(&format!("n{i} 10.0.{}.{} {} prod\n", i / 250, i % 250, print("x")));
        }
        let targets = parse(&text).expect("sound");
        assert_eq!(targets.shared_thumbprints()[0].1.len(), 10_000);

        let tags: Vec<String> = (0..100_000).map(|i| format!("t{i}")).collect();
        let line = format!("web1 h {} {}", print("x"), tags.join(" "));
        let targets = parse(&line).expect("sound");
        assert_eq!(targets.all[0].tags.len(), 100_000);
        assert_eq!(targets.all[0].tags[99_999].as_str(), "t99999");
        let problems = parse(&format!("{line} t99999")).expect_err("twice");
        assert_eq!(problems[0].reason, "tag t99999 stands there twice");

        // A tag a target, each almost the name of the one before.
        let chain: String = (0..20_000).map(|i| format!("n{} h webpki N{i}\n", i + 1)).collect();
        assert_eq!(parse(&chain).expect("sound").all.len(), 20_000);

        let prints: Vec<String> = (0..20_000).map(|i| print(&i.to_string())).collect();
        let targets = parse(&format!("web1 h {}", prints.join(","))).expect("sound");
        assert_eq!(targets.all[0].trust.to_string(), prints.join(","));
        // Generous for a busy machine; what is quadratic takes minutes on an idle one.
        assert!(start.elapsed() < std::time::Duration::from_secs(45));
    }
}
