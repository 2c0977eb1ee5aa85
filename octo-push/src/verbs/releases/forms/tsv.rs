//! For scripts: a line a target and application, tabs between its fields, none of them
//! empty. octo-push(1) has the list.

use crate::verbs::releases::row::TargetRow;

/// What a target says of an application, in the order of the fields.
const SAID: &[&str] = &[
    "version",
    "sha256",
    "result",
    "since",
    "by",
    "last-version",
    "last-result",
    "last-what",
    "back-version",
    "back-environment",
    "back-names",
    "environment",
    "seen",
    "frozen-until",
    "frozen-by",
    "frozen-why",
];

/// The lines, in the order of the rows.
pub(super) fn lines(rows: &[TargetRow]) -> String {
    rows.iter().map(line).collect()
}

fn line(row: &TargetRow) -> String {
    let or_dash = |value: Option<&str>| match value {
        None | Some("") => "-".to_string(),
        // Not to be taken for nothing.
        Some("-") => "\\x2d".to_string(),
        Some(value) => value.to_string(),
    };
    let release = row.release.as_ref();
    let said = |key: &str| {
        let is_said = release.is_some_and(|release| release.get(key).is_some());
        or_dash(is_said.then(|| row.shown(key)).as_deref())
    };
    let mut fields = vec![row.target.clone(), row.state.word().to_string()];
    fields.push(said("application"));
    fields.push(or_dash(release.and_then(|release| release.revision()).as_deref()));
    fields.extend(SAID.iter().map(|key| said(key)));
    fields.push(or_dash(row.offers.as_deref()));
    fields.extend(["base", "user"].map(said));
    fields.push(or_dash(row.message.as_deref()));
    fields.extend(["names", "back-sha256", "signed"].map(said));
    fields.push(or_dash(row.has_more.then_some("more")));
    fields.join("\t") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::releases::marking::tests::rows;

    #[test]
    fn no_field_is_empty_and_no_text_makes_two_of_one() {
        let lines = lines(&rows(&[
            "away !unreachable no\troute\nto host",
            "db1",
            "web1 application=shop version=1.1 sha256=a since=2026-01-31T23:59:01Z by=a\tb \
             last-version=1.2 last-result=failed last-what=deploy back-version=1.0 back-names=A,B \
             environment=prod seen=unchecked frozen-until=2027-01-01T00:00:00Z frozen-by=- frozen-why=x\u{202e}",
            "web2+ application=shop release= number= result=",
        ]));
        let lines: Vec<Vec<&str>> = lines.lines().map(|line| line.split('\t').collect()).collect();
        assert!(lines.iter().all(|line| line.len() == 28), "{lines:?}");
        assert!(lines.iter().flatten().all(|field| !field.is_empty()), "{lines:?}");
        let sha256 = "a".repeat(64);
        let dashes = ["-"; 26];
        assert_eq!(lines[0][..3], ["away", "unreachable", "-"]);
        assert_eq!((&lines[0][3..23], lines[0][23]), (&dashes[..20], "no\\troute\\nto host"));
        assert_eq!(lines[1][..2], ["db1", "empty"]);
        assert_eq!((lines[1][20], lines[1][23]), ("put,run", "-"));
        let web1 = [
            "web1",
            "answered",
            "shop",
            "1#4",
            "1.1",
            &sha256,
            "succeeded",
            "2026-01-31T23:59:01Z",
            "a\\tb",
            "1.2",
            "failed",
            "deploy",
            "1.0",
            "-",
            "A,B",
            "prod",
            "unchecked",
            "2027-01-01T00:00:00Z",
            "\\x2d",
            "x\\u{202e}",
            "put,run",
            "/srv",
            "app",
            "-",
            "-",
            "-",
            "-",
            "-",
        ];
        assert_eq!(lines[2], web1);
        assert_eq!(lines[3][..5], ["web2+", "answered", "shop", "none", "-"]);
        assert_eq!(lines[3][27], "more");
    }
}
