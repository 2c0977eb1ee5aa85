//! A file's text, filled in.

use super::escape::Escape;
use super::template::{Piece, pieces, variable};
use super::variables::{LARGEST, Variables};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use std::collections::BTreeSet;
use std::path::Path;
use zeroize::Zeroizing;

const IN_A_HOOK: &str =
    "what needs more than names, a hook can do (PreDeploy.sh); ##{ stands for #{ itself";
/// A message names so much of what is missing.
const LONGEST: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Filled {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// A secret is in it.
    pub(super) is_secret: bool,
}

/// The text of this file, each name in it replaced by its value.
///
/// # Errors
/// Exit 65, by line, for what is no name, for a value that can't stand there, and for all
/// names at once that aren't set. No value is in it.
pub(super) fn filled(path: &Path, text: &[u8], variables: &mut Variables) -> Result<Filled> {
    check(path, text, variables)?;
    let wrong = |line: usize, why: String| {
        Error::new(Exit::Data, path.display(), format!("line {line}: {why}"))
    };
    let mut to = Zeroizing::new(Vec::with_capacity(text.len() + 1024));
    let mut is_secret = false;
    let mut escape = Escape::of(path, text);
    // The name and line of the value before: the text behind it may refuse it.
    let mut last = (String::new(), 1);
    for (line, piece, after) in pieces(text).followed() {
        let written = match piece {
            Piece::Text(text) => escape.text(text, &mut to),
            Piece::Name(name) => {
                last = (variable(name), line);
                let value = variables.value(name).map_err(|why| wrong(line, why))?;
                match value {
                    Some(value) => {
                        is_secret |= value.is_secret;
                        escape.value(&value.bytes, after, &mut to)
                    }
                    None => Ok(()),
                }
            }
        };
        let (name, line) = &last;
        written.map_err(|why| wrong(*line, format!("{name}: {why}")))?;
        if to.len() > LARGEST {
            return Err(Error::new(
                Exit::Data,
                path.display(),
                format!("filled in, it is larger than {LARGEST} bytes"),
            ));
        }
    }
    Ok(Filled { bytes: to, is_secret })
}

