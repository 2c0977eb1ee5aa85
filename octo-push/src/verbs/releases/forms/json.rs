//! For programs: an object a line, octo-json(5).

use crate::output::json::JsonObject;
use crate::output::tentacle;
use crate::verbs::releases::row::TargetRow;
use octo_core::trust::Verb;
use octo_wire::Fields;

/// The objects.
pub(super) fn lines(rows: &[TargetRow]) -> String {
    rows.iter().map(line).collect()
}

fn line(row: &TargetRow) -> String {
    let nothing = Fields::item(Verb::Releases);
    let said = row.release.as_ref().map_or(&nothing, |release| release.fields());
    let said = tentacle::words(said);
    let said = match &row.offers {
        Some(offers) => said.list("offers", offers.split(',').filter(|part| !part.is_empty())),
        None => said.null("offers"),
    };
    JsonObject::of("release")
        .text("target", &row.target)
        .text("state", row.state.word())
        .text_or_null("message", row.message.as_deref())
        .text_or_null("mark", row.mark().map(|mark| mark.word()))
        .list("marks", row.marks.iter().map(|mark| mark.word()))
        .object("tentacle", said)
        .line()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::releases::marking::tests::rows;

    #[test]
    fn every_object_has_every_key() {
        let lines = lines(&rows(&[
            "away !unreachable no \"answer",
            "web1 application=shop version=1.1 sha256=a last-result=failed names=A,B seen=unchecked",
        ]));
        let (away, web1) = lines.split_once('\n').expect("two");
        assert_eq!(
            away,
            r#"{"type":"release","target":"away","state":"unreachable","message":"no \"answer","mark":"unreachable","marks":["unreachable"],"tentacle":{"application":null,"base":null,"user":null,"version":null,"release":null,"number":null,"sha256":null,"content":null,"signed":null,"since":null,"by":null,"result":null,"environment":null,"names":null,"last_version":null,"last_result":null,"last_what":null,"last_at":null,"last_by":null,"back_release":null,"back_version":null,"back_sha256":null,"back_environment":null,"back_names":null,"verified":null,"changed":null,"as_of":null,"seen":null,"frozen_until":null,"frozen_by":null,"frozen_why":null,"offers":null}}"#
        );
        for part in [
            r#""state":"answered","message":null,"mark":"failed","marks":["failed","stale"],"#,
            r#""number":4,"#,
            r#""names":["A","B"],"#,
            r#""offers":["put","run"]}}"#,
        ] {
            assert!(web1.contains(part), "{part} is not in {web1}");
        }
    }
}
