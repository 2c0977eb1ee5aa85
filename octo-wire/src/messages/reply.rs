//! What the tentacle says: replies, the words of a stream, the lines of a list.
//!
//! A key that a row lacks is skipped, and so is a word of a stream or a list that
//! no row has: a later version may say more. A known key is of its form, or the
//! message is malformed.

use super::fields::Fields;
use super::message::Message;
use super::words::StreamWord;
use crate::failure::Failure;
use octo_core::trust::Verb;

/// What answers a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is granted.
    Ok(Fields),
    /// It is refused.
    No(Fields),
    /// The answer takes its time.
    Tick(Fields),
}

impl Reply {
    /// The reply of a message, to a request of this verb.
    ///
    /// # Errors
    /// [`Failure::Malformed`] for another word, and for a value not of its form.
    pub fn read(verb: Verb, message: Message) -> Result<Reply, Failure> {
        if message.word() == "ok" {
            return Fields::ok(verb).filled(message).map(Reply::Ok);
        }
        match StreamWord::from_word(message.word()) {
            Some(word @ StreamWord::No) => Fields::of(word).filled(message).map(Reply::No),
            Some(word @ StreamWord::Tick) => Fields::of(word).filled(message).map(Reply::Tick),
            _ => Err(Failure::Malformed(format!("an unexpected {}", message.word()))),
        }
    }
}

/// The word of a stream that a message is, and what it says; no word where we
/// don't know it: then its body is to be skipped.
///
/// # Errors
/// [`Failure::Malformed`] for a value not of its form.
pub fn streamed(message: Message) -> Result<(Option<StreamWord>, Fields), Failure> {
    let word = StreamWord::from_word(message.word());
    let fields = word.map_or_else(Fields::unknown, Fields::of).filled(message)?;
    Ok((word, fields))
}

