//! The trust file's form: lines, words, quotes, and what is wrong with them.

use super::head::Columns;
use super::line::Line;
use super::plain::{LONGEST, Plain, first_line};
use crate::base::encoding::is_hidden;
use crate::base::problem::{ENOUGH, Problem};
use crate::base::thumbprint::Thumbprint;
use crate::trust::{LARGEST, Options, Trust};
use std::collections::HashSet;
use std::path::Path;

impl Trust {
    /// The lines of a file's bytes; `path` is for the messages.
    ///
    /// # Errors
    /// What is wrong, in the order of the lines, up to a bound.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Trust, Vec<Problem>> {
        Trust::parse_of(path, bytes, None)
    }

    /// The same; of a thumbprint's lines, where one is said. All others must be sound as well,
    /// and cost little: a file may have thousands.
    pub(in crate::trust) fn parse_of(
        path: &Path,
        bytes: &[u8],
        thumbprint: Option<Thumbprint>,
    ) -> Result<Trust, Vec<Problem>> {
        if bytes.len() as u64 > LARGEST {
            let reason = format!("the file is larger than {LARGEST} bytes");
            return Err(vec![Problem::new(path, 1, b"", reason)]);
        }
        let mut lines = Vec::new();
        let mut problems = Vec::new();
        // What was seen to be sound behind a name.
        let mut sound = HashSet::new();
        let own = thumbprint.map(|thumbprint| thumbprint.to_string());
        let mut rest = Some(bytes);
        for number in 1.. {
            let Some(text) = rest.filter(|_| problems.len() < ENOUGH) else { break };
            let bytes;
            (bytes, rest) = first_line(text);
            let plain = thumbprint.and_then(|_| Plain::of(bytes));
            let is_known =
                |plain: &Plain| plain.options.is_empty() || sound.contains(plain.options);
            let is_others = |plain: &Plain| own.as_deref() != Some(plain.digits);
            if plain.as_ref().is_some_and(|plain| is_others(plain) && is_known(plain)) {
                continue;
            }
            match line(number, bytes) {
                Ok(line) => {
                    let is_asked =
                        |line: &Line| thumbprint.is_none_or(|own| own == line.thumbprint);
                    lines.extend(line.filter(is_asked));
                    sound.extend(plain.map(|plain| plain.options));
                }
                Err(reason) => problems.push(Problem::new(path, number, bytes, reason)),
            }
        }
        match problems.is_empty() {
            true => Ok(Trust { path: path.to_path_buf(), lines: lines.into_iter().collect() }),
            false => Err(problems),
        }
    }
}

impl Line {
    /// The same line for another thumbprint: name and options as they stand there.
    pub(in crate::trust) fn like(&self, thumbprint: Thumbprint, number: usize) -> Line {
        let words = words(&self.text).expect("the quotes of a line that was read are closed");
        let columns = Columns::of(&words).expect("a line that was read has words");
        let mut text = format!("{thumbprint} {}", self.name);
        for word in columns.rest {
            text.push(' ');
            text.push_str(word);
        }
        Line { number, text, thumbprint, ..self.clone() }
    }
}

