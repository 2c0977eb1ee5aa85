//! Objects of one line, as RFC 8259 has them and octo-json(5) describes, for
//! `--json` and `--record`.

use octo_core::base::encoding::is_hidden;
use std::fmt::Write;

/// A JSON object in the making.
#[derive(Debug, Clone)]
pub(crate) struct JsonObject(String);

impl JsonObject {
    /// `{"type":KIND`
    pub(crate) fn of(kind: &str) -> JsonObject {
        JsonObject::new().text("type", kind)
    }

    pub(crate) fn new() -> JsonObject {
        JsonObject(String::new())
    }

    pub(crate) fn text(mut self, key: &str, value: &str) -> JsonObject {
        self.key(key);
        push_string(&mut self.0, value);
        self
    }

    pub(crate) fn text_or_null(self, key: &str, value: Option<&str>) -> JsonObject {
        match value {
            Some(value) => self.text(key, value),
            None => self.null(key),
        }
    }

    /// What is not known, or was not said.
    pub(crate) fn null(mut self, key: &str) -> JsonObject {
        self.key(key);
        self.0.push_str("null");
        self
    }

    pub(crate) fn number(mut self, key: &str, value: u64) -> JsonObject {
        self.key(key);
        let _ = write!(self.0, "{value}");
        self
    }

    pub(crate) fn number_or_null(self, key: &str, value: Option<u64>) -> JsonObject {
        match value {
            Some(value) => self.number(key, value),
            None => self.null(key),
        }
    }

    /// To the millisecond.
    pub(crate) fn seconds(mut self, key: &str, value: std::time::Duration) -> JsonObject {
        self.key(key);
        let _ = write!(self.0, "{:.3}", value.as_secs_f64());
        self
    }

    pub(crate) fn flag(mut self, key: &str, value: bool) -> JsonObject {
        self.key(key);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    /// A number such as `0.25`; null where the text is none.
    pub(crate) fn flag_or_null(self, key: &str, value: Option<bool>) -> JsonObject {
        match value {
            Some(value) => self.flag(key, value),
            None => self.null(key),
        }
    }

    pub(crate) fn decimal(mut self, key: &str, value: &str) -> JsonObject {
        if !is_decimal(value) {
            return self.null(key);
        }
        self.key(key);
        self.0.push_str(value);
        self
    }

    /// Bytes: text where they are UTF-8, else `{"hex":"ff00"}`.
    pub(crate) fn bytes(self, key: &str, value: &[u8]) -> JsonObject {
        match std::str::from_utf8(value) {
            Ok(text) => self.text(key, text),
            Err(_) => {
                let mut hex = String::with_capacity(value.len() * 2);
                for byte in value {
                    let _ = write!(hex, "{byte:02x}");
                }
                self.object(key, JsonObject::new().text("hex", &hex))
            }
        }
    }

    pub(crate) fn object(mut self, key: &str, value: JsonObject) -> JsonObject {
        self.key(key);
        self.0.push_str(&value.braced());
        self
    }

    pub(crate) fn list<'a>(
        mut self,
        key: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> JsonObject {
        self.key(key);
        self.0.push('[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            push_string(&mut self.0, value);
        }
        self.0.push(']');
        self
    }

    /// The object on a line of its own.
    pub(crate) fn line(self) -> String {
        let mut text = self.braced();
        text.push('\n');
        text
    }

    fn braced(self) -> String {
        format!("{{{}}}", self.0)
    }

    fn key(&mut self, key: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        push_string(&mut self.0, key);
        self.0.push(':');
    }
}

/// Digits, and behind a point more of them; no leading zero, as JSON has it.
fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for letter in value.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // C1 and the marks that reorder text are legal in JSON, but a
            // terminal may be what reads it.
            _ if is_hidden(letter) => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
            _ => text.push(letter),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_escaped_line() {
        let line = JsonObject::of("end")
            .text("a", "x\"\\\n\x1b\u{9b}\u{e0001}é")
            .number("n", 3)
            .seconds("s", std::time::Duration::from_millis(1500))
            .bytes("b", b"ok")
            .bytes("c", b"\xff\x00")
            .object("o", JsonObject::new().text("k", "v"))
            .list("l", ["x", "y"])
            .text_or_null("none", None)
            .decimal("d", "0.25")
            .line();
        let expected = r#"{"type":"end","a":"x\"\\\n\u001b\u009b\udb40\udc01é","n":3,"s":1.500,"b":"ok","c":{"hex":"ff00"},"o":{"k":"v"},"l":["x","y"],"none":null,"d":0.25}"#;
        assert_eq!(line, format!("{expected}\n"));
    }
    #[test]
    fn only_numbers_of_json_are_decimals() {
        assert!(["0", "10.50", "123"].into_iter().all(is_decimal));
        for text in
            ["", ".", "1.", ".5", "01", "00.1", "-1", "+1", "1e9", "1.2.3", "NaN", "1\"", "١"]
        {
            let object = JsonObject::new().decimal("d", text);
            assert_eq!(object.braced(), r#"{"d":null}"#, "{text}");
        }
    }
}
