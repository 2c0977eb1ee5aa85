//! Which application and version a package is, read off the name of its file by
//! the rule of octo-release(1).

/// What the file of a package ends in.
const ENDINGS: &[&str] = &[".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".tgz"];

/// Application and version of `NAME-VERSION.tar` and the like.
///
/// # Errors
/// Why it is no such name.
pub fn parts(name: &str) -> Result<(&str, &str), String> {
    let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    let stem = stem.ok_or("not NAME-VERSION.tar[.gz|.xz|.zst]")?;
    // Behind the first dash that a digit follows, else behind the last dash.
    let digit = |(at, _): &(usize, &str)| {
        stem.as_bytes().get(at + 1).is_some_and(|byte| byte.is_ascii_digit())
    };
    let dash = stem.match_indices('-').find(digit).map(|(at, _)| at).or(stem.rfind('-'));
    let dash = dash.ok_or("no VERSION behind a dash in its name")?;
    let (application, version) = (&stem[..dash], &stem[dash + 1..]);
    for (what, part) in [("application", application), ("version", version)] {
        if !is_plain_name(part) {
            return Err(format!("its {what} '{part}' is not {PLAIN_NAME}"));
        }
    }
    Ok((application, version))
}

/// What an application, a version or a release may be called.
pub const PLAIN_NAME: &str =
    "a name of letters, digits and . _ + -, beginning with a letter or digit, up to 100";

/// Is it [`PLAIN_NAME`]? That of octo-release(1).
pub fn is_plain_name(text: &str) -> bool {
    text.len() <= 100
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_octo_release() {
        for (name, expected) in [
            ("shop-1.2.3.tar.gz", ("shop", "1.2.3")),
            ("hello-web-1.0.0-rc.1.tar", ("hello-web", "1.0.0-rc.1")),
            ("shop-2026-01-31.tar.zst", ("shop", "2026-01-31")),
            ("web-shop-main.tgz", ("web-shop", "main")),
            ("web-2-go-1.0.tar.xz", ("web", "2-go-1.0")),
            ("a+b_c-0.tar", ("a+b_c", "0")),
        ] {
            assert_eq!(parts(name), Ok(expected), "{name}");
        }
        for (name, said) in [
            ("shop.zip", "not NAME-VERSION.tar"),
            ("shop-1.0", "not NAME-VERSION.tar"),
            (".tar", "no VERSION"),
            ("shop.tar", "no VERSION"),
            ("-1.0.tar", "its application ''"),
            ("shop-.tar", "its version ''"),
            (".shop-1.0.tar", "its application '.shop'"),
            ("shop-1 0.tar", "its version '1 0'"),
            ("é-1.tar", "its application"),
        ] {
            assert!(parts(name).expect_err(name).contains(said), "{name}");
        }
        assert!(is_plain_name(&"a".repeat(100)) && !is_plain_name(&"a".repeat(101)));
    }
}
