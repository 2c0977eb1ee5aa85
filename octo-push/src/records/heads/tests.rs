#![allow(clippy::unwrap_used)]
use super::heard::{Heard, Watch};
use super::known::{Known, MOST};
use super::line::{Chain, HeadLine, KnownHead, Mark};
use super::store::HeadStore;
use jiff::Timestamp;
use octo_core::base::digest::Digest;
use octo_core::base::paths::Places;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::targets::Targets;
use octo_core::tentacle::audit::Head;
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

fn head(seq: u64) -> Head {
    Head { seq, hash: Digest::of(&seq.to_be_bytes()) }
}

fn line(mark: Mark, seq: u64) -> HeadLine {
    let time: Timestamp = "2026-01-31T23:59:58Z".parse().unwrap();
    let was = mark.is_fault().then(|| KnownHead { head: head(seq + 9), time });
    HeadLine { time, mark, chain: Chain::Exec, head: head(seq), tentacle: None, was }
}

fn store(directory: &tempfile::TempDir) -> HeadStore {
    HeadStore::at(&Places { config: "/none".into(), state: directory.path().into() })
}

/// What a call hears that gets these heads of octo-exec's log one after the other.
fn hear(known: &Known, heads: &[Head]) -> Heard {
    let heard = Rc::new(RefCell::new(Heard::default()));
    say(&mut Watch::new(known, &heard), heads);
    heard.take()
}

fn say(watch: &mut Watch, heads: &[Head]) {
    for head in heads {
        let text = head.to_string();
        watch.hear(|key| (key == "audit-exec").then_some(text.as_str()));
    }
}

fn marks(heard: &Heard) -> Vec<(Mark, u64)> {
    heard.lines().map(|line| (line.mark, line.head.seq)).collect()
}

/// As it is written and read.
fn again(known: &Known) -> Known {
    let text: String = known.lines().map(HeadLine::encode).collect();
    Known::of_lines(HeadLine::all(text.as_bytes()))
}

fn numbers(known: &Known) -> Vec<u64> {
    known.of(Chain::Exec).asked().iter().map(|known| known.head.seq).collect()
}

#[test]
fn a_line_comes_back_and_a_torn_one_says_nothing() {
    let tentacle = Some(Thumbprint::of_certificate(b"web1"));
    for mark in [Mark::Seen, Mark::Proved, Mark::Unseen, Mark::Backwards, Mark::Changed] {
        let line = HeadLine { tentacle, ..line(mark, 7) };
        let text = line.encode();
        assert_eq!(HeadLine::parse(text.trim_end().as_bytes()), Some(line.clone()), "{text}");
        for cut in 0..text.len() - 1 {
            // Half a number of a time or a hash is none.
            let cut = HeadLine::parse(&text.as_bytes()[..cut]);
            assert!(cut.is_none_or(|cut| cut.head == line.head && cut.mark == mark), "{text}");
        }
    }
    let said = line(Mark::Backwards, 40).fault();
    assert!(
        said.contains("octo-exec's audit log went backwards: it had line 49 at 2026"),
        "{said}"
    );
    assert_eq!(line(Mark::Proved, 40).fault(), "");
}

#[test]
fn a_head_must_go_on_from_what_was_known_before_the_connection() {
    let known = Known::of_lines([line(Mark::Seen, 65)]);
    assert_eq!(marks(&hear(&Known::default(), &[head(3)])), [(Mark::Seen, 3)]);
    assert_eq!(marks(&hear(&known, &[head(65), head(66), head(70)])), [(Mark::Seen, 70)]);
    assert_eq!(marks(&hear(&known, &[head(65)])), []);
    assert_eq!(marks(&hear(&known, &[head(40), head(41)])), [(Mark::Backwards, 40)]);
    let other = Head { seq: 65, hash: Digest::of(b"other") };
    assert_eq!(marks(&hear(&known, &[other])), [(Mark::Changed, 65)]);
    // Within a connection, too; and who claimed a future went backwards from it.
    assert_eq!(
        marks(&hear(&known, &[head(1 << 60), head(66)])),
        [(Mark::Seen, 1 << 60), (Mark::Backwards, 66)]
    );
    // Two connections at once: what one has heard says nothing of a reply to the other.
    let heard = Rc::default();
    let mut first = Watch::new(&known, &heard);
    let mut second = Watch::new(&known, &heard);
    say(&mut second, &[head(80)]);
    say(&mut first, &[head(70)]);
    assert_eq!(marks(&heard.borrow()), [(Mark::Seen, 80)]);
    let mut third = Watch::new(&known, &heard);
    say(&mut third, &[head(79)]);
    assert_eq!(marks(&heard.borrow()), [(Mark::Seen, 80), (Mark::Backwards, 79)]);
}