/// The lines of the list with which this verb is answered, each read when it is asked
/// for: a body of the largest size would take twenty times as much memory.
///
/// # Errors
/// [`Failure::Malformed`] for a line that is no message, or a value not of its form.
pub fn listed(verb: Verb, body: &[u8]) -> impl Iterator<Item = Result<Fields, Failure>> {
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    let lines = (!body.is_empty()).then(|| body.split(|b| *b == b'\n'));
    let row = Fields::item(verb);
    lines.into_iter().flatten().filter_map(move |line| match Message::parse(line) {
        Ok(message) if message.word() != row.message().word() => None,
        Ok(message) => Some(row.clone().filled(message)),
        Err(failure) => Some(Err(failure)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(line: &str) -> Message {
        Message::parse(line.as_bytes()).expect(line)
    }

    fn list(verb: Verb, body: &[u8]) -> Result<Vec<Fields>, Failure> {
        listed(verb, body).collect()
    }

    #[test]
    fn a_list_is_read_line_by_line() {
        let mut items = listed(Verb::Scripts, b"script name=a\n\nscript name=b\n");
        let mut name = || Some(items.next()?.ok()?.get::<&str>("name")?.to_string());
        assert_eq!(
            [name(), name(), name(), name()],
            [Some("a".into()), None, Some("b".into()), None]
        );
        // The largest body: all of it as fields would take more than a gigabyte.
        let body = b"script\n".repeat((64 << 20) / 7);
        assert_eq!(listed(Verb::Scripts, &body).take(3).filter(Result::is_ok).count(), 3);
    }

    /// A tentacle may say that it is another, or that a job ended: none of its own
    /// keys stand beside ours.
    #[test]
    fn a_peers_own_keys_are_forgotten() {
        let line = "ok version=1 target=db1 type=end kind=exit code=0 tentacle=x body=4 audit=7:ab";
        let Reply::Ok(status) = Reply::read(Verb::Status, message(line)).expect("a reply") else {
            panic!("not ok")
        };
        let given: Vec<&str> =
            status.each().filter(|(_, value)| value.is_some()).map(|(key, _)| key.word).collect();
        assert_eq!(given, ["version"]);
        assert_eq!(status.each().count(), Verb::Status.row().reply.len());
        assert_eq!(status.get::<&str>("audit"), Some("7:ab"));
        // What it announces comes all the same, and has to be passed over.
        assert_eq!(status.body(), 4);

        let body = b"script name=a target=db1\nnews name=b\nscript name=c\n";
        let items = list(Verb::Scripts, body).expect("a list");
        let names: Vec<_> = items.iter().filter_map(|item| item.get::<&str>("name")).collect();
        assert_eq!(names, ["a", "c"]);
        assert!(items.iter().all(|item| item.each().count() == 1));
    }

    #[test]
    fn what_is_known_is_of_its_form() {
        for line in [
            "ok running=many",
            "ok free=1e9",
            "ok load=NaN",
            "ok load=0.5,",
            "ok time=now",
            "ok name=%FF",
            "ok body=-1",
            "no opens=never",
            "tick body=x",
            "end kind=exit code=0",
            "hello",
        ] {
            let reply = Reply::read(Verb::Status, message(line));
            assert!(matches!(reply, Err(Failure::Malformed(_))), "{line}: {reply:?}");
        }
        assert!(Message::parse(b"ok name=a name=b").is_err());
        assert!(list(Verb::Jobs, b"job code=x\n").is_err());
        assert!(list(Verb::Jobs, b"job\n\n").is_err());
        for empty in [&b""[..], b"\n"] {
            assert_eq!(list(Verb::Jobs, empty).expect("a list"), []);
        }
    }

    #[test]
    fn a_stream_has_its_words_and_skips_others() {
        let (word, end) = streamed(message("end kind=exit code=5 log=6 truncated=yes mood=good"))
            .expect("of the stream");
        assert_eq!(word, Some(StreamWord::End));
        assert_eq!((end.get::<&str>("kind"), end.get::<u64>("code")), (Some("exit"), Some(5)));
        assert!(end.flag("truncated"));
        let (word, other) = streamed(message("progress percent=7 body=12")).expect("skipped");
        assert_eq!((word, other.body(), other.each().count()), (None, 12, 0));
        assert!(streamed(message("end kind=exit code=five")).is_err());
        assert!(streamed(message("out body=x")).is_err());
    }

    /// Whatever a peer sends is read or refused, and nothing of it that a row
    /// lacks is kept.
    #[test]
    fn any_bytes_are_read_or_refused() {
        const ALPHABET: &[u8] = b"ab-0= %2F1fA4~/.:\n\x00\xe9Zoknd";
        let mut state = 11_u64;
        let mut next = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % bound
        };
        let mut read = 0;
        for round in 0..60_000 {
            let verb = Verb::all().nth(round % Verb::all().count()).expect("a verb");
            let mut bytes = b"ok name=a offset=1 job=20260101T000000-abcdefghijklm body=1".to_vec();
            for _ in 0..next(5) {
                let at = next(bytes.len());
                bytes[at] = ALPHABET[next(ALPHABET.len())];
            }
            let Ok(message) = Message::parse(&bytes) else { continue };
            let replied = match Reply::read(verb, message.clone()) {
                Ok(Reply::Ok(fields) | Reply::No(fields) | Reply::Tick(fields)) => Some(fields),
                Err(_) => None,
            };
            let streamed = streamed(message.clone()).map(|(_, fields)| fields).ok();
            let asked = crate::request::Request::read(message).map(|request| request.fields).ok();
            for fields in [replied, streamed, asked].into_iter().flatten() {
                read += 1;
                for (key, value) in fields.each() {
                    assert!(value.is_none_or(|value| key.form.fits(value)));
                }
            }
            if verb.row().item.is_some() {
                let _ = list(verb, &bytes);
            }
        }
        assert!(read > 1000, "{read}");
    }
}
