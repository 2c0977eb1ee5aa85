//! Command lines as options' values (`-P`, `--gate`), and quoted for a shell
//! where one is printed to be pasted.

use octo_core::base::argv::split;
use octo_core::base::cli::options::Said;
use octo_core::base::encoding::is_hidden;
use octo_core::base::error;

/// The command line that is the value of this option.
///
/// # Errors
/// Exit 64 as for [`split`], naming the option.
pub(crate) fn said(said: &Said, option: &str) -> error::Result<Option<Vec<String>>> {
    let Some(text) = said.one(option)? else { return Ok(None) };
    split(&text).map(Some).map_err(|reason| said.misuse(format!("--{option}: {reason}")))
}

/// One argument as a POSIX shell reads it. Where a letter could not be shown as
/// it is, as `$'…'` (POSIX since 2024, and the shells that people paste into).
pub(crate) fn quote(argument: &str) -> String {
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
pub(crate) fn join<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
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
}
