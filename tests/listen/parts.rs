//! The parts of a put, as a hostile pusher sends them: what is not of the form is refused,
//! harms nothing, and the package comes whole the next time.

use crate::fleet::{Fleet, fleet};
use crate::listener::Pusher;
use crate::support::random::Random;
use crate::support::{peak_of, wait_for};
use octo_core::Digest;
use octo_core::patch::{self, Bytes, Range, copies_text, longest_frame, plan, ranges_text};
use octo_wire::Message;
use rustix::process::Pid;
use std::os::unix::fs::MetadataExt;

/// A base, and what differs little from it.
fn pair() -> (Vec<u8>, Vec<u8>) {
    let base = Random(1).bytes(300_000);
    let mut new = base.clone();
    new[150_000..150_100].fill(0);
    new.extend(Random(2).bytes(777));
    (base, new)
}

pub(crate) fn frame(prefix: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; longest_frame(bytes.len())];
    let length = patch::encode(prefix, bytes, &mut frame).expect("encoded").expect("room");
    frame.truncate(length);
    frame
}

/// Offers a package and bases; the reply.
fn offer(pusher: &mut Pusher, package: &[u8], bases: &str) -> Message {
    let digest = Digest::of(package);
    let bases = if bases.is_empty() { String::new() } else { format!(" bases={bases}") };
    pusher.yes(&format!("put sha256={digest} size={} name=x{bases}", package.len()), b"")
}

/// Sends a part; what it is refused with, if it is.
fn part(pusher: &mut Pusher, keys: &str, body: &[u8]) {
    let line = format!("part {keys} body={}", body.len());
    let message = Message::parse(line.as_bytes()).expect("a message");
    // Refused in mid-body, the rest may not be taken any more.
    let sent = pusher.connection.send_line(&message);
    let _ = sent.and_then(|()| pusher.connection.send_bytes(body));
}

fn object(fleet: &Fleet, package: &[u8]) -> Vec<u8> {
    std::fs::read(fleet.packages(&Digest::of(package).to_string())).expect("the object")
}

#[test]
fn a_patch_makes_the_package_and_costs_its_change() {
    let fleet = fleet();
    let (base, new) = pair();
    assert_eq!(fleet.ci().put(&base).word(), "ok");
    let mut pusher = fleet.ci();
    let (unknown, known) = (Digest::of(b"?"), Digest::of(&base));
    let reply = offer(&mut pusher, &new, &format!("{unknown},{known}"));
    assert_eq!(reply.text("base"), Some(known.to_string().as_str()));
    let of = |bytes: &[u8], buffer: &mut [u8], at: u64| {
        buffer.copy_from_slice(&bytes[at as usize..at as usize + buffer.len()]);
        Ok(())
    };
    let (of_new, of_base) =
        (|b: &mut [u8], at| of(&new, b, at), |b: &mut [u8], at| of(&base, b, at));
    let segments = plan(
        &Bytes { size: new.len() as u64, read: &of_new },
        &Bytes { size: base.len() as u64, read: &of_base },
    );
    let (mut sent, mut copied) = (0, 0);
    for segment in segments.expect("a plan") {
        let of = |bytes: &[u8], ranges: &[Range]| -> Vec<u8> {
            let each = ranges.iter().map(|r| &bytes[r.offset as usize..r.end() as usize]);
            each.collect::<Vec<_>>().concat()
        };
        let frame = frame(&of(&base, &segment.ranges), &of(&new, &segment.own()));
        let (ranges, copies) = (ranges_text(&segment.ranges), copies_text(&segment.copies));
        let size = segment.end - segment.start;
        copied += size - segment.own_length();
        sent += frame.len() + ranges.len() + copies.len();
        let keys = format!("size={size} zstd=yes ranges={ranges} copies={copies}");
        part(&mut pusher, &keys, &frame);
    }
    assert_eq!(pusher.reply().expect("a reply").word(), "ok");
    assert_eq!(object(&fleet, &new), new);
    assert!(sent < 1000 && copied > 200_000, "{sent}, {copied}");
    // It goes on in the midst of a segment: what is there is skipped.
    let third = Random(3).bytes(100_000);
    let mut broken = fleet.ci();
    offer(&mut broken, &third, "");
    broken.send_part(third.len(), &third[..50_000]).expect("sent");
    drop(broken);
    let partial = fleet.packages(&format!("incoming/{}.ci", Digest::of(&third)));
    wait_for("the partial upload", || partial.metadata().is_ok_and(|m| m.len() == 49_152));
    let mut pusher = fleet.ci();
    assert_eq!(offer(&mut pusher, &third, "").number("offset").expect("a number"), Some(49_152));
    part(&mut pusher, "size=100000 skip=49152 zstd=yes", &frame(b"", &third));
    assert_eq!(pusher.reply().expect("a reply").word(), "ok");
    assert_eq!(object(&fleet, &third), third);
}

