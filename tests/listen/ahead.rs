//! The beginning of a package that comes before its sha256, as a pusher of plain
//! messages sends it: taken up or thrown away, and never anybody else's.

use crate::fleet::{Fleet, fleet, fleet_with};
use crate::listener::{Pusher, Tentacle};
use crate::support::wait_for;
use octo_core::Digest;

/// Several buffers, and no whole blocks.
const LENGTH: usize = 1_234_567;

fn package() -> Vec<u8> {
    (0..LENGTH).map(|i| (i * 31 + i / 256) as u8).collect()
}

fn piece(offset: usize, length: usize) -> String {
    format!("put size={LENGTH} name=x offset={offset} body={length}")
}

fn whole(bytes: &[u8]) -> String {
    format!("put sha256={} size={} name=x", Digest::of(bytes), bytes.len())
}

/// Sends the beginning of the package, up to the last of these ends.
fn begin(pusher: &mut Pusher, bytes: &[u8], ends: &[usize]) {
    let mut at = 0;
    for &end in ends {
        pusher.yes(&piece(at, end - at), &bytes[at..end]);
        at = end;
    }
}

/// Offers the whole; from where is it to be sent?
fn offset(pusher: &mut Pusher, bytes: &[u8]) -> Option<u64> {
    pusher.yes(&whole(bytes), b"").number("offset").expect("a number")
}

fn incoming(fleet: &Fleet) -> usize {
    std::fs::read_dir(fleet.packages("incoming")).expect("incoming").count()
}

#[test]
fn what_came_ahead_is_not_sent_again() {
    let bytes = package();
    for ends in [&[1][..], &[4096, 300_000], &[700_001, 700_002, LENGTH], &[0, 0, 5]] {
        let fleet = fleet();
        let mut pusher = fleet.ci();
        begin(&mut pusher, &bytes, ends);
        // Nobody sees it, and its whole size is taken.
        assert!(fleet.packages("").read_dir().expect("packages").count() <= 2);
        let there = ends[ends.len() - 1];
        assert_eq!(offset(&mut pusher, &bytes), Some(there as u64), "{ends:?}");
        if there < LENGTH {
            pusher.send_part(LENGTH - there, &bytes[there..]).expect("sent");
        }
        assert_eq!(pusher.reply().expect("a reply").word(), "ok");
        let object = fleet.packages(&Digest::of(&bytes).to_string());
        assert_eq!(std::fs::read(object).expect("read"), bytes, "{ends:?}");
        assert_eq!(incoming(&fleet), 0);
        // It goes on as usual; the next one begins at 0.
        assert_eq!(offset(&mut pusher, b"other"), Some(0));
    }
}

#[test]
fn what_proves_needless_is_thrown_away() {
    let fleet = fleet();
    let bytes = package();
    assert_eq!(fleet.ci().put(&bytes).word(), "ok");
    let mut pusher = fleet.ci();
    begin(&mut pusher, &bytes, &[500_000]);
    assert_eq!(incoming(&fleet), 1);
    assert_eq!(offset(&mut pusher, &bytes), None);
    assert_eq!(incoming(&fleet), 0);
    // So is that of which less came than an earlier connection left.
    let mut other = bytes.clone();
    other[LENGTH - 1] ^= 1;
    let mut broken = fleet.ci();
    broken.yes(&whole(&other), b"");
    broken.send_part(LENGTH, &other[..800_000]).expect("sent");
    drop(broken);
    let there = 800_000 / 4096 * 4096;
    let partial = fleet.packages(&format!("incoming/{}.ci", Digest::of(&other)));
    wait_for("the partial upload", || partial.metadata().is_ok_and(|m| m.len() == there));
    begin(&mut pusher, &other, &[500_000]);
    assert_eq!(offset(&mut pusher, &other), Some(there));
    assert_eq!(incoming(&fleet), 1);
    pusher.send_part(LENGTH - there as usize, &other[there as usize..]).expect("sent");
    assert_eq!(pusher.reply().expect("a reply").word(), "ok");
}

#[test]
fn only_right_bytes_are_published() {
    let fleet = fleet();
    let bytes = package();
    let mut wrong = bytes.clone();
    wrong[17] ^= 1;
    let mut pusher = fleet.ci();
    begin(&mut pusher, &wrong, &[600_000]);
    assert_eq!(offset(&mut pusher, &bytes), Some(600_000));
    pusher.send_part(LENGTH - 600_000, &bytes[600_000..]).expect("sent");
    let reply = pusher.reply().expect("a reply");
    assert_eq!(reply.text("code"), Some("mismatch"), "{reply:?}");
    assert!(!fleet.packages(&Digest::of(&bytes).to_string()).exists());
    assert_eq!(incoming(&fleet), 0);
    assert_eq!(pusher.put(&bytes).word(), "ok");
}

