//! For a web server: one page without anything beside it.

use super::marks::{Mark, TargetRow};
use super::release::Release;
use super::release::TargetState;
use super::{Counts, targets};
use octo_core::base::digest::Digest;
use std::fmt::Write;

/// Everything up to the heading, with the styles.
const HEAD: &str = include_str!("head.html");

/// The page; `now` in UTC, RFC 3339.
pub(super) fn page(rows: &[TargetRow], now: &str) -> String {
    let mut page = Page(HEAD.to_string());
    page.summary(rows, now);
    let unknown = rows.iter().filter(|row| matches!(row.state, TargetState::Unknown(_)));
    page.section("No answer", &["Target", "", "Why"], unknown, |row| {
        let why = escaped(&row.message().unwrap_or_default());
        cells(row, &[&td("", &mark(Mark::Unknown, "unknown")), &td("", &why)])
    });
    let answered: Vec<(&TargetRow, &Release)> =
        rows.iter().filter_map(|row| Some((row, row.release()?))).collect();
    for section in answered.chunk_by(|(_, one), (_, other)| one.application == other.application) {
        let heads = ["Target", "", "Version", "Since", "By"];
        page.section(&section[0].1.application, &heads, section.iter(), |(row, r)| release(row, r));
    }
    let empty = rows.iter().filter(|row| row.state == TargetState::Empty);
    page.section("Without an application", &["Target"], empty, |row| cells(row, &[]));
    page.0 + "</body>\n</html>\n"
}

/// A page in the making.
struct Page(String);

impl Page {
    fn summary(&mut self, rows: &[TargetRow], now: &str) {
        let counts = Counts::of(rows);
        let now = format!("{} UTC", now.get(..16).unwrap_or(now).replace('T', " "));
        let _ = write!(self.0, "<p>{now}, {}", targets(counts.targets));
        let marks = [
            (counts.failed, Mark::Failed),
            (counts.unknown, Mark::Unknown),
            (counts.drift, Mark::Drift),
        ];
        let mut well = true;
        for (count, kind) in marks.into_iter().filter(|(count, _)| *count > 0) {
            let _ = write!(self.0, " {}", mark(kind, &format!("{count} {}", kind.word())));
            well = false;
        }
        if well {
            self.0.push_str(" <span class=\"mark ok\">all is well</span>");
        }
        self.0.push_str("</p>\n");
    }

    /// A table with a heading, if it has a row.
    fn section<T>(
        &mut self,
        title: &str,
        heads: &[&str],
        rows: impl Iterator<Item = T>,
        row: impl Fn(T) -> String,
    ) {
        let rows: String = rows.map(row).collect();
        if rows.is_empty() {
            return;
        }
        let _ = write!(self.0, "<h2>{}</h2>\n<table><thead><tr>", escaped(title));
        for head in heads {
            let _ = write!(self.0, "<th>{head}</th>");
        }
        let _ = write!(self.0, "</tr></thead><tbody>\n{rows}</tbody></table>\n");
    }
}

/// The row of an application that answered.
fn release(row: &TargetRow, release: &Release) -> String {
    let or_dash = |value: &Option<String>| escaped(value.as_deref().unwrap_or("-"));
    let state = match row.mark {
        Some(Mark::Failed) => {
            let (version, result) = (or_dash(&release.last_version), or_dash(&release.last_result));
            mark(Mark::Failed, &format!("{version} {result}"))
        }
        Some(kind) => mark(kind, kind.word()),
        None => "<span class=\"ok\">&#10003;</span>".to_string(),
    };
    let sha256 = release.sha256.as_ref().map_or("-".into(), Digest::to_string);
    let since = or_dash(&release.since).chars().take(16).collect::<String>().replace('T', " ");
    let class = format!(" class=\"version\" title=\"sha256 {sha256}\"");
    cells(
        row,
        &[
            &td("", &state),
            &td(&class, &or_dash(&release.version)),
            &td("", &format!("<time>{since}</time>")),
            &td("", &or_dash(&release.by)),
        ],
    )
}

/// The target's cell and these, as a row.
fn cells(row: &TargetRow, cells: &[&str]) -> String {
    let class = match row.mark {
        None => "",
        Some(Mark::Drift) => " class=\"marked drifts\"",
        Some(_) => " class=\"marked\"",
    };
    format!("<tr{class}>{}{}</tr>\n", td("", &escaped(&row.target)), cells.concat())
}

/// A cell of text that is escaped already.
fn td(attributes: &str, text: &str) -> String {
    format!("<td{attributes}>{text}</td>")
}

/// A word in a coloured frame; the word is escaped already.
fn mark(kind: Mark, word: &str) -> String {
    format!("<span class=\"mark {}\">{word}</span>", kind.word())
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::marks::{marked, tests::states};
    use super::*;

    #[test]
    fn a_section_for_each_application_and_for_those_without() {
        let rows = marked(states(&[
            "away <b>\"&",
            "web1 shop 1.1 a 1 failed",
            "web2 shop 1.1 a 1 ok",
            "web3 shop 1.0 b 1 ok",
            "web1 api 2 c 1 ok",
            "db1",
        ]));
        let page = page(&rows, "2026-01-31T23:59:59Z");
        let body = page.split("<h1>What runs where</h1>\n").nth(1).expect("a body");
        let headings: Vec<&str> = body.split("<h2>").skip(1).collect();
        assert_eq!(headings.len(), 4, "{body}");
        for part in [
            "<p>2026-01-31 23:59 UTC, 5 targets <span class=\"mark failed\">1 failed</span> ",
            "<td>away</td><td><span class=\"mark unknown\">unknown</span></td>\
             <td>&lt;b&gt;&quot;&amp;</td></tr>",
            "<span class=\"mark failed\">1.2 failed</span>",
            "<tr class=\"marked drifts\"><td>web3</td>",
            "<td><time>2026-01-31 23:59</time></td><td>ada</td></tr>",
            "<h2>Without an application</h2>\n<table><thead><tr><th>Target</th></tr></thead>\
             <tbody>\n<tr><td>db1</td></tr>\n</tbody></table>\n</body>\n</html>\n",
        ] {
            assert!(body.contains(part), "{part} is not in\n{body}");
        }
        let well = super::page(&marked(states(&["web1 api 2 c 1 ok"])), "x");
        assert!(well.contains("1 target <span class=\"mark ok\">all is well</span></p>"));
    }
}
