//! What octo-protocol(7) shows is what this crate reads and writes.

use octo_core::Refusal;
use octo_wire::Message;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../man/octo-protocol.7");
    std::fs::read_to_string(path).expect("the page")
}

#[test]
fn its_examples_are_messages() {
    let page = page();
    let mut body = None;
    let mut examples = 0;
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("> ").or(line.strip_prefix("< ")) {
            let message = Message::parse(text.as_bytes()).expect(text);
            assert_eq!(message.encode().expect(text), format!("{text}\n").as_bytes());
            body = Some(message.body().expect(text)).filter(|length| *length > 0);
            examples += 1;
        } else if let Some(text) = line.strip_prefix("= ")
            && let Some(length) = body
        {
            assert_eq!(length, text.len() as u64 + 1, "{text}");
        }
    }
    assert!(examples >= 12, "{examples}");
}

#[test]
fn its_table_of_refusals_is_whole() {
    let rows = page().lines().filter_map(refusal).count();
    assert_eq!(rows, 14);
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
