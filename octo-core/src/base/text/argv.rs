//! A command line as one text, split without a shell: CONFIG/start, `-P`, `--gate`.
//!
//! The words of a trust line are another grammar: there quotes belong to an
//! option's value, and an error names the option.

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

#[cfg(test)]
mod tests {
    use super::*;

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
