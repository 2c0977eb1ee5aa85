//! Requests, as the octopus makes them and the tentacle reads them.

use super::fields::Fields;
use super::message::Message;
use crate::failure::Failure;
use octo_core::Refusal;
use octo_core::trust::Verb;

/// A verb, and the values of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub verb: Verb,
    /// With which values.
    pub fields: Fields,
}

/// Why a line is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// In one word, for the reply.
    pub refusal: Refusal,
    /// In words.
    pub reason: String,
    /// The verb, where it is one.
    pub verb: Option<Verb>,
    /// Where the next request begins is unknown: a body may be on its way.
    pub is_last: bool,
}

impl Request {
    /// A request for this, without a key yet.
    pub fn new(verb: Verb) -> Request {
        Request { verb, fields: Fields::request(verb) }
    }

    /// The same with one more value, as [`Fields::with`].
    #[must_use]
    pub fn with(self, key: &str, value: impl ToString) -> Request {
        Request { fields: self.fields.with(key, value), ..self }
    }

    /// The same with one more value, as [`Fields::with_bytes`].
    #[must_use]
    pub fn with_bytes(self, key: &str, value: &[u8]) -> Request {
        Request { fields: self.fields.with_bytes(key, value), ..self }
    }

    /// The request of a message: the verb is known, so are all keys, and each
    /// value has its form. Whether a key is there, the verb asks itself.
    ///
    /// # Errors
    /// What the pusher is to be told.
    pub fn read(message: Message) -> Result<Request, Unfit> {
        let verb = Verb::requested(message.word());
        let length = message.body();
        let unfit = |refusal, reason| {
            let is_last = refusal == Refusal::Malformed || !matches!(length, Ok(0));
            Unfit { refusal, reason, verb, is_last }
        };
        let Some(verb) = verb else {
            let reason = format!("the verb {} is unknown here", message.word());
            return Err(unfit(Refusal::Unsupported, reason));
        };
        let known = |key: &str| verb.row().request.iter().any(|row| row.word == key);
        if let Some(key) = message.keys().find(|key| !known(key)) {
            let reason = format!("the key {key} of {verb} is unknown here");
            return Err(unfit(Refusal::Unsupported, reason));
        }
        match Fields::request(verb).filled(message) {
            Ok(fields) => Ok(Request { verb, fields }),
            Err(Failure::Malformed(reason)) => Err(unfit(Refusal::Malformed, reason)),
            Err(failure) => Err(unfit(Refusal::Malformed, failure.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Request, Unfit> {
        Request::read(Message::parse(line.as_bytes()).expect(line))
    }

    #[test]
    fn what_is_asked_comes_back() {
        let job = octo_core::JobId::generate().expect("random bytes");
        let made = Request::new(Verb::Follow).with("job", &job).with("offset", 7);
        let line = made.fields.message().encode().expect("short");
        let text = String::from_utf8(line).expect("text");
        let request = read(text.trim_end()).expect("a request");
        assert_eq!(request, made);
        assert_eq!(request.fields.need::<octo_core::JobId>("job").expect("there"), job);
        assert_eq!(request.fields.get::<u64>("offset"), Some(7));
    }

    #[test]
    fn unknown_words_and_keys_are_refused_and_forms_are_kept() {
        let digest = "0f".repeat(32);
        for (line, refusal, said, is_last) in [
            ("fly", "unsupported", "the verb fly", false),
            ("fly body=7", "unsupported", "the verb fly", true),
            ("connect", "unsupported", "the verb connect", false),
            ("status verbose=1", "unsupported", "the key verbose of status", false),
            ("status body=7", "unsupported", "the key body of status", true),
            ("status body=x", "unsupported", "the key body of status", true),
            ("put size=-1", "malformed", "size is not a whole number", true),
            ("put size=1 name=..", "malformed", "name is not a file name", true),
            ("put sha256=0F", "malformed", "sha256 is not a sha256", true),
            ("run job=x", "malformed", "job is not a job id", true),
            ("run request=-1", "malformed", "request is not a whole number", true),
            ("run body=-1", "malformed", "body is not a whole number", true),
        ] {
            let unfit = read(line).expect_err(line);
            assert_eq!(unfit.refusal.word(), refusal, "{line}");
            assert!(unfit.reason.contains(said), "{line}: {}", unfit.reason);
            assert_eq!(unfit.is_last, is_last, "{line}");
        }
        let request = read(&format!("audit seq=1 head={digest}")).expect("a request");
        assert_eq!(request.fields.get::<u64>("seq"), Some(1));
        let request = read(&format!("audit head={digest}")).expect("a request");
        let missing = request.fields.need::<u64>("seq").expect_err("missing");
        assert!(missing.to_string().contains("seq is missing"));
    }
}
