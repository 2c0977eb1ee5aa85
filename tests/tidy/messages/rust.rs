//! Messages in Rust: every literal that reads as words, wherever it is handed to.
//!
//! Constructors, closures and constants are told apart by nobody here, so that none of them
//! hides a message. Left out is what the rules below name: tests, help, and what is printed
//! as whole lines.

use std::iter::Peekable;
use std::str::Chars;

/// Their words are read by who wrote the code, or are a row of `--help`, which has a test.
const NO_MESSAGE: [&str; 15] = [
    "expect",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "unreachable",
    "value",
    "values",
    "flag",
    "verb",
    "OptionGroup",
    "Help",
    "concat",
    "group",
];

/// The templates of this file, each `{…}` as `{}`, without those of its tests.
pub(super) fn templates(text: &str) -> Vec<String> {
    let text = without_tests(text);
    let mut reader =
        Reader { rest: text.chars().peekable(), calls: Vec::new(), word: String::new() };
    let mut found = Vec::new();
    while let Some(literal) = reader.next_literal() {
        if !reader.calls.last().is_some_and(|call| NO_MESSAGE.contains(&call_name(call))) {
            found.extend(template(&literal, reader.is_whole_reason()));
        }
    }
    found
}

/// The modules of tests that are files of their own: `mod tests;` behind `#[cfg(test)]`.
pub(super) fn test_modules(text: &str) -> Vec<String> {
    let after = text.split("#[cfg(test)]\n").skip(1);
    let named = after.filter_map(|rest| rest.trim_start().strip_prefix("mod ")?.split_once(';'));
    named.map(|(name, _)| name.to_string()).filter(|name| !name.contains(' ')).collect()
}

/// What stands behind the first item of tests with a body is tests as well: the house has
/// them last.
fn without_tests(text: &str) -> &str {
    let mut from = 0;
    while let Some(at) = text[from..].find("#[cfg(test)]\n") {
        let item = &text[from + at..];
        let is_file = item.find(';').unwrap_or(usize::MAX) < item.find('{').unwrap_or(usize::MAX);
        if !is_file && item.contains("mod tests {") {
            return &text[..from + at];
        }
        from += at + 1;
    }
    text
}

/// `None` for what isn't read as words.
fn template(literal: &str, whole: bool) -> Option<String> {
    if literal.contains(['\n', '\t']) {
        return None;
    }
    let mut text = String::new();
    let mut words = String::new();
    let mut characters = literal.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '{' | '}' if characters.peek() == Some(&character) => {
                characters.next();
                text.push(character);
            }
            '{' => {
                characters.by_ref().find(|c| *c == '}');
                text.push_str("{}");
                words.push(' ');
                continue;
            }
            _ => text.push(character),
        }
        words.push(character);
    }
    let text = text.trim().to_string();
    let letters: Vec<char> = words.chars().collect();
    let reads = letters.windows(2).any(|pair| pair.iter().all(char::is_ascii_lowercase));
    (reads && (whole || text.contains(' '))).then_some(text)
}

fn call_name(call: &str) -> &str {
    call.rsplit("::").next().unwrap_or(call)
}

/// Goes over source from literal to literal, and knows in which call it is.
struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    /// The name before each bracket that is open.
    calls: Vec<String>,
    /// The path that was read last.
    word: String,
}

impl Reader<'_> {
    fn next_literal(&mut self) -> Option<String> {
        while let Some(character) = self.rest.next() {
            match character {
                '/' if self.rest.peek() == Some(&'/') => self.pass_line(),
                '#' if self.rest.peek() == Some(&'[') => self.pass_attribute(),
                '\'' => self.pass_character(),
                '"' => {
                    let prefix = std::mem::take(&mut self.word);
                    let literal = self.literal(prefix == "r");
                    if prefix != "b" {
                        return Some(literal);
                    }
                }
                '#' if self.word == "r" => {
                    self.word.clear();
                    self.rest.by_ref().find(|c| *c == '"');
                    return Some(self.raw());
                }
                '(' | '[' | '{' => self.open(),
                ')' | ']' | '}' => {
                    self.calls.pop();
                    self.word.clear();
                }
                '_' | ':' | 'a'..='z' | 'A'..='Z' | '0'..='9' => self.word.push(character),
                // The bang of a macro, and blanks before a bracket, part nothing.
                '!' => {}
                ' ' if self.rest.peek() == Some(&'{') => {}
                _ => self.word.clear(),
            }
        }
        None
    }

    /// An array without a name is of the call that it stands in.
    fn open(&mut self) {
        let word = std::mem::take(&mut self.word);
        let call = if word.is_empty() { self.calls.last().cloned() } else { Some(word) };
        self.calls.push(call.unwrap_or_default());
    }

    /// One word is a reason where it is the last that an error is made of.
    fn is_whole_reason(&mut self) -> bool {
        let makes =
            ["Error::new", "Error::usage", "misuse", "hint", "malformed", "Failure::Malformed"];
        self.rest.peek() == Some(&')')
            && self.calls.last().is_some_and(|call| {
                makes.contains(&call.as_str()) || makes.contains(&call_name(call))
            })
    }

    fn pass_line(&mut self) {
        self.rest.by_ref().find(|c| *c == '\n');
    }

    fn pass_attribute(&mut self) {
        let mut open = 0;
        for character in self.rest.by_ref() {
            open += i32::from(character == '[') - i32::from(character == ']');
            if open == 0 {
                return;
            }
        }
    }

    /// `'x'` and `'\n'`, and no lifetime.
    fn pass_character(&mut self) {
        if self.rest.next_if_eq(&'\\').is_some() {
            self.rest.next();
            self.rest.by_ref().find(|c| *c == '\'');
        } else {
            let mut ahead = self.rest.clone();
            ahead.next();
            if ahead.next() == Some('\'') {
                self.rest.nth(1);
            }
        }
    }

    fn literal(&mut self, raw: bool) -> String {
        let mut text = String::new();
        while let Some(character) = self.rest.next() {
            match character {
                '"' => break,
                '\\' if !raw => match self.rest.next() {
                    Some('\n') => while self.rest.next_if(|c| c.is_whitespace()).is_some() {},
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(escaped) => text.push(escaped),
                    None => break,
                },
                _ => text.push(character),
            }
        }
        text
    }

    fn raw(&mut self) -> String {
        let mut text = String::new();
        while let Some(character) = self.rest.next() {
            if character == '"' && self.rest.peek() == Some(&'#') {
                break;
            }
            text.push(character);
        }
        text
    }
}

#[test]
fn words_are_found_wherever_they_are_handed_to() {
    let source = r##"
//! "no words in comments"
/// An apostrophe isn't one's beginning.
static ROWS: &[Row] = &[value("f", "file", "FILE", "what help says")];
fn a<'a>(c: char) -> Result<&'a str> {
    let quote = '"';
    let reason = format!("{path}: is {0:?} \
                          and {{more}}", 1);
    one().expect("it can't be"); let b = b"two words";
    Err(Error::new(Exit::Data, "audit", "missing")).map_err(|e| e.hint(r#"say "so" twice"#))
}
#[cfg(test)]
mod tests {
    const A: &str = "no message at all";
}
"##;
    let wanted = ["{}: is {} and {more}", "missing", "say \"so\" twice"];
    assert_eq!(templates(source), wanted);
}