#[test]
fn a_base_is_ones_own_and_is_there() {
    let fleet = fleet();
    let (base, new) = pair();
    assert_eq!(fleet.cron().put(&base).word(), "ok");
    let known = Digest::of(&base);
    for bases in [known.to_string(), Digest::of(b"?").to_string(), "x".into(), ",,".into()] {
        let reply = offer(&mut fleet.ci(), &new, &bases);
        assert_eq!((reply.word(), reply.text("base")), ("ok", None), "{bases}");
    }
    // Of more than may be offered the rest is not looked at.
    let many = [Digest::of(b"?").to_string().as_str(); 8].join(",");
    let reply = offer(&mut fleet.cron(), &new, &format!("{many},{known}"));
    assert_eq!(reply.text("base"), None);
    // Pruned between the reply and the body: what was named is still read.
    let mut pusher = fleet.cron();
    assert!(offer(&mut pusher, &new, &known.to_string()).text("base").is_some());
    std::fs::remove_file(fleet.packages(&known.to_string())).expect("removed");
    let keys = format!("size={} zstd=yes ranges=0+{}", new.len(), base.len());
    part(&mut pusher, &keys, &frame(&base, &new));
    assert_eq!(pusher.reply().expect("a reply").word(), "ok");
    assert_eq!(object(&fleet, &new), new);
}

/// Copies that are not of the form, not of the base, not of the segment, or not with such a body:
/// 0 is a frame behind the base, 1 one by itself, 2 its bytes, 3 few of them, 4 nothing.
fn copies_not_of_the_form(size: usize, whole: usize) -> [(String, usize); 12] {
    let plain = format!("size={size} zstd=yes");
    [
        (format!("{plain} copies=x"), 0),
        (format!("{plain} copies=0+0+{}", whole + 1), 0),
        (format!("{plain} copies=0+0+{size}"), 0),
        (format!("{plain} copies={size}+0+1"), 0),
        (format!("{plain} copies={}", ["0+0+1"; 65].join(",")), 0),
        (format!("{plain} copies=0+0+1"), 1),
        (format!("size={size} copies=0+0+{whole}"), 2),
        (format!("size={whole} copies=0+0+{whole}"), 3),
        (format!("size={whole} ranges=0+1 copies=0+0+{whole}"), 4),
        (format!("size={whole} copies=0+0+{}", whole - 1), 4),
        (format!("size={whole} zstd=yes copies=0+0+{whole}"), 4),
        (format!("size={whole} skip={whole} copies=0+0+{whole}"), 4),
    ]
}

