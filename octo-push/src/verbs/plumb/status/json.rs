//! For programs: an object a line, octo-json(5).

use super::marks::{Mark, TargetRow};
use super::release::TargetState;
use crate::output::json::JsonObject;
use octo_core::base::digest::Digest;

/// The objects.
pub(super) fn lines(rows: &[TargetRow]) -> String {
    rows.iter().map(line).collect()
}

fn line(row: &TargetRow) -> String {
    let release = row.release();
    let state = match row.state {
        TargetState::Answered(_) => "answered",
        TargetState::Empty => "empty",
        TargetState::Unknown(_) => "unknown",
    };
    let text = |object: JsonObject, key: &str, value: Option<&String>| {
        object.text_or_null(key, value.map(String::as_str))
    };
    let sha256 = release.and_then(|r| r.sha256).as_ref().map(Digest::to_string);
    let mut said = text(JsonObject::new(), "application", release.map(|r| &r.application));
    said = text(said, "version", release.and_then(|r| r.version.as_ref()));
    said = text(said, "sha256", sha256.as_ref());
    said = text(said, "since", release.and_then(|r| r.since.as_ref()));
    said = text(said, "by", release.and_then(|r| r.by.as_ref()));
    said = text(said, "result", release.and_then(|r| r.result.as_ref()));
    said = text(said, "release", release.and_then(|r| r.release.as_ref()));
    said = text(said, "last_version", release.and_then(|r| r.last_version.as_ref()));
    said = text(said, "last_result", release.and_then(|r| r.last_result.as_ref()));
    let object = JsonObject::of("release").text("target", &row.target).text("state", state);
    let object = text(object, "message", row.message().as_ref());
    object.text_or_null("mark", row.mark.map(Mark::word)).object("tentacle", said).line()
}

#[cfg(test)]
mod tests {
    use super::super::marks::{marked, tests::states};
    use super::*;

    #[test]
    fn every_object_has_every_key() {
        let rows = marked(states(&["away no \"answer", "web1 shop 1.1 a 1 failed", "web2"]));
        let sha256 = "a".repeat(64);
        let expected = format!(
            "{}\n{}\n{}\n",
            r#"{"type":"release","target":"away","state":"unknown","message":"no \"answer","mark":"unknown","tentacle":{"application":null,"version":null,"sha256":null,"since":null,"by":null,"result":null,"release":null,"last_version":null,"last_result":null}}"#,
            r#"{"type":"release","target":"web2","state":"empty","message":null,"mark":null,"tentacle":{"application":null,"version":null,"sha256":null,"since":null,"by":null,"result":null,"release":null,"last_version":null,"last_result":null}}"#,
            r#"{"type":"release","target":"web1","state":"answered","message":null,"mark":"failed","tentacle":{"application":"shop","version":"1.1","sha256":"SHA256","since":"2026-01-31T23:59:01Z","by":"ada","result":"succeeded","release":"1.1","last_version":"1.2","last_result":"failed"}}"#
        );
        assert_eq!(lines(&rows), expected.replace("SHA256", &sha256));
    }

    #[test]
    fn the_page_lists_the_keys_in_their_order() {
        let page = include_str!("../../../../../man/octo-json.5");
        let section = page.split(".Sh OBJECTS OF OCTO-STATUS\n").nth(1).expect("a section");
        let section = section.split("\n.Sh ").next().expect("its end");
        let listed = section.lines().filter_map(|line| line.strip_prefix(".It Cm "));
        let listed: Vec<&str> =
            listed.flat_map(|heads| heads.split(" , ")).flat_map(str::split_whitespace).collect();
        let line = lines(&marked(states(&["web2"])));
        let ends: Vec<&str> = line.split("\":").collect();
        let keys = ends[..ends.len() - 1].iter().filter_map(|end| end.rsplit('"').next());
        let keys: Vec<&str> = keys.collect();
        let (ours, said) = keys.split_at(5);
        let said = said[1..].iter().map(|key| format!("tentacle.{key}"));
        let ours = ours.iter().map(ToString::to_string);
        assert_eq!(listed, ours.chain(said).collect::<Vec<_>>());
    }
}
