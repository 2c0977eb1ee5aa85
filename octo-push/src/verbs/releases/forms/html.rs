//! For a web server: one page without anything beside it.

use super::counts::{Counts, targets};
use super::table::{changed, freeze, last};
use crate::verbs::releases::mark::Mark;
use crate::verbs::releases::release::Release;
use crate::verbs::releases::row::{State, TargetRow};
use octo_core::base::digest::Digest;
use std::fmt::Write;

/// Everything up to the heading, with the styles.
const HEAD: &str = include_str!("head.html");

/// The page; `now` in UTC, RFC 3339.
pub(super) fn page(rows: &[TargetRow], now: &str) -> String {
    let mut page = Page(HEAD.to_string());
    page.summary(rows, now);
    let silent = rows.iter().filter(|row| !row.state.has_told());
    page.section("No answer", &["Target", "State", "Why"], silent, |row| {
        let why = escaped(row.message.as_deref().unwrap_or(""));
        cells(row, &[&td("", &marks(row)), &td("", &why)])
    });
    let answered: Vec<(&TargetRow, &Release)> =
        rows.iter().filter_map(|row| Some((row, row.release.as_ref()?))).collect();
    for section in answered.chunk_by(|(_, one), (_, other)| one.application == other.application) {
        let heads = ["Target", "State", "Version", "Since", "By"];
        page.section(&section[0].1.application, &heads, section.iter(), |(row, r)| release(row, r));
    }
    let empty = rows.iter().filter(|row| row.state == State::Empty);
    page.section("Without an application", &["Target"], empty, |row| cells(row, &[]));
    page.0 + "</main>\n</body>\n</html>\n"
}

/// A page in the making.
struct Page(String);

