//! Patches of archives: what they cost, and that what comes back is what went in.

use super::members::MOST;
use super::*;
use std::io;

/// Bytes that don't repeat themselves.
pub(super) fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend((state >> 16).to_le_bytes()[..6].iter());
    }
    bytes.truncate(length);
    bytes
}

/// An archive of these files: a path and its bytes each.
fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, bytes) in files {
        if path.len() > 100 {
            archive.extend(header("././@LongLink", path.len(), b'L'));
            archive.extend(padded(path.as_bytes()));
        }
        archive.extend(header(&path[..path.len().min(100)], bytes.len(), b'0'));
        archive.extend(padded(bytes));
    }
    archive.extend([0; 1024]);
    archive
}

fn header(path: &str, length: usize, kind: u8) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[124..136].copy_from_slice(format!("{length:011o}\0").as_bytes());
    header[156] = kind;
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(512), 0);
    padded
}

fn read_of(bytes: &[u8]) -> impl Fn(&mut [u8], u64) -> io::Result<()> {
    move |buffer, at| {
        let at = at as usize;
        buffer.copy_from_slice(&bytes[at..at + buffer.len()]);
        Ok(())
    }
}

/// The patch, by so many members of each.
fn planned(base: &[u8], new: &[u8], most: usize) -> Vec<Segment> {
    let (of_new, of_base) = (read_of(new), read_of(base));
    let segments = plan::plan_by(
        &Bytes { size: new.len() as u64, read: &of_new },
        &Bytes { size: base.len() as u64, read: &of_base },
        most,
    );
    segments.expect("memory can be read")
}

/// Makes the patch, applies it, and says how many bytes it would take on the wire.
#[track_caller]
fn cost(base: &[u8], new: &[u8]) -> usize {
    let (mut cost, mut at) = (0, 0);
    for segment in planned(base, new, MOST) {
        let Segment { start, end, ranges, copies } = &segment;
        assert_eq!(*start, at);
        at = *end;
        let (text, copies_text) = (ranges_text(ranges), copies_text(copies));
        let (whole, size) = (base.len() as u64, end - start);
        if !ranges.is_empty() {
            assert_eq!(parse_ranges(&text, whole).expect("sound"), *ranges);
        }
        if !copies.is_empty() {
            assert_eq!(parse_copies(&copies_text, size, whole).expect("sound"), *copies);
        }
        let of = |bytes: &[u8], ranges: &[Range]| -> Vec<u8> {
            let each = ranges.iter().map(|r| &bytes[r.offset as usize..r.end() as usize]);
            each.collect::<Vec<_>>().concat()
        };
        let (own, prefix) = (of(new, &segment.own()), of(base, ranges));
        assert_eq!(own.len() as u64, segment.own_length());
        assert!(own.len() <= LARGEST_SEGMENT && (*end == new.len() as u64 || end % 4096 == 0));
        cost += text.len() + copies_text.len();
        let mut decoded = vec![0; own.len()];
        if !own.is_empty() {
            let mut frame = vec![0; longest_frame(own.len())];
            let length = encode(&prefix, &own, &mut frame).expect("encoded").expect("room");
            decode(&prefix, &frame[..length], &mut decoded).expect("decoded");
            cost += length;
        }
        let (mut made, mut rest) = (Vec::new(), &decoded[..]);
        for Copied { after, range } in copies {
            let (before, behind) = rest.split_at(*after as usize);
            made.extend([before, &of(base, &[*range])].concat());
            rest = behind;
        }
        made.extend(rest);
        assert!(made == new[*start as usize..*end as usize]);
    }
    assert_eq!(at, new.len() as u64);
    cost
}

/// A release of 30 MiB: many small files, and some that are larger than a segment.
fn release() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = (0..600)
        .map(|n| (format!("app/lib/module-{n:04}.js"), noise(9_000 + n * 37, n as u64)))
        .collect();
    files.push(("app/lib/vendor.bin".into(), noise(12 << 20, 7_000)));
    let long = format!("app/{}/data.bin", "directory/".repeat(12));
    files.push((long, noise(6 << 20, 7_001)));
    files
}