#[test]
fn a_part_that_is_not_of_the_form_is_a_mismatch_and_the_next_try_passes() {
    let fleet = fleet();
    let (base, new) = pair();
    assert_eq!(fleet.ci().put(&base).word(), "ok");
    let (size, whole) = (new.len(), base.len());
    let good = frame(&base, &new);
    let alone = frame(b"", &new);
    let two = [&alone[..], &alone].concat();
    let long = vec![0; longest_frame(size) + 1];
    let many = vec!["0+1"; 65].join(",");
    let bomb = frame(b"", &vec![0; 8 << 20]);
    let with_base = |ranges: &str| format!("size={size} zstd=yes ranges={ranges}");
    let plain = format!("size={size} zstd=yes");
    let mut cases = vec![
        (with_base(&format!("0+{}", whole + 1)), &good),
        (with_base(&format!("{whole}+1")), &good),
        (with_base("18446744073709551615+1"), &good),
        (with_base("0+0"), &good),
        (with_base("x"), &good),
        (with_base(&many), &good),
        // Other ranges than it was made behind.
        (with_base("1+1000"), &good),
        (plain.clone(), &good),
        (plain.clone(), &two),
        (plain.clone(), &long),
        (plain.clone(), &bomb),
        (format!("size={} zstd=yes", size + 1), &alone),
        (format!("size={} zstd=yes", size - 1), &alone),
        (format!("{plain} skip={size}"), &alone),
        (format!("size={} zstd=yes", 9 << 20), &bomb),
        ("size=9223372036854775807 zstd=yes".into(), &alone),
        ("size=0".into(), &new),
        (format!("size={}", size + 1), &new),
        (format!("size={} skip=1", size), &new),
        (format!("size={size} ranges=0+1"), &new),
        (format!("size={}", size - 1), &new),
    ];
    let (nothing, short) = (Vec::new(), new[..10].to_vec());
    let bodies = [&good, &alone, &new, &short, &nothing];
    cases.extend(copies_not_of_the_form(size, whole).map(|(keys, body)| (keys, bodies[body])));
    let cuts: Vec<Vec<u8>> = (0..good.len()).map(|cut| good[..cut].to_vec()).collect();
    let every = if std::env::var_os("OCTO_TEST_LONG").is_some() { 1 } else { 37 };
    let ranges = format!("0+{whole}");
    cases.extend(cuts.iter().step_by(every).map(|cut| (with_base(&ranges), cut)));
    for (keys, body) in cases {
        let mut pusher = fleet.ci();
        offer(&mut pusher, &new, &Digest::of(&base).to_string());
        part(&mut pusher, &keys, body);
        let reply = pusher.reply().expect(&keys);
        assert_eq!(reply.text("code"), Some("mismatch"), "{keys}: {reply:?}");
        drop(pusher);
        assert!(!fleet.packages(&Digest::of(&new).to_string()).exists(), "{keys}");
    }
    assert_eq!(fleet.ci().put(&new).word(), "ok");
    assert_eq!(object(&fleet, &new), new);
}