impl Page {
    fn summary(&mut self, rows: &[TargetRow], now: &str) {
        let counts = Counts::of(rows);
        let _ = write!(self.0, "<p>{} UTC, {}", minute(now), targets(counts.targets));
        for (kind, count) in counts.each() {
            let _ = write!(self.0, " {}", mark(kind, "", &format!("{count} {}", kind.word())));
        }
        if counts.marked == 0 {
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
        let title = escaped(title);
        let caption = format!("<caption class=\"spoken\">{title}</caption>");
        let _ = write!(self.0, "<h2>{title}</h2>\n<table>{caption}<thead><tr>");
        for head in heads {
            let _ = write!(self.0, "<th scope=\"col\">{head}</th>");
        }
        let _ = write!(self.0, "</tr></thead><tbody>\n{rows}</tbody></table>\n");
    }
}

/// The row of an application.
fn release(row: &TargetRow, release: &Release) -> String {
    let said = |key| escaped(&release.shown(key));
    let state = match row.marks[..] {
        [] => "<span class=\"ok\" role=\"img\" aria-label=\"well\">&#10003;</span>".to_string(),
        _ => marks(row),
    };
    let sha256 = release.sha256().as_ref().map_or("-".into(), Digest::to_string);
    let revision = escaped(release.revision().as_deref().unwrap_or("-"));
    let since = minute(&said("since"));
    let class = format!(" class=\"version\" title=\"{revision}, sha256 {sha256}\"");
    let place = format!(" title=\"in {} as {}\"", said("base"), said("user"));
    let target = heading(&place, &escaped(&row.target));
    line(
        row,
        &target,
        &[
            &td("", &state),
            &td(&class, &said("version")),
            &td("", &format!("<time>{since}</time>")),
            &td("", &said("by")),
        ],
    )
}

/// The target's cell and these, as a row.
fn cells(row: &TargetRow, cells: &[&str]) -> String {
    line(row, &heading("", &escaped(&row.target)), cells)
}

fn line(row: &TargetRow, target: &str, cells: &[&str]) -> String {
    let class = match row.mark().filter(|mark| mark.is_fault()) {
        None => "",
        Some(mark) if mark.is_bad() => " class=\"marked\"",
        Some(_) => " class=\"marked drifts\"",
    };
    format!("<tr{class}>{target}{}</tr>\n", cells.concat())
}

/// The cell that names a row, of text that is escaped already.
fn heading(attributes: &str, text: &str) -> String {
    format!("<th scope=\"row\"{attributes}>{text}</th>")
}

/// A cell of text that is escaped already.
fn td(attributes: &str, text: &str) -> String {
    format!("<td{attributes}>{text}</td>")
}

/// All that a row is marked with; the whole of it shows where one points at it.
fn marks(row: &TargetRow) -> String {
    let shown = |kind: &Mark| {
        let (text, why) = match kind {
            Mark::Failed | Mark::Stuck => (last(row), String::new()),
            Mark::Sick => (kind.word().into(), row.shown("result")),
            Mark::Changed => (kind.word().into(), changed(row)),
            Mark::Unverified => (kind.word().into(), row.unverified.clone().unwrap_or_default()),
            Mark::Stale => (kind.word().into(), row.shown("seen")),
            Mark::Frozen => {
                (format!("frozen until {}", minute(&row.shown("frozen-until"))), freeze(row))
            }
            Mark::Unreachable | Mark::Unknown | Mark::Drift => (kind.word().into(), String::new()),
        };
        mark(*kind, &why, &text)
    };
    row.marks.iter().map(shown).collect::<Vec<_>>().join(" ")
}

/// A time, for people.
fn minute(time: &str) -> String {
    time.chars().take(16).collect::<String>().replace('T', " ")
}

/// Words in a coloured frame.
fn mark(kind: Mark, why: &str, text: &str) -> String {
    let colour = match kind {
        Mark::Frozen => "frozen",
        _ if kind.is_bad() => "bad",
        _ => "drift",
    };
    let title = if why.is_empty() { String::new() } else { format!(" title=\"{}\"", escaped(why)) };
    format!("<span class=\"mark {colour}\"{title}>{}</span>", escaped(text))
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::releases::marking::tests::rows;

    #[test]
    fn a_section_for_each_application_and_for_those_without() {
        let rows = rows(&[
            "away !unreachable <b>\"&",
            "web1 application=shop version=1.1 sha256=a last-what=deploy last-version=1.2 last-result=failed",
            "web2 application=shop version=1.1 sha256=a frozen-until=2027-01-01T00:00:00Z frozen-by=<i> frozen-why=x",
            "web3 application=shop version=1.0 sha256=b since=2026-01-31T23:59:01Z by=ada",
            "web1 application=api version=2",
            "db1",
        ]);
        let page = page(&rows, "2026-01-31T23:59:59Z");
        let body = page.split("<h1>What runs where</h1>\n").nth(1).expect("a body");
        let headings: Vec<&str> = body.split("<h2>").skip(1).collect();
        assert_eq!(headings.len(), 4, "{body}");
        for part in [
            "<p>2026-01-31 23:59 UTC, 5 targets <span class=\"mark bad\">1 unreachable</span> ",
            "<span class=\"mark frozen\">1 frozen</span></p>",
            "<th scope=\"row\">away</th><td><span class=\"mark bad\">unreachable</span></td>\
             <td>&lt;b&gt;&quot;&amp;</td></tr>",
            "<span class=\"mark bad\">deploy 1.2 failed</span>",
            "title=\"until 2027-01-01T00:00:00Z by &lt;i&gt;: x\">frozen until 2027-01-01 00:00</span>",
            "<tr class=\"marked drifts\"><th scope=\"row\" title=\"in /srv as app\">web3</th>",
            "<td><time>2026-01-31 23:59</time></td><td>ada</td></tr>",
            "<h2>Without an application</h2>\n<table><caption class=\"spoken\">Without an application\
             </caption><thead><tr><th scope=\"col\">Target</th></tr></thead><tbody>\n<tr><th \
             scope=\"row\">db1</th></tr>\n</tbody></table>\n</main>\n</body>\n</html>\n",
        ] {
            assert!(body.contains(part), "{part} is not in\n{body}");
        }
        for (part, count) in [
            ("<html lang=\"en\">", 1),
            ("<title>", 1),
            ("<meta name=\"viewport\"", 1),
            ("<main>", 1),
            ("<h1>", 1),
            ("<caption", 4),
            ("<th scope=\"row\"", 6),
            ("<th scope=\"col\"></th>", 0),
            ("<script", 0),
            ("<td></td>", 0),
            ("://", 0),
            ("url(", 0),
            ("src=", 0),
            ("display: none", 0),
        ] {
            assert_eq!(page.matches(part).count(), count, "{part} in\n{page}");
        }
        assert_eq!(page.matches("aria-label=\"well\"").count(), 1, "{page}");
        let well = super::page(
            &crate::verbs::releases::marking::tests::rows(&["web1 application=api"]),
            "x",
        );
        assert!(well.contains("1 target <span class=\"mark ok\">all is well</span></p>"));
    }
}