#[test]
fn it_belongs_to_its_connection_and_to_the_request_before() {
    let fleet = fleet();
    let bytes = package();
    // Another connection begins at 0, and what broke off leaves nothing.
    let mut pusher = fleet.ci();
    begin(&mut pusher, &bytes, &[500_000]);
    assert_eq!(offset(&mut fleet.ci(), &bytes), Some(0));
    drop(pusher);
    wait_for("an empty incoming/", || incoming(&fleet) == 0);
    // A connection that breaks in the midst of a piece.
    let mut pusher = fleet.ci();
    let request = octo_wire::Message::parse(piece(0, LENGTH).as_bytes()).expect("a message");
    pusher.connection.send_line(&request).expect("sent");
    pusher.connection.send_bytes(&bytes[..300_000]).expect("sent");
    wait_for("a beginning", || incoming(&fleet) == 1);
    drop(pusher);
    wait_for("an empty incoming/", || incoming(&fleet) == 0);
    // Another request, another size, a new beginning.
    let mut pusher = fleet.ci();
    begin(&mut pusher, &bytes, &[500_000]);
    pusher.yes("status", b"");
    assert_eq!(incoming(&fleet), 0);
    assert_eq!(offset(&mut pusher, &bytes), Some(0));
    pusher.send_part(LENGTH, &bytes).expect("sent");
    assert_eq!(pusher.reply().expect("a reply").word(), "ok");
    begin(&mut pusher, &bytes, &[500_000]);
    begin(&mut pusher, &bytes, &[400_000]);
    assert_eq!(incoming(&fleet), 1);
    assert_eq!(offset(&mut pusher, &bytes[1..]), Some(0));
}

#[test]
fn what_can_not_be_is_malformed() {
    let fleet = fleet();
    let bytes = package();
    for (ends, request) in [
        (&[][..], piece(5, 5)),
        (&[100], piece(5, 5)),
        (&[100], piece(105, 5)),
        (&[100], piece(100, LENGTH - 99)),
        (&[], piece(0, LENGTH + 1)),
        (&[], format!("put size={LENGTH} name=x body=5")),
        (&[], "put name=x offset=0 body=5".into()),
        (&[], "put size=5 name=a/b offset=0 body=5".into()),
        (&[], format!("{} offset=0", whole(&bytes))),
        (&[], format!("{} body=5", whole(&bytes))),
        (&[], format!("{} offset=0 body=5", whole(&bytes))),
        (&[], "put size=5 name=x offset=9223372036854775807 body=1".into()),
    ] {
        let mut pusher = fleet.ci();
        begin(&mut pusher, &bytes, ends);
        assert_eq!(pusher.no(&request, b"hello"), "malformed", "{request}");
        wait_for("an empty incoming/", || incoming(&fleet) == 0);
    }
}

#[test]
fn limits_and_trust_hold_for_each_piece() {
    let bytes = package();
    let fleet = fleet_with("max-size=2M max-store=2M", "allow=status");
    assert_eq!(fleet.cron().no(&piece(0, 5), b"hello"), "denied");
    let large = "put size=2097153 name=x offset=0 body=5";
    assert_eq!(fleet.ci().no(large, b"hello"), "limit");
    // The room is taken with the first piece.
    let mut pusher = fleet.ci();
    begin(&mut pusher, &bytes, &[5]);
    assert_eq!(fleet.ci().no(&piece(0, 5), b"hello"), "limit");
    let other = format!("put sha256={} size={LENGTH} name=y", Digest::of(b"other"));
    assert_eq!(fleet.ci().no(&other, b""), "limit");
    assert_eq!(offset(&mut pusher, &bytes), Some(5));
    // Who is no longer trusted sends nothing more.
    let fleet = self::fleet();
    let mut pusher = fleet.ci();
    begin(&mut pusher, &bytes, &[5]);
    fleet.here.trust(&[(&fleet.cron, "cron allow=status")]);
    assert_eq!(pusher.no(&piece(5, 5), &bytes[5..10]), "denied");
    wait_for("an empty incoming/", || incoming(&fleet) == 0);
}

#[test]
fn what_a_killed_listener_left_takes_no_room() {
    let bytes = package();
    let mut fleet = fleet_with("max-store=2M", "");
    let mut pusher = fleet.ci();
    begin(&mut pusher, &bytes, &[600_000]);
    fleet.tentacle.kill();
    drop(pusher);
    assert_eq!(incoming(&fleet), 1);
    fleet.tentacle = Tentacle::start(&fleet.here);
    // Another pusher's own is not looked at.
    assert_eq!(fleet.cron().put(b"hello").word(), "ok");
    assert_eq!(incoming(&fleet), 1);
    assert_eq!(fleet.ci().put(&bytes).word(), "ok");
    assert_eq!(incoming(&fleet), 0);
}

#[test]
fn the_audit_log_has_its_begin_and_its_sha256() {
    let fleet = fleet();
    let bytes = package();
    let mut pusher = fleet.ci();
    begin(&mut pusher, &bytes, &[5, 10, 20]);
    assert_eq!(offset(&mut pusher, &bytes), Some(20));
    let log = std::fs::read_to_string(fleet.here.sandbox.state("listen/audit.log")).expect("read");
    let puts: Vec<&str> = log.lines().filter(|line| line.contains(" put ")).collect();
    assert_eq!(puts.len(), 2, "{log}");
    assert!(puts[0].contains(&format!("size={LENGTH} file=x")) && !puts[0].contains("sha256"));
    assert!(puts[1].contains(&format!("sha256={}", Digest::of(&bytes))));
}