/// However it is put together: what is there already is passed over, in its own bytes and in
/// those of the base.
#[test]
fn copies_stand_between_its_own_bytes_and_are_skipped_with_them() {
    let fleet = fleet();
    let base = Random(4).bytes(200_000);
    assert_eq!(fleet.ci().put(&base).word(), "ok");
    let known = Digest::of(&base).to_string();
    let own = Random(5).bytes(30_000);
    let (first, second) = own.split_at(10_000);
    let ranges = [&base[..50_000], &base[150_000..], first, &base[7..60_000], second].concat();
    let copies = "0+0+50000,0+150000+50000,10000+7+59993";
    for offset in [0, 20_480, 69_632, 102_400, 118_784, 184_320] {
        // Another package each time, of which so much has come.
        let new = [&ranges[..], format!("{offset}").as_bytes()].concat();
        let frame =
            frame(b"", &[first, &new[new.len() - second.len() - digits(offset)..]].concat());
        if offset > 0 {
            let mut broken = fleet.ci();
            offer(&mut broken, &new, "");
            broken.send_part(new.len(), &new[..offset]).expect("sent");
            drop(broken);
            let partial = fleet.packages(&format!("incoming/{}.ci", Digest::of(&new)));
            wait_for("the partial", || partial.metadata().is_ok_and(|m| m.len() == offset as u64));
        }
        let mut pusher = fleet.ci();
        let reply = offer(&mut pusher, &new, &known);
        assert_eq!(reply.number("offset").expect("a number"), Some(offset as u64));
        let skip = if offset > 0 { format!(" skip={offset}") } else { String::new() };
        part(&mut pusher, &format!("size={}{skip} zstd=yes copies={copies}", new.len()), &frame);
        assert_eq!(pusher.reply().expect("a reply").word(), "ok", "{offset}");
        assert!(object(&fleet, &new) == new, "{offset}");
    }
    // And with none of its own.
    let new = [&base[100..], &base[..150_000]].concat();
    let mut pusher = fleet.ci();
    offer(&mut pusher, &new, &known);
    part(&mut pusher, "size=199900 copies=0+100+199900", b"");
    part(&mut pusher, "size=150000 copies=0+0+150000", b"");
    assert_eq!(pusher.reply().expect("a reply").word(), "ok");
    assert!(object(&fleet, &new) == new);
    // Without a base there is nothing to copy.
    let other = [&new[..], b"x"].concat();
    let mut pusher = fleet.ci();
    offer(&mut pusher, &other, "");
    part(&mut pusher, "size=150000 copies=0+0+150000", b"");
    assert_eq!(pusher.reply().expect("a reply").text("code"), Some("mismatch"));
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// What makes little reads little of the base, however often.
#[test]
fn parts_that_want_much_for_little_are_refused() {
    let fleet = fleet();
    let (base, new) = (Random(1).bytes(16 << 20), Random(2).bytes(300));
    assert_eq!(fleet.ci().put(&base).word(), "ok");
    let mut pusher = fleet.ci();
    offer(&mut pusher, &new, &Digest::of(&base).to_string());
    for byte in &new[..5] {
        part(&mut pusher, &format!("size=1 zstd=yes ranges=0+{}", 16 << 20), &frame(b"", &[*byte]));
    }
    let reply = pusher.reply().expect("a reply");
    let reason = reply.text("reason").unwrap_or_default();
    assert!(reason.contains("want too much"), "{reply:?}");
    assert_eq!(fleet.ci().put(&new).word(), "ok");
}

/// Only what came before the first part is there already: else a few bytes would be 8 MiB to
/// decode for each byte of a package, and a drip of them no drip.
#[test]
fn only_the_first_part_skips() {
    let fleet = fleet();
    let (base, new) = pair();
    assert_eq!(fleet.ci().put(&base).word(), "ok");
    let known = Digest::of(&base).to_string();
    let zeros = frame(b"", &vec![0; 8 << 20]);
    let (size, copies) = (8 << 20, format!("skip={} copies=0+0+{}", base.len() - 1, base.len()));
    for (keys, body) in [
        (format!("size={size} skip={} zstd=yes", size - 1), &zeros[..]),
        (format!("size={} {copies}", base.len()), b""),
        (format!("size={0} skip={1}", i64::MAX, i64::MAX - 1), b"x"),
    ] {
        let mut pusher = fleet.ci();
        offer(&mut pusher, &new, &known);
        part(&mut pusher, "size=1", &new[..1]);
        part(&mut pusher, &keys, body);
        let reply = pusher.reply().expect("a reply");
        let reason = reply.text("reason").unwrap_or_default();
        assert!(reason.contains("only the first part skips"), "{keys}: {reply:?}");
    }
    assert_eq!(fleet.ci().put(&new).word(), "ok");
}

#[test]
fn what_is_no_part_is_malformed() {
    let fleet = fleet();
    let (_, new) = pair();
    for line in ["out body=1", "part body=1", "part size=x body=1", "status", "PART size=1 body=1"]
    {
        let mut pusher = fleet.ci();
        offer(&mut pusher, &new, "");
        pusher.connection.send_bytes(format!("{line}\nx").as_bytes()).expect("sent");
        let reply = pusher.reply().expect(line);
        assert_eq!(reply.text("code"), Some("malformed"), "{line}: {reply:?}");
    }
    assert_eq!(fleet.ci().put(&new).word(), "ok");
    assert_eq!(object(&fleet, &new), new);
}

/// What was made of a base that isn't what its name says is thrown away, not gone on with.
#[test]
fn a_damaged_base_spoils_nothing() {
    let fleet = fleet();
    let (base, new) = pair();
    assert_eq!(fleet.ci().put(&base).word(), "ok");
    let path = fleet.packages(&Digest::of(&base).to_string());
    let mut damaged = base.clone();
    damaged[1000] ^= 1;
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, &damaged).expect("written");
    let mut pusher = fleet.ci();
    assert!(offer(&mut pusher, &new, &Digest::of(&base).to_string()).text("base").is_some());
    let keys = format!("size={} zstd=yes ranges=0+{}", new.len(), base.len());
    part(&mut pusher, &keys, &frame(&base, &new));
    let reply = pusher.reply().expect("a reply");
    assert_eq!(reply.text("code"), Some("mismatch"), "{reply:?}");
    assert_eq!(std::fs::read_dir(fleet.packages("incoming")).expect("incoming").count(), 0);
    // A part that came well, then one that is broken: nothing of both stays.
    let mut pusher = fleet.ci();
    offer(&mut pusher, &new, &Digest::of(&base).to_string());
    part(&mut pusher, "size=8192 zstd=yes ranges=0+8192", &frame(&base[..8192], &new[..8192]));
    part(&mut pusher, "size=8192 zstd=yes", b"no frame");
    assert_eq!(pusher.reply().expect("a reply").text("code"), Some("mismatch"));
    wait_for("an empty incoming/", || {
        std::fs::read_dir(fleet.packages("incoming")).expect("incoming").count() == 0
    });
    assert_eq!(fleet.ci().put(&new).word(), "ok");
}

