//! XML: where in it a value stands, and how it can stand there.

use super::around::Around;
use super::template::find;

const CDATA: &[u8] = b"<![CDATA[";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// Behind `<`, where it isn't clear yet what it begins.
    Open,
    /// In `<NAME …>`, or in a quoted value of it.
    Tag,
    Attribute(u8),
    Comment,
    Cdata,
    Instruction,
    /// In `<!NAME …>`, in a quoted text of it, or in the list of `<!DOCTYPE NAME […]>`.
    Declaration,
    Quoted(u8),
    List,
}

#[derive(Debug)]
pub(super) struct Xml {
    state: State,
    /// What came since the state began, and its end.
    since: usize,
    recent: Vec<u8>,
    /// In the list of a DOCTYPE, or in what is in it.
    in_list: bool,
    /// Behind `&`, before its `;`.
    in_reference: bool,
    /// Its encoding is another than UTF-8.
    is_other: bool,
}

impl Xml {
    pub(super) fn of(text: &[u8]) -> Xml {
        Xml {
            state: State::Text,
            since: 0,
            recent: Vec::new(),
            in_list: false,
            in_reference: false,
            is_other: has_other_encoding(text),
        }
    }

    /// Goes on over text that stays as it is.
    pub(super) fn text(&mut self, text: &[u8]) {
        text.iter().for_each(|byte| self.byte(*byte));
    }

    fn begin(&mut self, state: State) {
        (self.state, self.since) = (state, 0);
        self.recent.clear();
    }

    fn byte(&mut self, byte: u8) {
        self.since += 1;
        self.recent.push(byte);
        let outer = if self.in_list { State::List } else { State::Text };
        match (self.state, byte) {
            (State::Text | State::List, b'<') => {
                self.begin(State::Open);
                self.in_reference = false;
                self.recent.push(b'<');
            }
            (State::Text | State::Attribute(_), _) if self.refers(byte) => {}
            (State::Open, _) => self.open(byte),
            (State::Tag, b'>') => self.begin(outer),
            (State::Tag, b'"' | b'\'') => self.begin(State::Attribute(byte)),
            (State::Attribute(quote), _) if byte == quote => self.begin(State::Tag),
            (State::Comment, b'>') if self.recent.ends_with(b"-->") => self.begin(outer),
            (State::Cdata, b'>') if self.recent.ends_with(b"]]>") => self.begin(outer),
            (State::Instruction, b'>') if self.recent.ends_with(b"?>") => self.begin(outer),
            (State::Declaration, b'>') => self.begin(outer),
            (State::Declaration, b'"' | b'\'') => self.begin(State::Quoted(byte)),
            (State::Quoted(quote), _) if byte == quote => self.begin(State::Declaration),
            (State::Declaration, b'[') if !self.in_list => {
                self.in_list = true;
                self.begin(State::List);
            }
            (State::List, b']') => {
                self.in_list = false;
                self.begin(State::Declaration);
            }
            _ => {}
        }
        // As long as the longest beginning.
        if self.recent.len() > CDATA.len() {
            self.recent.remove(0);
        }
    }

    /// Is it of a reference, `&NAME;`?
    fn refers(&mut self, byte: u8) -> bool {
        self.in_reference = match byte {
            b'&' => true,
            _ => self.in_reference && (byte.is_ascii_alphanumeric() || byte == b'#'),
        };
        self.in_reference
    }

    fn open(&mut self, byte: u8) {
        let so_far = self.recent.as_slice();
        match so_far {
            b"<!--" => self.begin(State::Comment),
            b"<?" => self.begin(State::Instruction),
            b"<!" | b"<!-" => {}
            _ if so_far == CDATA => self.begin(State::Cdata),
            _ if CDATA.starts_with(so_far) => {}
            _ => {
                let is_declaration = so_far.starts_with(b"<!");
                self.begin(if is_declaration { State::Declaration } else { State::Tag });
                self.byte(byte);
            }
        }
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
        if !value.chars().all(is_permitted) {
            return Err("its value holds a character that XML can't");
        }
        let is_text = matches!(self.state, State::Text | State::Attribute(_));
        if self.is_other && !is_text && !value.is_ascii() {
            return Err("its value is not ASCII, and the file not UTF-8");
        }
        let end: &[u8] = match self.state {
            State::Text | State::Attribute(_) => {
                if self.in_reference {
                    return Err("it stands in a reference, behind &");
                }
                escape(value, self.state != State::Text, self.is_other, to);
                return Ok(());
            }
            State::Open | State::Tag => return self.name(value, to),
            State::Declaration | State::Quoted(_) | State::List => {
                return Err("a declaration is no place for a value");
            }
            State::Comment => b"--",
            State::Cdata => b"]]>",
            State::Instruction => b"?>",
        };
        if around.makes(self.since, value, end) {
            return Err("its value would end the comment, CDATA or instruction that it is in");
        }
        self.since += value.len();
        // An end made of both was refused.
        self.recent.clear();
        to.extend_from_slice(value.as_bytes());
        Ok(())
    }

    /// Outside of quotes nothing but a name, or a part of one, is the same by itself.
    fn name(&mut self, value: &str, to: &mut Vec<u8>) -> Result<(), &'static str> {
        const NONE: &str = "it stands in a tag, outside of quotes, and its value is no name";
        let is_opening = self.state == State::Open;
        if is_opening && self.recent != b"<" {
            return Err("a declaration is no place for a value");
        }
        let goes_on =
            !is_opening && to.last().is_some_and(|b| is_of_name(char::from(*b)) || !b.is_ascii());
        let begins = value.chars().next().is_some_and(|c| goes_on || is_first_of_name(c));
        if !begins || !value.chars().all(is_of_name) {
            return Err(NONE);
        }
        self.state = State::Tag;
        to.extend_from_slice(value.as_bytes());
        Ok(())
    }
}

fn is_permitted(c: char) -> bool {
    !matches!(c, '\0'..'\t' | '\u{b}' | '\u{c}' | '\u{e}'..' ' | '\u{fffe}' | '\u{ffff}')
}

fn is_first_of_name(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | ':')
}

fn is_of_name(c: char) -> bool {
    is_first_of_name(c) || c.is_ascii_digit() || matches!(c, '-' | '.')
}

/// What a reader would make of blanks and line ends stays as it is, too.
fn escape(value: &str, is_attribute: bool, is_other: bool, to: &mut Vec<u8>) {
    for c in value.chars() {
        let entity = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            '\r' => "&#13;",
            '\n' if is_attribute => "&#10;",
            '\t' if is_attribute => "&#9;",
            _ if is_other && !c.is_ascii() => {
                to.extend(format!("&#{};", u32::from(c)).bytes());
                continue;
            }
            _ => {
                to.extend(c.encode_utf8(&mut [0; 4]).bytes());
                continue;
            }
        };
        to.extend(entity.bytes());
    }
}

/// Does its first line name an encoding in which our bytes mean something else?
fn has_other_encoding(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let head = &text[..text.len().min(200)];
    if !head.starts_with(b"<?xml") {
        return false;
    }
    let declaration = &head[..find(head, b"?>").unwrap_or(head.len())];
    let declaration = declaration.to_ascii_lowercase();
    let Some(at) = find(&declaration, b"encoding") else { return false };
    let named = &declaration[at..];
    find(named, b"utf-8").is_none() && find(named, b"#{").is_none()
}
