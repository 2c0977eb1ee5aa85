//! What of a fleet needs a look: which row has which marks.

use super::mark::Mark;
use super::release::Release;
use super::row::{State, TargetRow};
use octo_core::base::digest::Digest;
use std::collections::HashMap;

/// Marks these rows.
pub(super) fn mark(rows: &mut [TargetRow]) {
    let usual = usual(rows);
    for row in rows {
        row.marks = match (row.state, &row.release) {
            (State::Unreachable, _) => vec![Mark::Unreachable],
            (State::Refused | State::Unknown, _) => vec![Mark::Unknown],
            (State::Answered | State::Empty, None) => Vec::new(),
            (State::Answered | State::Empty, Some(release)) => marks(release, &usual),
        };
        if row.has_more && !row.marks.contains(&Mark::Stale) {
            row.marks.push(Mark::Stale);
            row.marks.sort_unstable();
        }
    }
}

fn marks(release: &Release, usual: &HashMap<String, Option<Digest>>) -> Vec<Mark> {
    let (result, last) = (release.get("result"), release.get("last-result"));
    let is_current = release.get("release").is_some();
    let has_failed = matches!(last, Some("failed" | "interrupted"));
    let is_back = release.get("last-what") == Some("rollback");
    // What has started isn't over: that is no news yet, good or bad.
    let is_going_on = [result, last].contains(&Some("started"));
    let is_sick = match result {
        Some("missing") => true,
        Some(result) => is_current && !["succeeded", "started"].contains(&result),
        // What is dropped on the way isn't known, and is marked as such.
        None => is_current && release.get("seen").is_none(),
    };
    let is_usual = usual.get(&release.application) == Some(&release.sha256());
    let said = [
        (Mark::Stuck, is_back && has_failed),
        (Mark::Sick, is_sick),
        (Mark::Failed, has_failed && !is_back),
        (Mark::Drift, runs_something(release) && !is_usual),
        (Mark::Changed, is_current && release.changed() > Some(0)),
        (Mark::Stale, is_going_on || release.get("seen").is_some()),
        (Mark::Frozen, release.get("frozen-until").is_some()),
    ];
    said.into_iter().filter(|(_, is_so)| *is_so).map(|(mark, _)| mark).collect()
}

/// What was removed runs no bytes that others could differ from.
fn runs_something(release: &Release) -> bool {
    release.is_seen() && release.get("result") != Some("removed")
}

/// How many targets run the same bytes, since when at the latest, and as which change of what
/// is current.
type Standing<'a> = (usize, (&'a str, u64));

