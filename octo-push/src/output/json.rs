//! Objects of one line, as RFC 8259 has them, for `--json` and `--record`.

use std::fmt::Write;

/// A JSON object in the making.
#[derive(Debug, Clone)]
pub(crate) struct JsonObject(String);

impl JsonObject {
    /// `{"type":KIND`
    pub(crate) fn of(kind: &str) -> JsonObject {
        JsonObject::new().text("type", kind)
    }

    /// No member yet.
    pub(crate) fn new() -> JsonObject {
        JsonObject(String::new())
    }

    /// A member that is text.
    pub(crate) fn text(mut self, key: &str, value: &str) -> JsonObject {
        self.key(key);
        push_string(&mut self.0, value);
        self
    }

    /// A member that is text, where there is one.
    pub(crate) fn maybe(self, key: &str, value: Option<&str>) -> JsonObject {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    /// A member that is a number.
    pub(crate) fn number(mut self, key: &str, value: u64) -> JsonObject {
        self.key(key);
        let _ = write!(self.0, "{value}");
        self
    }

    /// A member that is a number of seconds, to the millisecond.
    pub(crate) fn seconds(mut self, key: &str, value: std::time::Duration) -> JsonObject {
        self.key(key);
        let _ = write!(self.0, "{:.3}", value.as_secs_f64());
        self
    }

    /// Bytes: as `key` where they are UTF-8, else in hex as `key-hex`.
    pub(crate) fn bytes(self, key: &str, value: &[u8]) -> JsonObject {
        match std::str::from_utf8(value) {
            Ok(text) => self.text(key, text),
            Err(_) => {
                let mut hex = String::with_capacity(value.len() * 2);
                for byte in value {
                    let _ = write!(hex, "{byte:02x}");
                }
                self.text(&format!("{key}-hex"), &hex)
            }
        }
    }

    /// A member that is an object.
    pub(crate) fn object(mut self, key: &str, value: JsonObject) -> JsonObject {
        self.key(key);
        self.0.push_str(&value.braced());
        self
    }

    /// A member that is a list of text.
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
            _ if letter.is_control() || octo_core::base::encoding::is_invisible(letter) => {
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
            .maybe("none", None)
            .line();
        let expected = r#"{"type":"end","a":"x\"\\\n\u001b\u009b\udb40\udc01é","n":3,"s":1.500,"b":"ok","c-hex":"ff00","o":{"k":"v"},"l":["x","y"]}"#;
        assert_eq!(line, format!("{expected}\n"));
    }
}
