//! Many names in few letters: `web[1-3,7],db1`, which `-t` takes back.

use std::collections::{BTreeMap, HashSet};

/// The names, those that differ in their last number alone folded together.
/// Numbers keep their leading zeros: `n[01-03]`. One word without blanks, so that it can be
/// pasted behind `-t`.
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    // Where one number is padded, all of its length are: 09 and 10.
    let padded: HashSet<(&str, &str, usize)> = names
        .iter()
        .filter_map(|name| parts(name))
        .filter(|(_, digits, _)| digits.starts_with('0') && digits.len() > 1)
        .map(|(before, digits, after)| (before, after, digits.len()))
        .collect();
    // Keyed by what stands around the number and, for padded ones, its width.
    let mut families: BTreeMap<(&str, &str, usize), Vec<u64>> = BTreeMap::new();
    let mut singles: Vec<String> = Vec::new();
    for name in names {
        match parts(name) {
            Some((before, digits, after)) => {
                let key = (before, after, digits.len());
                let width = if padded.contains(&key) { digits.len() } else { 0 };
                let number = digits.parse().unwrap_or(0);
                families.entry((before, after, width)).or_default().push(number);
            }
            None => singles.push(name.to_string()),
        }
    }
    for ((before, after, width), mut numbers) in families {
        numbers.sort_unstable();
        numbers.dedup();
        let ranges = ranges(&numbers, width);
        if numbers.len() == 1 {
            singles.push(format!("{before}{ranges}{after}"));
        } else {
            singles.push(format!("{before}[{ranges}]{after}"));
        }
    }
    singles.sort();
    singles.dedup();
    singles.join(",")
}

/// What stands before the last number, the number, what stands behind it.
fn parts(name: &str) -> Option<(&str, &str, &str)> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name[..end].trim_end_matches(|c: char| c.is_ascii_digit()).len();
    // 18 digits always fit.
    (end - start <= 18).then(|| (&name[..start], &name[start..end], &name[end..]))
}

fn ranges(numbers: &[u64], width: usize) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut index = 0;
    while index < numbers.len() {
        let first = numbers[index];
        let mut last = first;
        while index + 1 < numbers.len() && numbers[index + 1] == last + 1 {
            index += 1;
            last = numbers[index];
        }
        index += 1;
        texts.push(match last - first {
            0 => format!("{first:0width$}"),
            1 => format!("{first:0width$},{last:0width$}"),
            _ => format!("{first:0width$}-{last:0width$}"),
        });
    }
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_names() {
        for (names, expected) in [
            ("web1", "web1"),
            ("web3 web1 web2 web7", "web[1-3,7]"),
            ("web1 web2 db1", "db1,web[1,2]"),
            ("n01 n02 n03 n1", "n1,n[01-03]"),
            ("n08 n09 n10 n11 n100 n9", "n[08-11],n[9,100]"),
            ("a1.example a2.example b", "a[1,2].example,b"),
            ("r1n9 r1n10 r2n9", "r1n[9,10],r2n9"),
            ("x99999999999999999999 x1", "x1,x99999999999999999999"),
            ("web1 web1", "web1"),
            ("é1 é2 1é 2é", "[1,2]é,é[1,2]"),
            ("n0 n1 n2 n00", "n00,n[0-2]"),
        ] {
            assert_eq!(fold(names.split(' ')), expected, "{names}");
        }
        assert_eq!(fold([]), "");
    }
}