/// Of each application the bytes that most targets run; of two that as many run,
/// those that were deployed last: in one second, where more was deployed before.
fn usual(rows: &[TargetRow]) -> HashMap<String, Option<Digest>> {
    let mut counts: HashMap<(&str, Option<Digest>), Standing> = HashMap::new();
    for release in rows.iter().filter_map(|row| row.release.as_ref()).filter(|r| runs_something(r))
    {
        let count = counts.entry((&release.application, release.sha256())).or_default();
        count.0 += 1;
        let number = release.get("number").and_then(|number| number.parse().ok()).unwrap_or(0);
        count.1 = count.1.max((release.get("since").unwrap_or(""), number));
    }
    let mut usual: HashMap<String, (Standing, Option<Digest>)> = HashMap::new();
    for ((application, sha256), count) in counts {
        let best = usual.entry(application.to_string()).or_insert((count, sha256));
        *best = (*best).max((count, sha256));
    }
    usual.into_iter().map(|(application, (_, sha256))| (application, sha256)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::answer::Answer;
    use super::super::release::tests::fields;
    use super::*;
    use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
    use octo_core::base::error::{Error, Exit};

    /// `TARGET`, or `TARGET KEY=VALUE…` of an application, or `TARGET !STATE WHY…`; a
    /// `sha256` is one digit. In order, and marked.
    pub(in super::super) fn rows(lines: &[&str]) -> Vec<TargetRow> {
        let mut rows: Vec<TargetRow> = lines.iter().flat_map(|line| row(line)).collect();
        rows.sort_by(TargetRow::order);
        mark(&mut rows);
        rows
    }

    fn row(line: &str) -> Vec<TargetRow> {
        let (target, rest) = line.split_once(' ').unwrap_or((line, ""));
        let has_more = target.ends_with('+');
        let told = |releases| Answer::Told { offers: "put,run".into(), releases, has_more };
        let of = |answer, outcome| TargetRow::of_target(target, Some(answer), outcome);
        if let Some((state, why)) = rest.strip_prefix('!').and_then(|rest| rest.split_once(' ')) {
            let error = Error { exit: Exit::Unavailable, message: why.into(), hints: Vec::new() };
            let (kind, origin) = (OutcomeKind::Failed, OutcomeOrigin::Octopus);
            let answer = match state {
                "unreachable" => Answer::Unreachable,
                "refused" => Answer::Refused,
                _ => Answer::Unknown,
            };
            return of(answer, Some(&Outcome::error(kind, origin, error)));
        }
        if rest.is_empty() {
            return of(told(Vec::new()), None);
        }
        let usual = ["base=/srv", "user=app", "release=1", "number=4", "result=succeeded"];
        let mut words: Vec<String> = rest.split(' ').map(String::from).collect();
        let is_of = |word: &str, key: &str| word.split_once('=').is_some_and(|(k, _)| k == key);
        for word in &mut words {
            if let Some(digit) = word.strip_prefix("sha256=") {
                *word = format!("sha256={}", digit.repeat(64));
            }
        }
        for word in usual {
            let key = word.split_once('=').map_or("", |(key, _)| key);
            if !words.iter().any(|said| is_of(said, key)) {
                words.push(word.into());
            }
        }
        // Said as nothing, it isn't said.
        words.retain(|word| !word.ends_with('='));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        of(told(vec![Release::read(fields(&words)).expect(line)]), None)
    }

    fn marked(lines: &[&str]) -> Vec<String> {
        let words = |row: &TargetRow| {
            let words: Vec<&str> = row.marks.iter().map(|mark| mark.word()).collect();
            format!("{} {}", row.target, words.join(","))
        };
        rows(lines).iter().map(words).collect()
    }

    #[test]
    fn each_cause_has_its_mark_and_no_other() {
        for (said, marks) in [
            ("last-result=succeeded", ""),
            ("last-what=rollback last-result=succeeded", ""),
            ("last-what=rollback last-result=failed", "stuck"),
            ("last-what=rollback last-result=interrupted", "stuck"),
            ("last-what=rollback last-result=failed result=failed", "stuck,sick"),
            ("last-what=deploy last-result=failed", "failed"),
            ("last-what=deploy last-result=interrupted", "failed"),
            ("result=failed last-result=failed", "sick,failed"),
            ("result=unhealthy last-what=unhealthy", "sick"),
            ("result=bad", "sick"),
            ("result=interrupted", "sick"),
            ("result=", "sick"),
            ("result= seen=changed-since", "stale"),
            ("result= release=", ""),
            ("release= result=missing last-result=succeeded", "sick"),
            ("release= result=removed last-what=remove last-result=removed", ""),
            ("release= result=removed last-what=deploy last-result=failed", "failed"),
            // The link is still there: whoever removed it was killed.
            ("result=removed last-what=remove last-result=removed", "sick"),
            ("release= result= last-what=deploy last-result=failed", "failed"),
            ("result=started last-result=started", "stale"),
            ("last-what=rollback last-result=started", "stale"),
            ("seen=changed-since", "stale"),
            ("changed=0 verified=2026-01-01T00:00:00Z", ""),
            ("changed=1 verified=2026-01-01T00:00:00Z", "changed"),
            ("changed=1 verified= seen=unchecked", "changed,stale"),
            ("changed=1 release= result=", ""),
            ("seen=unchecked", "stale"),
            ("frozen-until=2027-01-01T00:00:00Z", "frozen"),
            ("last-result=failed frozen-until=2027-01-01T00:00:00Z", "failed,frozen"),
            ("base= user= release= number= result= frozen-until=2027-01-01T00:00:00Z", "frozen"),
        ] {
            let line = format!("a application=shop {said}");
            assert_eq!(marked(&[&line]), [format!("a {marks}")], "{said}");
        }
        for (line, marks) in [
            ("a", ""),
            ("a+", "stale"),
            ("a !unreachable x", "unreachable"),
            ("a !refused x", "unknown"),
        ] {
            let target = line.split(' ').next().expect("a name");
            assert_eq!(marked(&[line]), [format!("{target} {marks}")]);
        }
    }

    #[test]
    fn the_minority_drifts() {
        let lines = [
            "d !unknown x",
            "c application=shop sha256=a since=2026-01-31T23:59:09Z",
            "b application=shop sha256=b last-result=failed",
            "a application=shop sha256=b",
            "e",
            "f application=shop base= user= release= number= result= frozen-until=2027-01-01T00:00:00Z",
            "a application=api sha256=c",
        ];
        let expected = ["d unknown", "e ", "a ", "a ", "b failed", "c drift", "f frozen"];
        assert_eq!(marked(&lines), expected);
    }

    #[test]
    fn what_was_removed_drifts_from_nobody_and_nobody_from_it() {
        let removed = "application=shop release= result=removed";
        let lines =
            [&format!("a {removed}"), &format!("b {removed}"), "c application=shop sha256=c"];
        assert_eq!(marked(&lines), ["a ", "b ", "c "]);
    }

    #[test]
    fn of_equals_the_one_that_was_deployed_last_is_right() {
        let of = |seconds: [u8; 2]| {
            let line = |target: &str, second| {
                format!("{target} application=s sha256={target} since=2026-01-31T23:59:0{second}Z")
            };
            marked(&[&line("a", seconds[0]), &line("b", seconds[1])])
        };
        assert_eq!(of([5, 6]), ["a drift", "b "]);
        assert_eq!(of([7, 6]), ["a ", "b drift"]);
        let numbers = |ours, others| {
            let line = |target: &str, number: u8| {
                format!("{target} application=s sha256={target} number={number}")
            };
            marked(&[&line("a", ours), &line("b", others)])
        };
        assert_eq!(numbers(10, 9), ["a ", "b drift"]);
        assert_eq!(numbers(9, 10), ["a drift", "b "]);
        // Whatever the order of a hash table is.
        assert!((0..20).all(|_| of([6, 6]) == ["a drift", "b "]));
    }
}
