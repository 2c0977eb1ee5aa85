//! A command line as one text: split without a shell (`-P`, `--gate`), or to paste into one.
//!
//! The words of a trust line are another grammar: there quotes belong to an
//! option's value, and an error names the option.

use super::encoding::is_hidden;

/// The arguments of a command line: split at blanks, `"…"` and `'…'` enclose
/// blanks, no escapes and no expansion.
///
/// # Errors
/// A quote that is not closed, or no argument at all.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut quote = None;
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => current.get_or_insert_default().push(letter),
            (None, '"' | '\'') => {
                quote = Some(letter);
                current.get_or_insert_default();
            }
            (None, _) if letter.is_ascii_whitespace() => arguments.extend(current.take()),
            (None, _) => current.get_or_insert_default().push(letter),
        }
    }
    if let Some(open) = quote {
        return Err(format!("the quote {open} is not closed"));
    }
    arguments.extend(current);
    if arguments.is_empty() { Err("no command".into()) } else { Ok(arguments) }
}

/// One argument as a POSIX shell reads it. Where a letter could not be shown as
/// it is, as `$'…'` (POSIX since 2024, and the shells that people paste into).
pub fn quote(argument: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._/:,+@=%".contains(&b);
    if !argument.is_empty() && argument.bytes().all(plain) {
        return argument.to_string();
    }
    if argument.contains(is_hidden) {
        return format!("$'{}'", argument.chars().map(escaped).collect::<String>());
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

fn escaped(letter: char) -> String {
    match letter {
        '\n' => "\\n".into(),
        '\t' => "\\t".into(),
        '\'' | '\\' => format!("\\{letter}"),
        _ if is_hidden(letter) => {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).bytes();
            bytes.map(|byte| format!("\\{byte:03o}")).collect()
        }
        _ => letter.into(),
    }
}

/// A whole command line to paste.
pub fn join<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    arguments.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_for_a_shell() {
        assert_eq!(join(["run", "-c", "echo 'a'; b", ""]), "run -c 'echo '\\''a'\\''; b' ''");
        assert_eq!(
            quote("it's\ta\\b\n\u{1b}[0m\u{200e}1é"),
            r"$'it\'s\ta\\b\n\033[0m\342\200\2161é'"
        );
    }

    #[test]
    fn splits_without_a_shell() {
        for (text, expected) in [
            ("ssh %h octo-listen --stdio", vec!["ssh", "%h", "octo-listen", "--stdio"]),
            ("  a\t\"b c\"d 'e \"' ''", vec!["a", "b cd", "e \"", ""]),
            ("a $(b) `c` \\n", vec!["a", "$(b)", "`c`", "\\n"]),
        ] {
            assert_eq!(split(text).expect(text), expected);
        }
        assert!(split("a 'b").is_err() && split("  ").is_err() && split("").is_err());
    }
}
