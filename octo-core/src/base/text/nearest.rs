//! The known words that somebody may have meant.

/// Longer words are no slip of the pen, and would cost a square of their length.
const LONGEST: usize = 64;

/// The known word that differs least, if it differs little: by a letter or two
/// that are missing, added, changed or swapped, or by an end that was left out.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(word, known, 1).pop()
}

/// The known words that differ so little, the nearest first, as many as asked for.
pub fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let farthest = farthest(word);
    let known = known.into_iter().filter(|other| other.len() > 1);
    let distance = |other: &str| match () {
        () if word.len() > 2 && other.starts_with(word) => 1,
        () if other.eq_ignore_ascii_case(word) => 1,
        () if other.len().abs_diff(word.len()) > 4 * farthest => usize::MAX,
        () => distance(word, other),
    };
    first(word, known.map(|other| (distance(other), other)), most)
}

/// The known words that begin almost so: for `wbe*` those that begin with `web`.
pub fn near_beginning<'a>(
    head: &str,
    known: impl IntoIterator<Item = &'a str>,
    most: usize,
) -> Vec<&'a str> {
    let begins = known.into_iter().filter_map(|other| Some((other.get(..head.len())?, other)));
    let ranked = begins.map(|(beginning, other)| match beginning.eq_ignore_ascii_case(head) {
        true => (0, other),
        false => (distance(head, beginning), other),
    });
    if head.len() < 2 { Vec::new() } else { first(head, ranked, most) }
}

/// The hint that offers them, if there are any.
pub fn did_you_mean(near: &[&str]) -> Option<String> {
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(", ")))
}

/// How much a word may differ from what was meant.
fn farthest(word: &str) -> usize {
    if word.len() < 5 { 1 } else { 2 }
}

fn first<'a>(
    word: &str,
    ranked: impl Iterator<Item = (usize, &'a str)>,
    most: usize,
) -> Vec<&'a str> {
    if word.len() > LONGEST {
        return Vec::new();
    }
    let farthest = farthest(word);
    let mut near: Vec<(usize, &str)> =
        ranked.filter(|(distance, _)| *distance <= farthest).collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(most).map(|(_, other)| other).collect()
}

/// How many letters to insert, remove, change or swap with their neighbour make
/// one word of the other (Damerau and Levenshtein, neighbours swapped once).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, opposite) in other.iter().enumerate() {
            let changed = row[j] + usize::from(letter != opposite);
            let mut least = changed.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *letter == other[j - 1] && one[i - 1] == *opposite {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_seen_through() {
        let known = ["target", "exclude", "all", "batch", "t", "timeout"];
        for (word, meant) in [
            ("bathc", Some("batch")),
            ("targets", Some("target")),
            ("taget", Some("target")),
            ("tiemout", Some("timeout")),
            ("time", Some("timeout")),
            ("al", Some("all")),
            ("x", None),
            ("", None),
            ("no-such-option", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
        assert!(near_beginning(&"x".repeat(1 << 20), known, 3).is_empty());
    }

    #[test]
    fn several_may_be_meant() {
        let known = ["db1", "production", "web", "web1", "web10", "web2", "web3"];
        for (word, meant) in [
            ("wbe1", "web1"),
            ("web", "web web1 web10"),
            ("webb1", "web1 web web10"),
            ("Web1", "web1"),
            ("PRODUCTION", "production"),
            ("db2", "db1"),
            ("x", ""),
        ] {
            assert_eq!(near(word, known, 3).join(" "), meant, "{word}");
        }
        assert_eq!(near_beginning("wbe", known, 2), ["web", "web1"]);
        assert_eq!(near_beginning("WEB", known, 1), ["web"]);
        assert_eq!(did_you_mean(&["a", "b"]).as_deref(), Some("did you mean a, b?"));
        assert_eq!(did_you_mean(&[]), None);
        assert!(near_beginning("w", known, 3).is_empty());
        assert!(near_beginning("cache", known, 3).is_empty());
    }
}
