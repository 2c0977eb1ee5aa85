//! How two small texts differ, line by line, as diff -u says it. What has no line in common
//! within bounds is shown as all removed and all added.

/// As many steps as comparing two texts of 2,000 lines takes.
const MOST_STEPS: usize = 4_000_000;
/// So many lines that are the same stand around a difference.
const AROUND: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Same,
    Removed,
    Added,
}

/// Lines with a blank, `-` or `+` in front, and `@@` before each part of them.
pub(super) fn diff(before: &[u8], after: &[u8]) -> Vec<Vec<u8>> {
    let (before, after) = (lines(before), lines(after));
    let steps = steps(&before, &after);
    let mut output = Vec::new();
    let (mut old, mut new, mut at) = (0, 0, 0);
    while let Some(next) = steps[at..].iter().position(|step| *step != Step::Same) {
        let lead = next.min(AROUND);
        (old, new, at) = (old + next - lead, new + next - lead, at + next - lead);
        let end = end_of_part(&steps, at + lead);
        let part = &steps[at..end];
        let count = |not: Step| part.iter().filter(|step| **step != not).count();
        let (removed, added) = (count(Step::Added), count(Step::Removed));
        let start = |line: usize, count: usize| if count == 0 { line } else { line + 1 };
        output.push(
            format!("@@ -{},{removed} +{},{added} @@", start(old, removed), start(new, added))
                .into_bytes(),
        );
        for step in part {
            let (sign, line) = match step {
                Step::Same | Step::Removed => {
                    (if *step == Step::Same { b' ' } else { b'-' }, before[old])
                }
                Step::Added => (b'+', after[new]),
            };
            old += usize::from(*step != Step::Added);
            new += usize::from(*step != Step::Removed);
            output.push([&[sign], line.strip_suffix(b"\n").unwrap_or(line)].concat());
        }
        at = end;
    }
    output
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// Behind the last difference from here on that is near the one before it, and what follows.
fn end_of_part(steps: &[Step], from: usize) -> usize {
    let mut last = from;
    for (index, step) in steps.iter().enumerate().skip(from) {
        if *step != Step::Same {
            last = index;
        } else if index - last > 2 * AROUND {
            break;
        }
    }
    (last + 1 + AROUND).min(steps.len())
}

fn steps(before: &[&[u8]], after: &[&[u8]]) -> Vec<Step> {
    let common = |pairs: &mut dyn Iterator<Item = (&&[u8], &&[u8])>| {
        pairs.take_while(|(one, other)| one == other).count()
    };
    let head = common(&mut before.iter().zip(after));
    let (old, new) = (&before[head..], &after[head..]);
    let tail = common(&mut old.iter().rev().zip(new.iter().rev()));
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let mut steps = vec![Step::Same; head];
    if old.len().saturating_mul(new.len()) > MOST_STEPS {
        steps.extend(old.iter().map(|_| Step::Removed));
        steps.extend(new.iter().map(|_| Step::Added));
    } else {
        steps.extend(between(old, new));
    }
    steps.extend(vec![Step::Same; tail]);
    steps
}

/// By the longest common subsequence: `longest[i][j]` is that of what is behind i and j.
fn between(old: &[&[u8]], new: &[&[u8]]) -> Vec<Step> {
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = match old[i] == new[j] {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        let is_same = i < old.len() && j < new.len() && old[i] == new[j];
        let removes = j == new.len()
            || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]);
        let step = match (is_same, removes) {
            (true, _) => Step::Same,
            (false, true) => Step::Removed,
            (false, false) => Step::Added,
        };
        i += usize::from(step != Step::Added);
        j += usize::from(step != Step::Removed);
        steps.push(step);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> String {
        let lines = diff(before.as_bytes(), after.as_bytes());
        let lines = lines.iter().map(|line| String::from_utf8_lossy(line).into_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn parts_are_as_diff_has_them() {
        assert_eq!(shown("a\nb\n", "a\nb\n"), "");
        assert_eq!(shown("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b");
        assert_eq!(shown("a\n", ""), "@@ -1,1 +0,0 @@\n-a");
        assert_eq!(shown("a\nb\nc\n", "a\nx\nc\n"), "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c");
        assert_eq!(shown("a\n", "a"), "@@ -1,1 +1,1 @@\n-a\n+a");
        let many: String = (0..30).map(|n| format!("{n}\n")).collect();
        let other = many.replace("5\n", "five\n").replacen("29\n", "", 1);
        let said = shown(&many, &other);
        assert_eq!(said.matches("@@ -").count(), 3, "{said}");
        assert!(said.contains("@@ -3,7 +3,7 @@\n 2\n 3\n 4\n-5\n+five\n 6"), "{said}");
        assert!(said.ends_with("\n 26\n 27\n 28\n-29"), "{said}");
    }

    #[test]
    fn two_long_texts_take_no_longer_than_bounded() {
        let long = |word: &str| format!("{word}\n").repeat(100_000);
        let lines = diff(long("a").as_bytes(), long("b").as_bytes());
        assert_eq!(lines.len(), 200_001);
    }
}
