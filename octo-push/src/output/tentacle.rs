//! What a tentacle said, as an object of its own: none of its words can stand
//! beside one of ours.

use crate::output::json::JsonObject;
use octo_core::base::key::Form;
use octo_wire::fields::Fields;

/// `{"type":KIND,"target":NAME,"tentacle":{…}}`, of a reply or a line of a list.
pub(crate) fn object(kind: &str, target: &str, said: &Fields) -> JsonObject {
    JsonObject::of(kind).text("target", target).object("tentacle", words(said))
}

/// All keys of its row in the row's order; what was not said is null, and what the
/// row lacks was forgotten when it was read.
pub(crate) fn words(said: &Fields) -> JsonObject {
    let mut object = JsonObject::new();
    for (key, value) in said.each() {
        let word = key.word.replace('-', "_");
        object = match value {
            None if key.form == Form::Flag => object.flag(&word, false),
            None => object.null(&word),
            Some(value) => valued(object, &word, key.form, value),
        };
    }
    object
}

fn valued(object: JsonObject, word: &str, form: Form, value: &[u8]) -> JsonObject {
    let text = || std::str::from_utf8(value).unwrap_or("");
    match form {
        Form::Number | Form::Decimal => object.decimal(word, text()),
        Form::Flag => object.flag(word, true),
        Form::List => object.list(word, text().split(',').filter(|part| !part.is_empty())),
        Form::Lines => object.list(word, text().lines()),
        Form::Text | Form::Digest | Form::Time | Form::JobId => object.text(word, text()),
        Form::Bytes | Form::FileName => object.bytes(word, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::trust::Verb;
    use octo_wire::{Message, Reply};

    /// A tentacle that says it is another, and that a job ended there.
    #[test]
    fn a_peers_words_are_no_keys_of_ours() {
        let line = b"ok version=1 target=db1 type=end kind=exit code=0 load=0.50 features=put,run";
        let message = Message::parse(line).expect("a message");
        let Ok(Reply::Ok(said)) = Reply::read(Verb::Status, message) else { panic!("not ok") };
        assert_eq!(
            object("status", "web1", &said).line().trim_end(),
            concat!(
                r#"{"type":"status","target":"web1","tentacle":{"name":null,"version":"1","#,
                r#""features":["put","run"],"time":null,"free":null,"load":0.50,"running":null}}"#
            )
        );
    }

    #[test]
    fn each_form_has_its_type() {
        let sha256 = "0f".repeat(32);
        let item =
            Fields::item(Verb::Jobs).with("state", "over").with("code", 7).with("sha256", &sha256);
        let line = object("job", "web1", &item).line();
        assert!(line.contains(r#""state":"over","received":null"#), "{line}");
        assert!(line.contains(&format!(r#""sha256":"{sha256}","code":7,"at":null"#)), "{line}");
        let item = Fields::item(Verb::Get).with_bytes("name", b"\xff").with("size", 3);
        let line = object("artifact", "web1", &item).line();
        assert!(line.contains(r#""tentacle":{"name":{"hex":"ff"},"size":3}"#), "{line}");
    }
}