/// One line; a comment and an empty one name nobody.
pub(in crate::trust) fn line(number: usize, bytes: &[u8]) -> Result<Option<Line>, String> {
    if bytes.len() > LONGEST {
        return Err(format!("the line is longer than {LONGEST} bytes"));
    }
    if bytes.contains(&0) {
        return Err("a NUL byte is in the line".into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "the line is not UTF-8")?;
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.starts_with('\u{feff}') {
        return Err("a byte order mark (U+FEFF) is in front: save the file without one".into());
    }
    if text.starts_with('#') {
        return Ok(None);
    }
    let words = words(text)?;
    let Some(columns) = Columns::of(&words) else { return Ok(None) };
    let thumbprint = columns.thumbprint?;
    if let Some(hidden) = text.chars().find(|c| *c != '\t' && is_hidden(*c)) {
        return Err(format!(
            "a character that can't be seen (U+{:04X}) is in the line",
            hidden as u32
        ));
    }
    let name = columns.name?;
    let options = Options::read(columns.rest.iter().copied())?;
    Ok(Some(Line { number, text: text.trim_ascii().to_string(), thumbprint, name, options }))
}

/// Words between blanks; inside double quotes a blank belongs to the word.
fn words(text: &str) -> Result<Vec<&str>, String> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b' ' | b'\t' if !quoted => {
                words.extend(start.take().map(|start| &text[start..index]));
            }
            _ => {
                quoted ^= byte == b'"';
                start.get_or_insert(index);
            }
        }
    }
    if quoted {
        return Err("a double quote is not closed".into());
    }
    words.extend(start.map(|start| &text[start..]));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Network;
    use std::path::PathBuf;
    use std::time::Duration;

    fn print(seed: &str) -> String {
        Thumbprint::of_certificate(seed.as_bytes()).to_string()
    }

    #[test]
    fn a_line_with_everything() {
        let a = print("a");
        let text = format!(
            "# pushers\r\n\n{a} ci from=10.0.0.0/8,::1 expires=2027-06-30 allow=put,run user=app sudo \
             scripts=\"/srv/my scripts\" window=\"Mon-Fri 22:00-05:00\" hold set=A=1 set=\"B=two words\" \
             set=C=\"a=b c\" set=D= locks=db,web max-wait=1m max-size=1K max-store=2K max-jobs=3 \
             max-log=4K timeout=2h\r\n\t{}\tplain",
            print("b")
        );
        let trust = Trust::parse(Path::new("t"), text.as_bytes()).expect("sound");
        let [line, plain] = &trust.lines[..] else { panic!("two lines") };
        assert_eq!((line.number, line.name.as_str()), (3, "ci"));
        let (full, bare) = (&line.options, &plain.options);
        assert_eq!(full.from.as_ref().map(Vec::len), Some(2));
        assert_eq!(full.from.as_ref().map(|f| f[0]), Network::parse("10.0.0.0/8").ok());
        assert_eq!(full.expires.map(|d| d.to_string()), Some("2027-06-30".into()));
        assert!(full.allow.put && full.allow.run && !full.allow.status && !full.allow.any);
        assert_eq!(full.user.as_deref(), Some("app"));
        assert!(full.sudo && full.hold == 1 && full.window.is_some());
        assert_eq!(full.scripts, Some(PathBuf::from("/srv/my scripts")));
        let set: Vec<_> = full.set.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(set, [("A", "1"), ("B", "two words"), ("C", "a=b c"), ("D", "")]);
        assert_eq!(full.locks.as_ref().map(Vec::len), Some(2));
        assert_eq!(
            (full.max_wait, full.timeout.map(|t| t.as_secs())),
            (Duration::from_secs(60), Some(7200))
        );
        assert_eq!(
            (full.max_size, full.max_store, full.max_jobs, full.max_log),
            (1024, 2048, 3, 4096)
        );
        assert_eq!(
            (plain.number, plain.name.as_str(), plain.text.ends_with("plain")),
            (4, "plain", true)
        );
        assert_eq!((bare.max_size, bare.max_store), (4 << 30, 20 << 30));
        assert_eq!((bare.max_jobs, bare.max_log, bare.timeout), (64, 1 << 30, None));
        assert_eq!(bare.max_wait, Duration::from_secs(300));
        assert!(bare.allow.status && bare.allow.put && bare.allow.run && !bare.allow.any);
    }

    #[test]
    fn an_empty_file_trusts_nobody() {
        for text in ["", "\n", "# nobody\n", "\r\n \t \n"] {
            assert!(Trust::parse(Path::new("t"), text.as_bytes()).expect("sound").lines.is_empty());
        }
    }

    #[test]
    fn thumbprints_as_people_paste_them() {
        let plain = print("a");
        let pairs: Vec<String> = plain
            .to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).into_owned())
            .collect();
        let colons = pairs.join(":");
        for text in [
            plain.clone(),
            plain.to_uppercase(),
            colons.clone(),
            format!("SHA256:{plain}"),
            format!("sha256 Fingerprint={colons}"),
            format!("SHA256 Fingerprint={colons}"),
        ] {
            let trust = Trust::parse(Path::new("t"), format!("{text} ci sudo\r\n").as_bytes())
                .expect(&text);
            assert_eq!(trust.lines[0].thumbprint.to_string(), plain, "{text}");
        }
    }

    #[test]
    fn each_wrong_key_or_name_is_named() {
        let a = print("a");
        are_named(&[
            (a.clone(), "name is missing"),
            (format!("ci {a}"), "'i' is not a hex digit"),
            (format!("{} ci", &a[..40]), "SHA-1"),
            (format!("\u{200e}{a} ci"), "U+200E"),
            (format!("\u{feff}{a} ci"), "byte order mark"),
            (format!("{a} {}", print("b")), "where the pusher's name belongs"),
            (format!("{a} -ci"), "'-ci' is not a pusher's name"),
            (format!("{a} ci\u{200b}"), "U+200B"),
            (format!("{a} ci user=a\u{202e}b"), "U+202E"),
            (format!("{a} ci\u{1b}[2J"), "U+001B"),
            (format!("{a} ci\rsudo"), "U+000D"),
            (format!("{a} ci set=A=\0"), "NUL"),
            (format!("  # {a} ci"), "at the start of its line"),
        ]);
    }

    #[test]
    fn each_wrong_option_is_named() {
        let a = print("a");
        are_named(&[
            (format!("{a} ci shell=sh"), "unknown option 'shell'"),
            (format!("{a} ci Sudo"), "unknown option 'Sudo'"),
            (format!("{a} ci # for now"), "comment is a line of its own"),
            (format!("{a} ci sudo sudo"), "sudo stands there twice"),
            (format!("{a} ci user=a user=a"), "user stands there twice"),
            (format!("{a} ci set=A=1 set=A=2"), "set=A stands there twice"),
            (format!("{a} ci sudo=yes"), "sudo takes no value"),
            (format!("{a} ci hold="), "hold=: not a number from 1 to 9"),
            (format!("{a} ci hold=0"), "hold=0: not a number from 1 to 9"),
            (format!("{a} ci hold=10"), "hold=10: not a number from 1 to 9"),
            (format!("{a} ci hold hold=2"), "hold stands there twice"),
            (format!("{a} ci sudo="), "sudo takes no value"),
            (format!("{a} ci user"), "user needs a value"),
            (format!("{a} ci user="), "not a user's name"),
            (format!("{a} ci user=-x"), "not a user's name"),
            (format!("{a} ci user=\"a b\""), "not a user's name"),
            (format!("{a} ci user=\"app"), "not closed"),
            (format!("{a} ci user=\"app\"x\"\""), "can only enclose"),
            (format!("{a} ci user=\"app\"x"), "doesn't end the value"),
            (format!("{a} ci user=a\"p\"p"), "can only enclose"),
            (format!("{a} ci \"sudo\""), "unknown option"),
            (format!("{a} ci from="), "not a network"),
            (format!("{a} ci from=10.0.0.0/8,"), "not a network"),
            (format!("{a} ci from=10.0.0.1/8"), "behind its prefix"),
            (format!("{a} ci from=::1,::1"), "twice"),
            (format!("{a} ci expires=2027-02-30"), "not a date such as"),
            (format!("{a} ci expires=20270630"), "not a date such as"),
            (format!("{a} ci expires=never"), "not a date such as"),
            (
                format!("{a} ci allow="),
                "none of status, put, run, freeze, despite, approve, audit, any",
            ),
            (format!("{a} ci allow=put,put"), "twice"),
            (format!("{a} ci allow=follow"), "'follow' is none of"),
            (format!("{a} ci scripts=scripts"), "begins with /"),
            (format!("{a} ci window=22:00"), "not a range of times"),
            (format!("{a} ci set=A"), "set needs a variable"),
            (format!("{a} ci set=1A=x"), "not a variable name"),
            (format!("{a} ci locks=a,,b"), "not a lock's name"),
            (format!("{a} ci locks=a/b"), "not a lock's name"),
            (format!("{a} ci max-wait=5"), ""),
            (format!("{a} ci max-wait=5min"), "max-wait=5min: not a duration such as"),
            (format!("{a} ci max-size=-1"), "max-size=-1: not a size such as"),
            (format!("{a} ci max-size=9223372036854775808"), "not a size such as"),
            (format!("{a} ci max-jobs=4K"), "not a number"),
            (format!("{a} ci max-jobs=4294967296000000000000"), "not a number"),
            (format!("{a} ci timeout=0"), "in no time"),
            (format!("{a} ci set=A={}", "x".repeat(70_000)), "longer than 65536"),
        ]);
    }

    /// What is said of each line; nothing of a sound one.
    fn are_named(lines: &[(String, &str)]) {
        for (line, said) in lines {
            let text = format!("# one\n\n{line}\n");
            let parsed = Trust::parse(Path::new("t"), text.as_bytes());
            if said.is_empty() {
                assert!(parsed.is_ok(), "{line}");
                continue;
            }
            let problems = parsed.expect_err(line);
            assert_eq!(problems.len(), 1, "{line}");
            assert!(problems[0].reason.contains(said), "{line}: {}", problems[0].heading());
            assert!(problems[0].heading().starts_with("t:3: "), "{}", problems[0].heading());
            assert!(problems[0].heading().len() < 1000, "{}", problems[0].heading());
        }
    }

    #[test]
    fn all_problems_come_at_once_and_escaped() {
        let problems =
            Trust::parse(Path::new("t"), b"x y\n# ok\n\xff\x1b[2J\n").expect_err("unsound");
        let lines: Vec<usize> = problems.iter().map(|p| p.line).collect();
        assert_eq!(lines, [1, 3]);
        assert_eq!(problems[1].text, "\\xff\\x1b[2J");
        let noise = "x y\n".repeat(100_000);
        assert_eq!(
            Trust::parse(Path::new("t"), noise.as_bytes()).expect_err("unsound").len(),
            ENOUGH
        );
        let large = vec![b'\n'; LARGEST as usize + 1];
        assert_eq!(Trust::parse(Path::new("t"), &large).expect_err("too large").len(), 1);
    }

    #[test]
    fn lines_are_found_by_thumbprint_in_their_order() {
        let text: String =
            (0..3000).map(|n| format!("{} p{n}\n", print(&(n % 1000).to_string()))).collect();
        let trust = Trust::parse(Path::new("t"), text.as_bytes()).expect("sound");
        let numbers: Vec<usize> =
            trust.of(Thumbprint::of_certificate(b"7")).map(|line| line.number).collect();
        assert_eq!(numbers, [8, 1008, 2008]);
        assert_eq!(trust.of(Thumbprint::of_certificate(b"nobody")).count(), 0);
    }

    #[test]
    fn an_address_is_expected_where_a_from_names_its_network() {
        let line = |from: &str| format!("{} ci {from}\n", Thumbprint::of_certificate(b"x"));
        let text =
            line("from=10.0.0.0/8,192.0.2.7,2001:db8::/32") + &line("from=::ffff:198.51.100.0/120");
        let trust = Trust::parse(Path::new("t"), text.as_bytes()).expect("sound");
        for (address, expected) in [
            ("10.255.0.1", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("198.51.100.200", true),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(trust.expects(address.parse().expect("ip")), expected, "{address}");
        }
        let anywhere = Trust::parse(Path::new("t"), line("").as_bytes()).expect("sound");
        assert!(!anywhere.expects("10.0.0.1".parse().expect("ip")));
        let all = Trust::parse(Path::new("t"), line("from=0.0.0.0/0").as_bytes()).expect("sound");
        assert!(all.expects("10.0.0.1".parse().expect("ip")));
        assert!(!all.expects("::1".parse().expect("ip")));
    }
}