#[test]
fn ranges_come_back_and_lies_are_refused() {
    let ranges = [Range { offset: 0, length: 1 }, Range { offset: 5, length: 15 }];
    let text = ranges_text(&ranges);
    assert_eq!(text, "0+1,5+15");
    assert_eq!(parse_ranges(&text, 20).expect("ranges"), ranges);
    let many = ["0+1"; MOST_RANGES + 1].join(",");
    let large = format!("0+{}", LARGEST_PREFIX + 1);
    let summed = ["0+8388608"; 3].join(",");
    for (text, base, said) in [
        ("0+1,5+16", 20, "within"),
        ("20+1", 20, "within"),
        ("0+0", 20, "within"),
        ("18446744073709551615+1", 20, "within"),
        ("1+18446744073709551615", u64::MAX, "within"),
        ("0+18446744073709551616", 20, "OFFSET+LENGTH"),
        ("", 20, "OFFSET+LENGTH"),
        ("0+1,", 20, "OFFSET+LENGTH"),
        ("00+1", 20, "OFFSET+LENGTH"),
        ("0+1 ", 20, "OFFSET+LENGTH"),
        ("-1+1", 20, "OFFSET+LENGTH"),
        (&many, 20, "more than 64"),
        (&large, 1 << 40, "more than 16777216"),
        (&summed, 1 << 40, "more than 16777216"),
    ] {
        let error = parse_ranges(text, base).expect_err(text);
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn a_changed_release_costs_its_change() {
    let base = release();
    let old = tar(&base);
    assert!(old.len() > 29 << 20);
    assert!(cost(&old, &old) < 100);

    let mut changed = base.clone();
    changed[300].1[5_000..5_200].fill(b'!');
    assert!(cost(&old, &tar(&changed)) < 300, "one file changed");

    let mut inserted = base.clone();
    inserted.insert(0, ("app/a-first".into(), noise(3_000, 9_000)));
    let more = inserted.len();
    // Another in the middle of a member that is larger than a segment.
    inserted[more - 2].1.splice(1 << 20..1 << 20, noise(1_000, 9_001));
    assert!(cost(&old, &tar(&inserted)) < 8_000, "one file inserted at the front");

    let renamed: Vec<_> =
        base.iter().map(|(path, bytes)| (path.replace("app/", "other/"), bytes.clone())).collect();
    // Each header is another; what is behind it is not.
    assert!(cost(&old, &tar(&renamed)) < 20_000, "a directory renamed");

    let mut shuffled = base.clone();
    shuffled.sort_by_key(|(path, _)| noise(1, path.len() as u64 + path.as_bytes()[17] as u64)[0]);
    shuffled.reverse();
    assert!(cost(&old, &tar(&shuffled)) < 10_000, "files in another order");
}

#[test]
fn what_is_no_archive_is_compared_by_its_places() {
    let base = noise(20 << 20, 1);
    let mut new = base.clone();
    new.splice(9 << 20..9 << 20, noise(500_000, 2));
    assert!(cost(&base, &new) < 510_000);
    // Nothing in common: it costs what it is.
    let other = noise(3 << 20, 3);
    assert!(cost(&base, &other) < (3 << 20) + 3_000);
    assert!(cost(b"", b"x") < 100);
    assert_eq!(cost(&base, b""), 0);
    // What only looks like an archive, and one that is cut.
    let archive = tar(&release()[..20]);
    for cut in [1, 511, 512, 513, 10_000, archive.len() - 1] {
        cost(&archive[..cut], &archive);
        cost(&archive, &archive[..cut]);
    }
    let mut lying = archive.clone();
    lying[124..136].fill(b'7');
    cost(&lying, &archive);
}

#[test]
fn without_a_base_segments_grow() {
    let segments = plain(20 << 20);
    let sizes: Vec<u64> = segments.iter().map(|s| (s.end - s.start) >> 10).collect();
    assert_eq!(sizes, [256, 512, 1024, 2048, 4096, 8192, 4352]);
    assert_eq!(plain(0), []);
    assert_eq!(plain(1).len(), 1);
}

/// What is small now, and was megabytes, is not worth reading those: nor at the tentacle.
#[test]
fn little_is_not_looked_for_in_much() {
    let base: Vec<_> = (0..6).map(|n| (format!("f{n}"), noise(5 << 20, n))).collect();
    let new: Vec<_> = (0..3000).map(|n| (format!("f{}", n % 6), Vec::new())).collect();
    let (base, new) = (tar(&base), tar(&new));
    let segments = planned(&base, &new, MOST);
    let read: u64 = segments.iter().flat_map(|s| &s.ranges).map(|r| r.length).sum();
    assert!(read < 100_000 && segments.len() == 1, "{read} in {}", segments.len());
}

/// Wherever it was changed, cut and put together, it comes back.
#[test]
fn whatever_is_changed_comes_back() {
    let mut state = 5;
    let mut below = |bound: usize| {
        state = u64::from_le_bytes(noise(8, state)[..].try_into().expect("eight"));
        (state >> 7) as usize % bound
    };
    let base = noise(5 << 20, 1);
    for _ in 0..30 {
        let mut new = Vec::new();
        for _ in 0..1 + below(12) {
            // Mostly of the base, from about the place where that would be.
            let length = [100, 5_000, 140_000, 2 << 20][below(4)] + below(4_000);
            let from = [new.len(), new.len() / 4096 * 4096, below(base.len())][below(3)];
            match below(4) {
                0 => new.extend(noise(length, below(1 << 30) as u64)),
                _ => new.extend(&base[from.min(base.len())..(from + length).min(base.len())]),
            }
        }
        cost(&base, &new);
    }
}

#[test]
fn what_is_long_the_same_is_copied() {
    let base = release();
    let mut changed = base.clone();
    changed[300].1[5_000..5_200].fill(b'!');
    changed[599].1[..100].fill(b'!');
    let (old, new) = (tar(&base), tar(&changed));
    let segments = planned(&old, &new, MOST);
    let own: u64 = segments.iter().map(Segment::own_length).sum();
    // Two changed stretches of 16 KiB, what is behind the last whole one of a file, and the end.
    assert!(own < 100_000 && segments.len() < 3, "{own} in {}", segments.len());
    assert!(cost(&old, &new) < 300);
}

/// Of more members than are looked for, those behind them are found where they moved to.
#[test]
fn what_is_behind_the_members_that_are_known_moves_with_them() {
    let base = release();
    let mut new = base.clone();
    new.insert(0, ("app/a-first".into(), noise(3 << 20, 9_000)));
    let (old, new) = (tar(&base), tar(&new));
    let own: u64 = planned(&old, &new, 100).iter().map(Segment::own_length).sum();
    assert!(own < (3 << 20) + 50_000, "{own}");
}