#[test]
fn what_is_kept_reaches_back_to_the_first_and_is_few() {
    let mut known = Known::default();
    for seq in 1..=5000 {
        known.add(line(Mark::Seen, seq));
        if seq % 100 == 0 {
            known = again(&known);
        }
    }
    known.add(line(Mark::Proved, 4321));
    known.add(line(Mark::Proved, 1234));
    known.add(line(Mark::Backwards, 17));
    known.add(line(Mark::Backwards, 16));
    let known = again(&known);
    let kept = known.of(Chain::Exec).numbers();
    assert!(kept.len() <= 40 && kept[0] == 1, "{kept:?}");
    assert!(kept.ends_with(&(4985..=5000).collect::<Vec<_>>()), "{kept:?}");
    // No gap is longer than what lies behind it to the end.
    assert!(kept.windows(2).all(|pair| pair[1] - pair[0] <= 2 * (5001 - pair[1])), "{kept:?}");
    assert_eq!(numbers(&known)[..3], [4321, 5000, 4999]);
    assert_eq!(known.fault().map(|fault| fault.head.seq), Some(17));
    // One who claims numbers that no log reaches fills no memory.
    let mut known = Known::default();
    (0..63).for_each(|power| known.add(line(Mark::Seen, 1 << power)));
    (1..90).for_each(|more| known.add(line(Mark::Seen, (1 << 62) + more)));
    let known = again(&known);
    assert!(known.of(Chain::Exec).numbers().len() <= MOST);
}

#[test]
fn a_file_is_written_anew_and_loses_nothing_that_counts() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory);
    let mut seq = 0;
    let mut proof = Heard::default();
    proof.learn(line(Mark::Proved, 5));
    proof.learn(line(Mark::Changed, 4));
    store.keep("web1", None, &proof).unwrap();
    store.sync().unwrap();
    let path = store.path("web1");
    let (mut before, mut rewritten) = (0, false);
    while !rewritten {
        seq += 1;
        store.keep("web1", None, &hear(&Known::default(), &[head(seq)])).unwrap();
        let size = fs::metadata(&path).unwrap().len();
        (rewritten, before) = (size < before, size);
        assert!(seq < 2000, "never written anew");
    }
    let known = store.known_last("web1").unwrap();
    let asked = numbers(&known);
    assert_eq!((asked[0], asked[1], asked[asked.len() - 1]), (5, seq, 1));
    assert_eq!(known.of(Chain::Exec).proved.as_ref().map(|line| line.head.seq), Some(5));
    assert_eq!(known.fault().map(|fault| fault.mark), Some(Mark::Changed));
    // What a crash tore is passed over, and what comes next has a line of its own.
    let torn = [&fs::read(&path).unwrap()[..], b"2026-01-31T23:59:58Z seen cha"].concat();
    fs::write(&path, torn).unwrap();
    store.keep("web1", None, &hear(&Known::default(), &[head(9999)])).unwrap();
    assert_eq!(store.known_last("web1").unwrap().of(Chain::Exec).last().unwrap().head.seq, 9999);
    assert_eq!(store.targets().unwrap(), ["web1"]);
}

#[test]
fn many_at_once_lose_no_head() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let directory = &directory;
            scope.spawn(move || {
                let store = store(directory);
                // Long enough that each of them writes the file anew.
                for step in 0..250 {
                    let heard = hear(&Known::default(), &[head(1000 * thread + step + 1)]);
                    store.keep("web1", None, &heard).unwrap();
                }
            });
        }
    });
    let known = store(&directory).known_last("web1").unwrap();
    assert_eq!((numbers(&known)[0], numbers(&known).last().copied()), (3250, Some(1)));
}

/// Another machine of the same name has logs of its own; a renewed identity goes on.
#[test]
fn heads_are_of_an_identity_and_go_over_to_the_one_that_renews_it() {
    let [old, new, other] = [b"old", b"new", b"oth"].map(|der| Thumbprint::of_certificate(der));
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory);
    let target = |trusted: &str| {
        let line = format!("web1 10.0.0.1 {trusted}\n");
        Targets::parse(Path::new("t"), line.as_bytes()).unwrap().all.remove(0)
    };
    let call = |trusted: &str, shown: Thumbprint, heads: &[Head]| {
        let known = store.known(&target(trusted)).unwrap();
        let heard = Rc::default();
        let mut watch = Watch::new(&known, &heard);
        watch.meet(&known, shown);
        say(&mut watch, heads);
        drop(watch);
        store.keep("web1", Some(shown), &heard.borrow()).unwrap();
        heard.borrow().fault().map(|fault| fault.mark)
    };
    let (of_old, of_new) = (old.to_string(), new.to_string());
    assert_eq!(call(&of_old, old, &[head(50)]), None);
    assert_eq!(call(&format!("{of_old},{of_new}"), new, &[head(60)]), None);
    assert_eq!(numbers(&store.known(&target(&of_new)).unwrap()), [60, 50]);
    assert_eq!(call(&other.to_string(), other, &[head(3)]), None);
    assert_eq!(call(&of_new, new, &[head(59)]), Some(Mark::Backwards));
    assert_eq!(call(&other.to_string(), other, &[head(4)]), None);
    let text = Known::shortened(&HeadLine::all(&fs::read(store.path("web1")).unwrap()));
    let lines = HeadLine::all(text.as_bytes());
    assert!(lines.iter().all(|line| line.tentacle != Some(old)));
    fs::write(store.path("web1"), text).unwrap();
    assert_eq!(numbers(&store.known(&target(&of_new)).unwrap()), [60, 50]);
    assert_eq!(call(&of_new, new, &[head(70)]), Some(Mark::Backwards));
    assert_eq!(numbers(&store.known(&target(&other.to_string())).unwrap()), [4, 3]);
}