/// Is all of it names, and are they set? What is missing is told together.
fn check(path: &Path, text: &[u8], variables: &mut Variables) -> Result<()> {
    let wrong = |why: String| Error::new(Exit::Data, path.display(), why);
    let mut missing = BTreeSet::new();
    let mut pieces = pieces(text);
    loop {
        let line = pieces.line();
        let name = match pieces.next() {
            None => break,
            Some(Ok(Piece::Text(_))) => continue,
            Some(Ok(Piece::Name(name))) => name,
            Some(Err(found)) => {
                let (shown, what) = (found.shown(), found.what);
                let why = format!("line {line}: {shown}: {what}, which is not filled in");
                return Err(wrong(why).hint(IN_A_HOOK));
            }
        };
        let value = variables.value(name).map_err(|why| {
            wrong(format!("line {line}: {why}")).hint("##{ in a value stands for #{ itself")
        })?;
        match value {
            Some(value) => missing.extend(value.missing.iter().cloned()),
            None => {
                missing.insert(variables.missing(name));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut names = missing.into_iter().collect::<Vec<_>>().join(", ");
    if names.len() > LONGEST {
        names.truncate(LONGEST);
        names.push_str("...");
    }
    Err(wrong(format!("not set: {}", printable(names.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a file of this name in, by what A is; the message where it is refused.
    fn with(name: &str, text: &str, a: &[u8]) -> std::result::Result<String, String> {
        use std::os::unix::ffi::OsStringExt;
        let a = ("A".into(), std::ffi::OsString::from_vec(a.to_vec()));
        let mut variables = Variables::new([a].into_iter());
        let filled = filled(Path::new(name), text.as_bytes(), &mut variables);
        let bytes = filled.map_err(|error| error.message)?.bytes.to_vec();
        Ok(String::from_utf8(bytes).expect("UTF-8"))
    }

    /// `@` stands for the name, `!` for a refusal.
    fn all_are_so(name: &str, cases: &[(&str, &str, &str)]) {
        for (text, value, wanted) in cases {
            let text = text.replace('@', "#{A}");
            let got = with(name, &text, value.as_bytes()).unwrap_or_else(|why| format!("!{why}"));
            let is_so = match wanted.strip_prefix('!') {
                Some(why) => got.starts_with('!') && got.contains(why),
                None => got == *wanted,
            };
            assert!(is_so, "{text:?} with {value:?}: {got:?}, not {wanted:?}");
        }
    }

    #[test]
    fn json_stays_json() {
        const QUOTES: &str = "!line 1: A: its value is no JSON value by itself: put quotes around";
        const END: &str = "!would end the comment";
        all_are_so(
            "a.JSON",
            &[
                (r#"{"a":"x@y"}"#, "q\"\\\n\u{1}é", "{\"a\":\"xq\\\"\\\\\\n\\u0001éy\"}"),
                (r#"{"@":"\"@\\"}"#, "\"", r#"{"\"":"\"\"\\"}"#),
                (r#"{"a":@}"#, "true", r#"{"a":true}"#),
                (
                    r#"{"a": @ , "b":[@,@]}"#,
                    "{\"x\":[1]}",
                    "{\"a\": {\"x\":[1]} , \"b\":[{\"x\":[1]},{\"x\":[1]}]}",
                ),
                ("\u{feff}@\n", "[1]", "\u{feff}[1]\n"),
                ("@ // x\n", "1", "1 // x\n"),
                (r#"{"a":@}"#, "x", QUOTES),
                (r#"{"a":@}"#, "", QUOTES),
                (r#"{"a":@}"#, "1,\"b\":2", QUOTES),
                (r#"{"a":1@}"#, "2", QUOTES),
                (r#"{"a":@1}"#, "2", QUOTES),
                (r#"{"a":@@}"#, "2", QUOTES),
                (r#"{@:1}"#, "\"x\"", QUOTES),
                (r#"{"b":2,@:1}"#, "\"x\"", QUOTES),
                (r#"{"a":"\@"}"#, "n", "!line 1: A: a backslash stands before it"),
                (r#"{"a":"\u00@"}"#, "41", "!a backslash stands before it"),
                ("// @\n{}", "a\"/*", "// a\"/*\n{}"),
                ("// @\n{}", "a\nb", "!its value has lines"),
                ("// @\n{}", "a\u{2028}b", "!its value has lines"),
                ("/* @ */{\"a\":@}", "5", "/* 5 */{\"a\":5}"),
                ("/*@*/1", "*", "/***/1"),
                ("/*@*/1", "/", "/*/*/1"),
                ("/* @ */1", "*/", END),
                ("/* *@ */1", "/", END),
                ("/* @/ */1", "*", END),
                (
                    "{\"u\":\"http://@//\", \"b\": \"@\"}",
                    "\"",
                    "{\"u\":\"http://\\\"//\", \"b\": \"\\\"\"}",
                ),
                ("\n\n{\"a\":@", "x", "!line 3: A: its value"),
            ],
        );
        let error = with("a.json", "\"#{A}\"", b"\xff").expect_err("refused");
        assert_eq!(error, "a.json: line 1: A: its value is not UTF-8");
        assert_eq!(with("a.ini", "#{A}", "\"\n".as_bytes()).as_deref(), Ok("\"\n"));
    }

    #[test]
    fn xml_stays_xml() {
        const END: &str = "!would end the comment, CDATA or instruction";
        const NAME: &str = "!outside of quotes, and its value is no name";
        const NO_PLACE: &str = "!a declaration is no place";
        all_are_so(
            "web.config",
            &[
                (
                    "<a b=\"@\">@</a>",
                    "&<>\"'",
                    "<a b=\"&amp;&lt;&gt;&quot;&#39;\">&amp;&lt;&gt;&quot;&#39;</a>",
                ),
                ("<a b='@'>@</a>", "\n\t\ré", "<a b='&#10;&#9;&#13;é'>\n\t&#13;é</a>"),
                ("<a>@</a>", "\u{1}", "!a character that XML can't"),
                ("<a>&@;</a>", "amp", "!it stands in a reference"),
                ("<a>&x@;</a>", "amp", "!it stands in a reference"),
                ("<a b='&amp;@'/>", "x", "<a b='&amp;x'/>"),
                ("<a><!-- @ --></a>", "<b>", "<a><!-- <b> --></a>"),
                ("<a><!--@--></a>", "", "<a><!----></a>"),
                ("<a><!--@--></a>", "b-", END),
                ("<a><!-- - @ --></a>", "--", END),
                ("<a><!-- -@ --></a>", "->", END),
                ("<a><![CDATA[@]]>@</a>", "<[1]", "<a><![CDATA[<[1]]]>&lt;[1]</a>"),
                ("<a><![CDATA[@]]></a>", "x]]>y", END),
                ("<a><![CDATA[ ]@ ]]></a>", "]>", END),
                ("<a><![CDATA[@> ]]></a>", "]]", END),
                ("<a><![CDATA[@@ ]]></a>", "]", "<a><![CDATA[]] ]]></a>"),
                ("<?p @?><a/>", "x", "<?p x?><a/>"),
                ("<?p @?><a/>", "?>", END),
                ("<@ x@='1'>'@'</@>", "b", "<b xb='1'>'b'</b>"),
                ("<x@/>", "1", "<x1/>"),
                ("<@/>", "1", NAME),
                ("<a @/>", "b=\"1\"", NAME),
                ("<a @/>", "", NAME),
                ("<@", "!--", NAME),
                ("<!@-->", "x", NO_PLACE),
                ("<!DOCTYPE @><a/>", "x", NO_PLACE),
                ("<!DOCTYPE a [<!-- ' -->@]><a/>", "x", NO_PLACE),
                (
                    "<!DOCTYPE a [<!-- ' --><?p ]?><!ENTITY b ']>'>]><a>@</a>",
                    "<",
                    "<!DOCTYPE a [<!-- ' --><?p ]?><!ENTITY b ']>'>]><a>&lt;</a>",
                ),
                ("<a b='<!--'>@</a>", "--", "<a b='<!--'>--</a>"),
                ("<a b=\"]]>'\">@</a>", "'", "<a b=\"]]>'\">&#39;</a>"),
            ],
        );
    }

    #[test]
    fn a_file_is_xml_by_what_it_is() {
        let other = "<?xml version='1.0' encoding='ISO-8859-1'?>";
        all_are_so(
            "a.txt",
            &[
                (&format!("{other}<a>@</a>"), "é", &format!("{other}<a>&#233;</a>")),
                (&format!("{other}<!--@-->"), "é", "!is not ASCII"),
                (
                    "\u{feff}<?xml version='1.0'?><a>@</a>",
                    "é<",
                    "\u{feff}<?xml version='1.0'?><a>é&lt;</a>",
                ),
            ],
        );
        // Not .NET's.
        assert_eq!(with("sys.config", "[{a, \"#{A}\"}].", b"<").as_deref(), Ok("[{a, \"<\"}]."));
    }

    #[test]
    fn all_that_is_missing_is_told_at_once_and_growth_has_an_end() {
        let error = with("a", "#{D.x}\n#{C}#{A}#{C}", b"").expect_err("refused");
        assert_eq!(error, "a: not set: C, D_x");
        let text = "#{A}".repeat(3000);
        let error = with("a", &text, &[b'x'; 10_000]).expect_err("too large");
        assert_eq!(error, "a: filled in, it is larger than 16777216 bytes");
        let error = with("a", "x\n#{A | ToUpper}", b"").expect_err("refused");
        assert_eq!(error, "a: line 2: #{A | ToUpper}: a filter, which is not filled in");
    }

    /// The text less its comments, which stand outside of strings here.
    fn without_comments(text: &str) -> String {
        let lines = text.lines().map(|line| line.split(" //").next().unwrap_or(""));
        let text = lines.collect::<Vec<_>>().join("\n");
        let mut parts = text.split("/*");
        let first = parts.next().unwrap_or("").to_string();
        let behind = |part: &str| part.split_once("*/").expect("it ends").1.to_string();
        parts.map(behind).fold(first, |text, part| text + &part)
    }

    #[test]
    fn whatever_values_are_it_stays_of_its_kind() {
        let mut seed: u64 = 7;
        let mut below = |bound: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((seed >> 33) as usize) % bound
        };
        let words = "\" \\ < > & ' ] - * / // /* */ # { } [ , : 1 true é ##{A} <!-- --> <![CDATA[ ? = \
                     ! u ; #{A} #{A | <?xml?>";
        let parts: Vec<&str> = words.split(' ').chain(["\n", "\u{1}", " "]).collect();
        let json = "// #{A}\n{\"a\":#{A}, /*#{A}*/ \"#{A}\":[\"b\",\"x#{A}\"]} // ";
        let (mut kept, mut refused) = (0, 0);
        for _ in 0..4000 {
            let mut some = |most| (0..below(most)).map(|_| parts[below(parts.len())]).collect();
            let (value, template): (String, String) = (some(5), some(20));
            let value = value.replace("#{A", "x");
            for name in ["a.json", "a.xml", "a.txt"] {
                // That it ends, and panics nowhere.
                let _ = with(name, &template, value.as_bytes());
            }
            let whole = ["1", "true", "\"a* \\\\\"", "{\"x\": [null]}", "\"*/\"", &value][below(6)];
            if whole.contains("/*") {
                continue;
            }
            match with("a.json", json, whole.as_bytes()) {
                Err(_) => refused += 1,
                Ok(text) => {
                    kept += 1;
                    let bare = format!("\n{}", without_comments(&format!(" {text}")));
                    assert!(crate::substitute::json::is_one_value(bare.as_bytes()), "{text}");
                }
            }
        }
        assert!(kept > 100 && refused > 100, "{kept} {refused}");
    }
}
