//! By which ways a tentacle is reached: the ADDRESS of a line of the targets file, one way or
//! several joined by commas, in the order in which they are tried.
//!
//! A way is an address, or `exec:COMMAND`: a program whose standard input and output are the
//! connection, as ssh has its ProxyCommand. It is split as `-P` is, and no shell reads it.
//! A line's words are split at blanks and its ways at commas, so that both are escaped in it.

use super::Address;
use crate::base::argv::split;
use crate::base::encoding::{is_hidden, printable};
use std::fmt;

/// So many ways one target may have: each dead one costs a wait.
pub const MOST_ROADS: usize = 8;

/// A longer command is none, and each message would repeat it.
const LONGEST_COMMAND: usize = 4096;

/// Where a word that is a command begins.
const EXEC: &str = "exec:";

/// One way to a tentacle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Road {
    /// It listens there.
    Address(Address),
    /// A program leads there.
    Command(RoadCommand),
}

/// A program that leads to a tentacle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoadCommand {
    /// As it stands in the file, without `exec:`.
    written: String,
    /// Its argv, in which [`fill`] still has to be done.
    pub arguments: Vec<String>,
}

/// All ways to one tentacle: at least one, at most [`MOST_ROADS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roads {
    all: Vec<Road>,
}

impl Roads {
    /// The ways of this word.
    ///
    /// # Errors
    /// Why one of them is none.
    pub fn parse(text: &str) -> Result<Roads, String> {
        let mut all = Vec::new();
        for way in text.split(',') {
            let road = match way.strip_prefix(EXEC) {
                Some(command) => Road::Command(RoadCommand::parse(command)?),
                None => Road::Address(Address::parse(way)?),
            };
            if all.contains(&road) {
                return Err(format!("the address {road} stands there twice"));
            }
            if all.len() == MOST_ROADS {
                return Err(format!("more than {MOST_ROADS} addresses"));
            }
            all.push(road);
        }
        let roads = Roads { all };
        let needs =
            |road: &&Road| matches!(road, Road::Command(command) if command.needs_address());
        if roads.address().is_none()
            && let Some(road) = roads.all.iter().find(needs)
        {
            return Err(format!("{road}: %h and %p stand for an address, and there is none"));
        }
        Ok(roads)
    }

    /// One after the other.
    pub fn all(&self) -> &[Road] {
        &self.all
    }

    /// The first that is an address: what `%h` and `%p` stand for, and whose name the
    /// certificate of a public authority has to have.
    pub fn address(&self) -> Option<&Address> {
        self.all.iter().find_map(|road| match road {
            Road::Address(address) => Some(address),
            Road::Command(_) => None,
        })
    }
}

impl RoadCommand {
    fn parse(written: &str) -> Result<RoadCommand, String> {
        if written.len() > LONGEST_COMMAND {
            return Err(format!("{EXEC}COMMAND has more than {LONGEST_COMMAND} bytes"));
        }
        if written.contains(is_hidden) {
            let shown = printable(written.as_bytes());
            return Err(format!("{EXEC}{shown}: holds a letter that can't be seen"));
        }
        let arguments = decoded(written).and_then(|text| split(&text));
        let arguments = arguments.map_err(|reason| format!("{EXEC}{written}: {reason}"))?;
        Ok(RoadCommand { written: written.to_string(), arguments })
    }

    fn needs_address(&self) -> bool {
        self.arguments.iter().any(|argument| fill(argument, "", None).is_none())
    }
}

/// What a command is written as. A percent sign becomes the `%%` of [`fill`], which comes after.
fn decoded(written: &str) -> Result<String, String> {
    let mut text = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = [
            ("%20", " "),
            ("%2C", ","),
            ("%2c", ","),
            ("%25", "%%"),
            ("%%", "%%"),
            ("%h", "%h"),
            ("%p", "%p"),
            ("%n", "%n"),
        ];
        let Some((escape, means)) = known.iter().find(|(escape, _)| rest.starts_with(escape))
        else {
            let shown: String = rest.chars().take(3).collect();
            return Err(format!(
                "{shown}: %20 is a blank, %2C a comma, %25 a percent sign; %h, %p and %n are of \
                 the target"
            ));
        };
        text.push_str(means);
        rest = &rest[escape.len()..];
    }
    text.push_str(rest);
    Ok(text)
}

