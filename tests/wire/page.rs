//! What octo-protocol(7) shows is what this crate reads and writes.

use octo_core::Refusal;
use octo_core::base::key::Key;
use octo_core::tentacle::statement::{self, Statement};
use octo_core::trust::Verb;
use octo_wire::reply::streamed;
use octo_wire::words::FINAL;
use octo_wire::{Message, Reply, Request, StreamWord};
use std::collections::{BTreeMap, BTreeSet};

/// Words, and the keys of each.
type Words = BTreeMap<String, BTreeSet<String>>;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../man/octo-protocol.7");
    let page = std::fs::read_to_string(path).expect("the page");
    // Longer lines than a terminal has are broken there.
    page.replace("\\e\n  ", "")
}

#[test]
fn its_examples_are_messages() {
    let page = page();
    let (mut announced, mut body) = (0, 0);
    let mut asked = Verb::Connect;
    let mut examples = 0;
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("> ").or(line.strip_prefix("< ")) {
            let message = Message::parse(text.as_bytes()).expect(text);
            assert_eq!(message.encode().expect(text), format!("{text}\n").as_bytes());
            match Request::read(message.clone()) {
                Ok(request) if line.starts_with('>') => asked = request.verb,
                _ if message.word() == "part" => assert!(is_said(asked, &message), "{text}"),
                _ if line.starts_with('>') => assert_eq!(text, "stauts"),
                _ => assert!(is_said(asked, &message), "{text}"),
            }
            if announced > 0 {
                assert_eq!(body, announced, "before {text}");
            }
            (announced, body) = (message.body().expect(text), 0);
            examples += 1;
        } else if let Some(text) = line.strip_prefix("= ") {
            // Bytes that are no text are counted.
            let counted = text.strip_prefix('(').and_then(|text| text.split_once(" bytes: "));
            body += match counted {
                Some((count, _)) => count.parse().expect(text),
                None => text.len() as u64 + 1,
            };
        }
    }
    assert!(examples >= 12, "{examples}");
}

#[test]
fn its_statements_are_statements() {
    let page = page();
    let mut found = 0;
    for text in page.split("\n> ").filter(|text| text.contains(" request=")) {
        let bytes: String = text
            .lines()
            .filter_map(|line| line.strip_prefix("= "))
            .take_while(|line| !line.starts_with('('))
            .map(|line| format!("{line}\n"))
            .collect();
        let made = Statement::parse(bytes.as_bytes()).expect(text);
        assert_eq!(made.until, made.at + statement::HOLDS_FOR);
        assert!(text.contains(&format!("job={} request={} ", made.job, bytes.len())), "{text}");
        found += 1;
    }
    assert_eq!(found, 2);
    let sizes = (statement::MAXIMUM, statement::MAXIMUM_SIGNATURE, statement::MAXIMUM_BY);
    assert_eq!(sizes, (4 << 10, 1 << 10, 256));
    assert!(page.contains("4 KiB at most") && page.contains("256 bytes at most"));
}

/// A reply to this verb or a word of a stream, each key of which is known.
fn is_said(verb: Verb, message: &Message) -> bool {
    let fields = match (Reply::read(verb, message.clone()), streamed(message.clone())) {
        (Ok(Reply::Ok(fields) | Reply::No(fields)), _) | (_, Ok((Some(_), fields))) => fields,
        _ => return false,
    };
    fields.message() == message
}

#[test]
fn its_requests_are_those_of_the_table() {
    let verbs = Verb::all().filter(|verb| verb.is_requested());
    let known = verbs.map(|verb| (verb.word().to_string(), words_of(verb.row().request)));
    assert_eq!(said(&section(".Sh REQUESTS", ".Ss PARTS"), ".It"), known.collect());
}

#[test]
fn its_replies_and_lists_are_those_of_the_table() {
    for verb in Verb::all().filter(|verb| verb.is_requested()) {
        let row = verb.row();
        let mut known = Words::from([("ok".to_string(), words_of(row.reply))]);
        known.extend(row.item.map(|item| (item.word.to_string(), words_of(item.keys))));
        let requests = section(".Sh REQUESTS", ".Ss PARTS");
        let own = requests
            .split("\n.It ")
            .filter(|item| item.split_whitespace().nth(1).is_some_and(|word| word == verb.word()));
        assert_eq!(said(&own.collect::<Vec<_>>().join("\n"), ".D1"), known, "{verb}");
    }
}

#[test]
fn its_stream_is_that_of_the_table() {
    let mut page = said(&section(".Ss PARTS", ".Ss Refusals"), ".It");
    page.extend(said(&section(".Ss Refusals", ".Sh SPEC"), ".D1"));
    let known = StreamWord::all().map(|word| word.row());
    assert_eq!(page, known.map(|row| (row.word.to_string(), words_of(row.keys))).collect());
    let all = section(".Sh REQUESTS", ".Bl");
    let every = keys(all.lines().find(|line| line.contains("Ns =")).expect("a key"));
    assert_eq!(every, words_of(FINAL));
}

/// What stands between these headings, lines that go on made one.
fn section(from: &str, to: &str) -> String {
    let page = page().replace("\\\n", "");
    let behind = page.split(&format!("\n{from}\n")).nth(1).expect(from);
    behind.split(&format!("\n{to}")).next().expect(to).to_string()
}

/// The words that lines of this macro begin with, each with its keys.
fn said(text: &str, kind: &str) -> Words {
    let mut words = Words::new();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix(kind).and_then(|line| line.strip_prefix(" Cm ")) {
            let word = line.split(' ').next().expect("a word").to_string();
            words.entry(word).or_default().extend(keys(line));
        }
    }
    words
}

/// `Cm KEY Ns =` in a line.
fn keys(line: &str) -> BTreeSet<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_key = |four: &&[&str]| four[0].ends_with("Cm") && four[2..] == ["Ns", "="];
    words.windows(4).filter(is_key).map(|four| four[1].to_string()).collect()
}

fn words_of(keys: &[Key]) -> BTreeSet<String> {
    keys.iter().map(|key| key.word.to_string()).collect()
}

#[test]
fn its_table_of_refusals_is_whole() {
    let rows = page().lines().filter_map(refusal).count();
    assert_eq!(rows, 17);
}

fn refusal(line: &str) -> Option<()> {
    let mut fields = line.strip_prefix(".It Cm ")?.split(" Ta ");
    let (word, exit) = (fields.next()?, fields.next()?);
    let refusal = Refusal::from_word(word).expect(word);
    assert_eq!(refusal.exit().code().to_string(), exit, "{word}");
    Some(())
}

#[test]
fn its_numbers_are_those_of_the_code() {
    use octo_wire::{message, pace};
    assert_eq!(message::MAXIMUM_LINE, 16 * 1024);
    assert_eq!(octo_wire::verify::MAXIMUM_CERTIFICATE, 64 * 1024);
    assert_eq!((pace::MINIMUM_RATE, pace::RATE_WINDOW.as_secs()), (1024, 30));
    assert_eq!((pace::LOST_AFTER.as_secs(), pace::TICK_EVERY.as_secs()), (45, 15));
    assert_eq!(octo_core::targets::DEFAULT_PORT, 10933);
    let page = page();
    for said in [
        "at most 16 KiB",
        "64 KiB.",
        "1 KiB a second",
        "every 30 seconds",
        "45 seconds without a byte",
        "every 15 seconds",
        "port 10933",
    ] {
        assert!(page.contains(said), "{said}");
    }
}
