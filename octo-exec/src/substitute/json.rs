//! JSON, also with comments: where in it a value stands, and how it can stand there.

use super::around::Around;

const QUOTES: &str = "its value is no JSON value by itself: put quotes around";
/// Values within each other; common readers go no deeper.
const DEEPEST: usize = 64;

/// What came last, outside of strings and comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Byte(u8),
    /// A value that was filled in.
    Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    /// Behind a slash, which may begin a comment.
    Slash,
    /// With so many characters to come that belong to an escape.
    String(u8),
    LineComment,
    BlockComment {
        star: bool,
    },
}

/// Behind a backslash nobody knows yet how many.
const BACKSLASH: u8 = 5;

#[derive(Debug)]
pub(super) struct Json {
    state: State,
    last: Last,
    /// Bytes since the state began.
    since: usize,
}

impl Json {
    pub(super) fn new() -> Json {
        Json { state: State::Outside, last: Last::Nothing, since: 0 }
    }

    /// Goes on over text that stays as it is.
    ///
    /// # Errors
    /// Why the value before it can't stand there.
    pub(super) fn text(&mut self, text: &[u8]) -> Result<(), &'static str> {
        text.iter().try_for_each(|byte| self.byte(*byte))
    }

    fn byte(&mut self, byte: u8) -> Result<(), &'static str> {
        let next = match (self.state, byte) {
            (State::Outside, b'/') => State::Slash,
            (State::Outside, _) => return self.outside(byte),
            (State::Slash, b'/') => State::LineComment,
            (State::Slash, b'*') => State::BlockComment { star: false },
            (State::Slash, _) => {
                self.state = State::Outside;
                self.outside(b'/')?;
                return self.byte(byte);
            }
            (State::String(0), b'"') => {
                self.last = Last::Byte(b'"');
                State::Outside
            }
            (State::String(0), b'\\') => State::String(BACKSLASH),
            (State::String(0), _) => State::String(0),
            (State::String(BACKSLASH), b'u') => State::String(4),
            (State::String(BACKSLASH), _) => State::String(0),
            (State::String(more), _) => State::String(more - 1),
            (State::LineComment, b'\n' | b'\r') => State::Outside,
            (State::LineComment, _) => State::LineComment,
            (State::BlockComment { star: true }, b'/') => State::Outside,
            (State::BlockComment { .. }, _) => State::BlockComment { star: byte == b'*' },
        };
        let is_same = std::mem::discriminant(&next) == std::mem::discriminant(&self.state);
        self.since = if is_same { self.since + 1 } else { 0 };
        self.state = next;
        Ok(())
    }

    fn outside(&mut self, byte: u8) -> Result<(), &'static str> {
        // A byte order mark, at the beginning only.
        let is_mark = self.last == Last::Nothing && matches!(byte, 0xef | 0xbb | 0xbf);
        if is_mark || byte.is_ascii_whitespace() {
            return Ok(());
        }
        if self.last == Last::Value && !matches!(byte, b',' | b']' | b'}') {
            return Err(QUOTES);
        }
        match byte {
            b'"' => self.state = State::String(0),
            _ => self.last = Last::Byte(byte),
        }
        Ok(())
    }

    /// Puts a value there.
    ///
    /// # Errors
    /// Why it can't stand there.
    pub(super) fn value(
        &mut self,
        value: &str,
        around: &Around,
        to: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        match self.state {
            State::String(0) => escape(value, to),
            State::String(_) => return Err("a backslash stands before it"),
            State::LineComment => {
                if value.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
                    return Err("its value has lines, which would end the comment that it is in");
                }
                to.extend_from_slice(value.as_bytes());
            }
            State::BlockComment { .. } => {
                if around.makes(self.since, value, b"*/") {
                    return Err("its value would end the comment that it is in");
                }
                self.state = State::BlockComment { star: false };
                self.since += value.len();
                to.extend_from_slice(value.as_bytes());
            }
            State::Slash => return Err(QUOTES),
            State::Outside => {
                let is_place = matches!(self.last, Last::Nothing | Last::Byte(b'[' | b',' | b':'));
                if !is_place || !is_one_value(value.as_bytes()) {
                    return Err(QUOTES);
                }
                self.last = Last::Value;
                to.extend_from_slice(value.as_bytes());
            }
        }
        Ok(())
    }
}

