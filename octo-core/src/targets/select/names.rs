//! The words of a list, or of the file that stands in its place: `@FILE`, a line each or
//! several, for more of them than a command line holds.

use super::word::divided;
use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::PusherName;
use crate::base::paths::read_bounded;
use std::fs::File;
use std::path::Path;

/// No list is larger: 100,000 of the longest names.
const LARGEST: u64 = 8 << 20;

/// The file of names that an option's value stands for, if it is one: no name begins so.
pub fn names_file(value: &str) -> Option<&Path> {
    value.strip_prefix('@').map(Path::new)
}

/// The words of an option's value: those between its commas, or of the lines of the file
/// that it names. What they stand for is for whoever looks them up.
///
/// # Errors
/// Exit 65 for a file that is larger than 8 MiB or isn't UTF-8; as [`Error::io`] where it
/// can't be read.
pub fn words(value: &str) -> Result<Vec<String>> {
    let Some(path) = names_file(value) else {
        return Ok(divided(value).map(String::from).collect());
    };
    let text = read(path).map_err(|error| match path.to_str().and_then(PusherName::parse) {
        // What other programs call a group.
        Some(name) if !path.exists() => {
            error.hint(format!("@FILE is a file of names; of a tag only its name is said: {name}"))
        }
        _ => error,
    })?;
    // Empty lines and those that # starts say nothing.
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.flat_map(divided).map(String::from).collect())
}

fn read(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let bytes = read_bounded(&mut file, path, LARGEST)?;
    String::from_utf8(bytes).map_err(|_| Error::new(Exit::Data, shown(path), "is not UTF-8"))
}

fn shown(path: &Path) -> String {
    printable(path.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_a_line() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("names");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("write");
            words(&format!("@{}", path.display())).map_err(|error| error.message)
        };
        for (text, expected) in [
            ("", vec![]),
            ("web1\nweb2", vec!["web1", "web2"]),
            ("# down\n\n web1 \r\nweb2,web3\n", vec!["web1", "web2", "web3"]),
            ("web[1,2],db1\nrack[1-2]-*", vec!["web[1,2]", "db1", "rack[1-2]-*"]),
        ] {
            assert_eq!(read(text.as_bytes()).expect(text), expected);
        }
        let message = read(b"web1\n\xff\n").expect_err("no text");
        assert!(message.ends_with("/names: is not UTF-8"), "{message}");
        let message = read(&[b'#'; (8 << 20) + 1]).expect_err("large");
        assert!(message.ends_with("is larger than 8388608 bytes"), "{message}");
        std::fs::remove_file(&path).expect("removed");
        let error = words("@nosuch-tag").expect_err("no file");
        assert!(error.hints[0].ends_with("only its name is said: nosuch-tag"), "{error:?}");
        assert!(words("@./nosuch").expect_err("no file").hints.is_empty());
        assert_eq!(words("web[1,2],db1,").expect("words"), ["web[1,2]", "db1", ""]);
        assert_eq!(names_file("@a,b"), Some(Path::new("a,b")));
        assert_eq!(names_file("web1,@b"), None);
    }
}