/// One argument of a program that leads to a tentacle: `%h` and `%p` are host and port of its
/// address, `%n` its name, `%%` a percent sign. `None` where there is no address for them.
pub fn fill(argument: &str, name: &str, address: Option<&Address>) -> Option<String> {
    let mut filled = String::with_capacity(argument.len());
    let mut letters = argument.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            filled.push(letter);
            continue;
        }
        match letters.next() {
            Some('h') => filled.push_str(address?.host()),
            Some('p') => filled.push_str(&address?.port().to_string()),
            Some('n') => filled.push_str(name),
            Some('%') | None => filled.push('%'),
            Some(other) => filled.extend(['%', other]),
        }
    }
    Some(filled)
}

impl fmt::Display for Road {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Road::Address(address) => address.fmt(out),
            Road::Command(command) => write!(out, "{EXEC}{}", command.written),
        }
    }
}

impl fmt::Display for Roads {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, road) in self.all.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}{road}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_of_a_line() {
        for (text, shown, arguments) in [
            ("web1", "web1:10933", &[][..]),
            ("web1,[::1]:99,10.0.0.1", "web1:10933,[::1]:99,10.0.0.1:10933", &[]),
            ("h,exec:ssh%20-W%20%h:%p%20b", "", &["ssh", "-W", "%h:%p", "b"]),
            ("exec:ssh%20%n%20octo-listen%20--stdio", "", &["ssh", "%n", "octo-listen", "--stdio"]),
            ("exec:a%20'b%20c%2Cd'%20100%25%20%%", "", &["a", "b c,d", "100%%", "%%"]),
            ("exec:sh%20-c%20\"echo%20%25h\"", "", &["sh", "-c", "echo %%h"]),
        ] {
            let roads = Roads::parse(text).expect(text);
            let shown = if shown.is_empty() {
                text.replace("h,exec", "h:10933,exec")
            } else {
                shown.to_string()
            };
            assert_eq!(roads.to_string(), shown);
            let commands = roads.all().iter().filter_map(|road| match road {
                Road::Command(command) => Some(command.arguments.clone()),
                Road::Address(_) => None,
            });
            assert_eq!(commands.flatten().collect::<Vec<_>>(), arguments, "{text}");
        }
    }

    #[test]
    fn what_is_no_way_is_said() {
        for (text, said) in [
            ("", "is not an address"),
            ("a,", "is not an address"),
            (",a", "is not an address"),
            ("a,a:10933", "a:10933 stands there twice"),
            ("exec:", "exec:: no command"),
            ("exec:%20", "no command"),
            ("exec:'a", "the quote ' is not closed"),
            ("exec:a%00", "%00: %20 is a blank"),
            ("exec:a%0ab", "%0a: "),
            ("exec:a%", "%: "),
            ("exec:a%é", "%é: "),
            ("exec:a\u{202e}b", "can't be seen"),
            ("exec:nc%20%h", "exec:nc%20%h: %h and %p stand for an address"),
            ("exec:nc%20%p,exec:b", "%h and %p stand for an address"),
            ("a,b,c,d,e,f,g,h,i", "more than 8 addresses"),
            (&format!("exec:{}", "a".repeat(5000)), "COMMAND has more than 4096 bytes"),
            ("EXEC:a", "is not a port"),
        ] {
            let reason = Roads::parse(text).expect_err(text);
            assert!(reason.contains(said), "{text}: {reason}");
        }
    }

    #[test]
    fn what_stands_for_the_target() {
        let address = Address::parse("h.example:99").expect("an address");
        let filled = |text| fill(text, "web1", Some(&address)).expect("there is an address");
        assert_eq!(filled("%n %h %p %% %x %"), "web1 h.example 99 % %x %");
        assert_eq!(fill("%n %%", "web1", None).expect("needs none"), "web1 %");
        assert_eq!(fill("%h", "web1", None), None);
    }
}