fn escape(value: &str, to: &mut Vec<u8>) {
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => to.extend([b'\\', byte]),
            b'\n' => to.extend(b"\\n"),
            b'\r' => to.extend(b"\\r"),
            b'\t' => to.extend(b"\\t"),
            0..0x20 => to.extend(format!("\\u{byte:04x}").bytes()),
            _ => to.push(byte),
        }
    }
}

/// Is this one value, whole, as RFC 8259 has it, blanks beside it or not?
pub(super) fn is_one_value(text: &[u8]) -> bool {
    let mut reader = Reader { rest: text };
    reader.value(DEEPEST).is_some() && reader.blanks().is_empty()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// What is behind the blanks.
    fn blanks(&mut self) -> &'a [u8] {
        let count = self.rest.iter().take_while(|b| b" \t\r\n".contains(b)).count();
        self.rest = &self.rest[count..];
        self.rest
    }

    fn takes(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn value(&mut self, deeper: usize) -> Option<()> {
        match self.blanks().first()? {
            b'"' => self.string(),
            b'{' => self.several(b"}", deeper, |reader, deeper| {
                reader.blanks();
                reader.string()?;
                reader.blanks();
                reader.takes(b":")?;
                reader.value(deeper)
            }),
            b'[' => self.several(b"]", deeper, Reader::value),
            b't' => self.takes(b"true"),
            b'f' => self.takes(b"false"),
            b'n' => self.takes(b"null"),
            _ => self.number(),
        }
    }

    fn several(
        &mut self,
        end: &[u8],
        deeper: usize,
        one: impl Fn(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        let deeper = deeper.checked_sub(1)?;
        self.rest = &self.rest[1..];
        if self.blanks().starts_with(end) {
            return self.takes(end);
        }
        loop {
            one(self, deeper)?;
            if self.blanks().starts_with(end) {
                return self.takes(end);
            }
            self.takes(b",")?;
        }
    }

    fn string(&mut self) -> Option<()> {
        self.takes(b"\"")?;
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(()),
                0..0x20 => return None,
                b'\\' => {
                    let (escape, rest) = rest.split_first()?;
                    self.rest = rest;
                    if *escape == b'u' {
                        let (digits, rest) = rest.split_at_checked(4)?;
                        self.rest = rest;
                        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                    } else if !b"\"\\/bfnrt".contains(escape) {
                        return None;
                    }
                }
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.takes(b"-");
        if self.takes(b"0").is_none() {
            self.digits()?;
        }
        if self.takes(b".").is_some() {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.rest.first() {
            self.rest = &self.rest[1..];
            if let Some(b'+' | b'-') = self.rest.first() {
                self.rest = &self.rest[1..];
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.rest = &self.rest[count..];
        (count > 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_whole_and_alone() {
        for one in [
            "true",
            " null\n",
            "0",
            "-1.5e+10",
            "\"\"",
            "\"a\\u00e9\\n\\\"\"",
            "[]",
            "[1, [2], {}]",
            "{\"a\": {\"b\": [true]} , \"c\":\"d\"}",
        ] {
            assert!(is_one_value(one.as_bytes()), "{one}");
        }
        for none in [
            "",
            " ",
            "a",
            "tru",
            "truex",
            "1 2",
            "01",
            "1.",
            "-",
            ".5",
            "1e",
            "+1",
            "NaN",
            "'a'",
            "\"a",
            "\"a\nb\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12",
            "[1,]",
            "[",
            "[1",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "1,\"b\":2",
            "// c\n1",
        ] {
            assert!(!is_one_value(none.as_bytes()), "{none}");
        }
        assert!(is_one_value(&[vec![b'['; 64], vec![b']'; 64]].concat()));
        assert!(!is_one_value(&vec![b'['; 1_000_000]));
    }
}
