//! `*` and `?` in a word: whether a name matches.

/// Does the word have any of them?
pub(super) fn is_glob(word: &str) -> bool {
    word.contains(['*', '?'])
}

/// The word with no two `*` side by side: a million of them would else be stepped over for
/// each name.
pub(super) fn collapsed(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    for letter in word.chars() {
        if letter != '*' || !text.ends_with('*') {
            text.push(letter);
        }
    }
    text
}

/// What each name that matches begins with.
pub(super) fn head(word: &str) -> &str {
    word.split(['*', '?']).next().unwrap_or_default()
}

/// Does the name match this word, in which no two `*` stand side by side? Only the last `*`
/// is ever gone back to, so that no word takes more steps than the square of the name.
pub(super) fn matches(word: &str, name: &str) -> bool {
    let (word, name) = (word.as_bytes(), name.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Behind the last `*`, and how much of the name that has taken.
    let mut back: Option<(usize, usize)> = None;
    while seen < name.len() {
        match word.get(at) {
            Some(b'*') => {
                at += 1;
                back = Some((at, seen));
            }
            Some(letter) if *letter == b'?' || *letter == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((behind, taken)) = back else { return false };
                back = Some((behind, taken + 1));
                (at, seen) = (behind, taken + 1);
            }
        }
    }
    word[at..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_or_do_not() {
        for (word, yes, no) in [
            ("*", "web1 a", ""),
            ("web*", "web web1 web-a.b", "we Web1 aweb"),
            ("*b1", "web1 db1 b1 b1b1", "b12 b"),
            ("db?", "db1 dbx", "db db12"),
            ("*a*b*", "ab xaxbx aab", "ba xa"),
            ("w?b*1", "web1 wxb1 web11 web-1", "wb1 web12"),
            ("a*a*a", "aaa abaca", "aa aab"),
            ("?", "a", "ab"),
        ] {
            for name in yes.split_whitespace() {
                assert!(matches(word, name), "{word} {name}");
            }
            for name in no.split_whitespace() {
                assert!(!matches(word, name), "{word} {name}");
            }
        }
        assert_eq!(collapsed("**a***?**"), "*a*?*");
        assert_eq!((head("web*1"), head("web1"), head("?")), ("web", "web1", ""));
    }
}