/// However many send large segments slowly, what is decoded at once is bounded.
#[test]
fn segments_that_wait_take_no_memory() {
    let fleet = fleet();
    let large = Random(9).bytes(8 << 20);
    let sent = frame(b"", &large);
    assert!(sent.len() > 8 << 20);
    let base = Random(8).bytes(16 << 20);
    assert_eq!(fleet.ci().put(&base).word(), "ok");
    let base = Digest::of(&base);
    let listener = fleet.tentacle.pid();
    let peak = || peak_of(listener).expect("VmHWM");
    let before = peak();
    let mut pushers: Vec<Pusher> = (0..10).map(|_| fleet.ci()).collect();
    for (number, pusher) in pushers.iter_mut().enumerate() {
        // Each is another package: none waits for the other.
        let digest = Digest::of(&[number as u8]);
        let (size, ranges) = (large.len(), format!("0+{}", (16 - number) << 20));
        pusher.yes(&format!("put sha256={digest} size={size} name=x bases={base}"), b"");
        let line = format!("part size={size} zstd=yes ranges={ranges} body={}", sent.len());
        pusher
            .connection
            .send_line(&Message::parse(line.as_bytes()).expect("a line"))
            .expect("sent");
        pusher.connection.send_bytes(&sent[..sent.len() - 1]).expect("sent");
    }
    // All of it was taken off the wire, and lies on the disk.
    let most = 10 * (sent.len() as u64 - (64 << 10));
    wait_for("the last of it", || nameless(listener) >= most);
    let waiting = peak();
    assert!(waiting < before + (40 << 10), "{before} {waiting}");
    for pusher in &mut pushers {
        pusher.connection.send_bytes(&sent[sent.len() - 1..]).expect("sent");
        assert_eq!(pusher.reply().expect("a reply").text("code"), Some("mismatch"));
    }
    assert!(peak() < before + (120 << 10), "{before} {}", peak());
    drop(pushers);
    // And nothing of it is kept for later.
    let status = format!("/proc/{}/status", listener.as_raw_pid());
    wait_for("the memory given back", || {
        let said = std::fs::read_to_string(&status).expect("its status");
        let resident = said.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        resident.and_then(|text| text.parse::<u64>().ok()).expect("VmRSS") < before + (16 << 10)
    });
}

/// How long the open files of a process are that have no name.
fn nameless(process: Pid) -> u64 {
    let open = format!("/proc/{}/fd", process.as_raw_pid());
    let files = std::fs::read_dir(open).expect("its files").flatten();
    let stats = files.filter_map(|file| std::fs::metadata(file.path()).ok());
    stats.filter(|stat| stat.is_file() && stat.nlink() == 0).map(|stat| stat.len()).sum()
}
