//! The known word that somebody may have meant.

/// Longer words are no slip of the pen, and would cost a square of their length.
const LONGEST: usize = 64;

/// The known word that differs least, if it differs little: by a letter or two
/// that are missing, added, changed or swapped, or by an end that was left out.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let most = if word.len() < 5 { 1 } else { 2 };
    known
        .into_iter()
        .filter(|other| other.len() > 1)
        .filter_map(|other| {
            let begins = word.len() > 2 && other.starts_with(word);
            let distance = if begins { 1 } else { distance(word, other) };
            (distance <= most).then_some((distance, other))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
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
    }
}
