//! Names of members, each brought to its one spelling or refused.

/// The longest name of a file, and the longest path, on Linux.
const LONGEST: usize = 255;
pub(super) const LONGEST_PATH: usize = 4095;

/// So many directories within each other.
const DEEPEST: usize = 255;

/// The path of a member below the release, without `.` and empty steps; empty for the
/// release itself. The error is what is wrong with it.
pub(super) fn normal(name: &[u8], is_directory: bool) -> Result<Vec<u8>, &'static str> {
    check_text(name)?;
    if name.first() == Some(&b'/') {
        return Err(OUT);
    }
    let mut path = Vec::with_capacity(name.len());
    let mut depth = 0;
    for step in name.split(|b| *b == b'/') {
        match step {
            b"" | b"." => continue,
            b".." => return Err(OUT),
            _ if step.len() > LONGEST => return Err("a name of more than 255 bytes"),
            _ => {}
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(step);
        depth += 1;
    }
    if depth > DEEPEST {
        return Err("deeper than 255 directories");
    }
    let ends_in = name.rsplit(|b| *b == b'/').next();
    if !is_directory && matches!(ends_in, Some(b"" | b".")) {
        return Err("named like a directory, and is none");
    }
    Ok(path)
}

const OUT: &str = "leads out of the release";

/// Of a name, or of where a link leads.
pub(super) fn check_text(text: &[u8]) -> Result<(), &'static str> {
    match text {
        _ if text.iter().any(|b| *b < b' ' || *b == 0x7f) => Err("a control character in its name"),
        b"" => Err("an empty name"),
        _ if text.len() > LONGEST_PATH => Err("a path of more than 4095 bytes"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for (name, path) in [
            ("a", Ok("a")),
            ("./a", Ok("a")),
            (".//a", Ok("a")),
            ("a//b/./c", Ok("a/b/c")),
            ("..a/a../...", Ok("..a/a../...")),
            ("a\\b", Ok("a\\b")),
            ("", Err("an empty name")),
            ("/a", Err(OUT)),
            ("//", Err(OUT)),
            ("..", Err(OUT)),
            ("a/../b", Err(OUT)),
            ("a/..", Err(OUT)),
            ("a/", Err("named like a directory, and is none")),
            ("a/.", Err("named like a directory, and is none")),
            (".", Err("named like a directory, and is none")),
            ("a\nb", Err("a control character in its name")),
            ("a\0b", Err("a control character in its name")),
            ("a\x7f", Err("a control character in its name")),
        ] {
            assert_eq!(
                normal(name.as_bytes(), false),
                path.map(|p| p.as_bytes().to_vec()),
                "{name:?}"
            );
        }
        for name in ["a/", "a/.", "./a//."] {
            assert_eq!(normal(name.as_bytes(), true), Ok(b"a".to_vec()), "{name}");
        }
        assert_eq!(normal(b"./", true), Ok(Vec::new()));
        assert_eq!(normal(b"\xff", false), Ok(b"\xff".to_vec()));
    }

    #[test]
    fn lengths_are_those_of_the_kernel() {
        assert!(normal(&[b'a'; 255], false).is_ok());
        assert_eq!(normal(&[b'a'; 256], false), Err("a name of more than 255 bytes"));
        let long =
            |length: usize| [vec![b'a'; 255], vec![b'/']].concat().repeat(16)[..length].to_vec();
        assert!(normal(&long(4095), true).is_ok());
        assert_eq!(normal(&long(4096), true), Err("a path of more than 4095 bytes"));
        assert!(normal(&b"a/".repeat(255), true).is_ok());
        assert_eq!(normal(&b"a/".repeat(256), true), Err("deeper than 255 directories"));
    }
}
