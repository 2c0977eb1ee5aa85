//! `@FILE` in the place of a list: a name a line, for more of them than a command line
//! holds.

use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::read_bounded;
use std::fs::File;
use std::path::Path;

/// No list is larger: 100,000 of the longest names.
const LARGEST: u64 = 8 << 20;

/// The file of names that an option's value stands for, if it is one: no name begins so.
pub fn names_file(value: &str) -> Option<&Path> {
    value.strip_prefix('@').map(Path::new)
}

/// The names of such a file, in its order. Empty lines and those that `#` starts say
/// nothing; whether a name is that of a target is for whoever looks it up.
///
/// # Errors
/// Exit 65 for a file that is larger than 8 MiB or isn't UTF-8; as [`Error::io`] where it
/// can't be read.
pub fn read_names(path: &Path) -> Result<Vec<String>> {
    let mut file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let bytes = read_bounded(&mut file, path, LARGEST)?;
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| Error::new(Exit::Data, shown(path), "is not UTF-8"))?;
    let lines = text.lines().map(str::trim);
    Ok(lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(String::from).collect())
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
            read_names(&path).map_err(|error| error.message)
        };
        for (text, expected) in [
            ("", vec![]),
            ("web1\nweb2", vec!["web1", "web2"]),
            ("# down\n\n web1 \r\nweb2,web3\n", vec!["web1", "web2,web3"]),
        ] {
            assert_eq!(read(text.as_bytes()).expect(text), expected);
        }
        let message = read(b"web1\n\xff\n").expect_err("no text");
        assert!(message.ends_with("/names: is not UTF-8"), "{message}");
        let message = read(&[b'#'; (8 << 20) + 1]).expect_err("large");
        assert!(message.ends_with("is larger than 8388608 bytes"), "{message}");
        assert_eq!(names_file("@a,b"), Some(Path::new("a,b")));
        assert_eq!(names_file("web1,@b"), None);
    }
}
