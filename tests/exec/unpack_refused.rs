//! Archives that are out to harm, or broken: each is refused by name, and nothing is left.

use crate::sandbox;
use crate::support::{Sandbox, impossible, needs, peak_of, wait_for};
use crate::tar::{
    BLOCK, Entry, archive, directory, extended, file, global, hardlink, long_link, long_name,
    symlink,
};
use crate::unpack::unpack;
use predicates::str::contains;
use std::process::Stdio;

const OUT: &str = "leads out of the release";
const KIND: &str = "neither file, directory nor link";
const CONTROL: &str = "a control character in its name";

/// Refused with 65 and a message that names the archive and holds this; a directory that
/// was there is empty again, and one that was not there isn't.
fn refused(sandbox: &Sandbox, words: &[&str], bytes: &[u8], said: &str) {
    let what = format!("{said}: {words:?}");
    let to = sandbox.path("release");
    for is_there in [false, true] {
        if is_there {
            std::fs::create_dir(&to).expect("mkdir");
        }
        let refused = unpack(sandbox, words, bytes, "release").assert().code(65).stdout("");
        let error = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(error.starts_with("octo-exec: /") && error.contains(said), "{what}: {error}");
        assert!(!error.contains(['\x1b', '\x7f']), "{what}: {error}");
        let left = std::fs::read_dir(&to).map(Iterator::count).ok();
        assert_eq!(left, is_there.then_some(0), "{what}");
    }
    std::fs::remove_dir(&to).expect("rmdir");
    assert!(!sandbox.path("manifest").exists());
    assert_eq!(std::fs::read(sandbox.path("outside/file")).expect("outside"), b"untouched");
    assert_eq!(std::fs::read_dir(sandbox.path("outside")).expect("outside").count(), 1);
}

/// Each of these behind a good file, with a file behind them.
fn refuse_each(cases: Vec<(Vec<Entry>, &str)>) {
    let sandbox = sandbox();
    sandbox.write("outside/file", "untouched");
    for (entries, said) in cases {
        let mut all = vec![file("good", "x")];
        all.extend(entries);
        all.push(file("behind", "x"));
        refused(&sandbox, &["--manifest", "manifest"], &archive(&all), said);
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    let sandbox = sandbox();
    let outside = sandbox.path("outside/evil").display().to_string();
    let mut cases = vec![
        (vec![directory("/")], OUT),
        (vec![extended(&[("path", b"../evil")]), file("a", "x")], OUT),
        (vec![extended(&[("path", b"/evil")]), file("a", "x")], OUT),
        (vec![long_name("../evil"), file("a", "x")], OUT),
        (vec![file("evil", "x").with(345, "..")], OUT),
        (vec![global(&[("path", b"../evil")]), file("a", "x")], "a global header with more"),
    ];
    let names =
        ["../evil", "../../../../outside/evil", "a/../../evil", "a/..", "..", "./..", &outside];
    cases.extend(names.iter().map(|name| (vec![file(name, "x")], OUT)));
    refuse_each(cases);
}

#[test]
fn links_that_lead_out_or_on_and_on_are_refused() {
    let on = "a link that goes by more than 40 links";
    refuse_each(vec![
        (vec![symlink("l", "/etc")], OUT),
        (vec![symlink("l", "..")], OUT),
        (vec![symlink("d/l", "../../x")], OUT),
        (vec![symlink("l", "../1.0/version")], OUT),
        (vec![extended(&[("linkpath", b"/etc")]), symlink("l", "good")], OUT),
        (vec![long_link("/etc"), symlink("l", "good")], OUT),
        (vec![directory("a/b/c"), symlink("up", "a/b/c"), symlink("l", "up/../../../..")], OUT),
        (vec![symlink("l", "../good"), hardlink("h", "l")], OUT),
        (vec![symlink("d/l", "../good"), hardlink("h", "d/l")], OUT),
        (vec![symlink("loop", "loop/..")], on),
        (vec![symlink("a", "b"), symlink("b", "a")], on),
        ((0..41).map(|n| symlink(format!("l{n}"), format!("l{}", n + 1))).collect(), on),
        (vec![symlink("l", "")], "an empty name"),
        (vec![symlink("l", "a\nb")], CONTROL),
    ]);
}

#[test]
fn nothing_is_written_through_a_link_or_a_file() {
    let below = "is below what is no directory";
    refuse_each(vec![
        (vec![symlink("l", "../outside"), file("l/evil", "x")], below),
        (vec![symlink("l", "d"), file("d/x", ""), file("l/evil", "x")], below),
        (vec![symlink("l", "../outside"), directory("l/evil")], below),
        (vec![symlink("l", "../outside"), directory("l")], "l: is in it twice"),
        (vec![symlink("file", "../outside/file"), file("file", "evil")], "file: is in it twice"),
        (vec![file("good/below", "x")], below),
        (vec![hardlink("h", "../outside/file")], OUT),
        (vec![hardlink("h", "/etc/passwd")], OUT),
        (vec![hardlink("h", "outside/file")], "a hard link to what is no file before it"),
        (vec![hardlink("h", "behind")], "a hard link to what is no file before it"),
        (vec![directory("d"), hardlink("h", "d")], "a hard link to what is no file before it"),
        (
            vec![symlink("l", "../outside"), hardlink("h", "l/file")],
            "a hard link to what is no file",
        ),
    ]);
}

#[test]
fn a_member_is_there_once_however_it_is_spelled() {
    let twice = "is in it twice";
    let mut cases: Vec<(Vec<Entry>, &str)> = ["good", "./good", ".//good", "././good"]
        .iter()
        .flat_map(|name| [file(name, "other"), symlink(name, "behind"), hardlink(name, "good")])
        .map(|entry| (vec![entry], twice))
        .collect();
    cases.extend([
        (vec![directory("good/.")], twice),
        (vec![directory("d"), directory("d/")], twice),
        (vec![file("d/e", ""), directory("d"), directory("./d//")], twice),
        (vec![directory("./"), directory(".")], twice),
        (vec![directory("d"), file("d", "")], twice),
        (vec![file("PostDeploy.sh/.", "x")], "named like a directory, and is none"),
        (vec![file("x/", "x")], "has bytes, and is no file"),
        (vec![file(".", "x")], "named like a directory, and is none"),
        (vec![symlink("l/", "good")], "named like a directory, and is none"),
    ]);
    refuse_each(cases);
}

#[test]
fn what_is_no_file_directory_or_link_is_refused() {
    let mut cases: Vec<(Vec<Entry>, &str)> = vec![
        (vec![Entry::new(b'3', "null", "")], "a device, neither"),
        (vec![Entry::new(b'4', "disk", "")], "a device, neither"),
        (vec![Entry::new(b'6', "pipe", "")], "a FIFO, neither"),
        (vec![Entry::new(b'S', "holes", "x")], "holes: a sparse file: archive it without --sparse"),
        (vec![extended(&[("GNU.sparse.major", b"1")]), file("holes", "x")], "a sparse file"),
        (vec![extended(&[("SCHILY.realsize", b"9")]), file("holes", "x")], "a sparse file"),
        (vec![file("su", "x").mode(0o4755)], "su: a setuid or setgid bit"),
        (vec![file("sg", "x").mode(0o2644)], "sg: a setuid or setgid bit"),
        (vec![directory("d").mode(0o2755)], "d: a setuid or setgid bit"),
        (vec![directory("tmp").mode(0o1777)], "tmp: a sticky bit"),
        (vec![Entry::new(b'5', "d", "bytes")], "has bytes, and is no file"),
        (vec![Entry::new(b'1', "h", "bytes").with(157, "good")], "has bytes, and is no file"),
        (vec![Entry::new(b'2', "l", "bytes").with(157, "good")], "has bytes, and is no file"),
    ];
    let kinds = b"789ADIMNVXZ\xff";
    cases.extend(kinds.iter().map(|kind| (vec![Entry::new(*kind, "odd", "x")], KIND)));
    refuse_each(cases);
}

#[test]
fn names_that_a_person_or_a_line_of_text_would_misread_are_refused() {
    let long = |length: usize| [vec![b'a'; 255], vec![b'/']].concat().repeat(17)[..length].to_vec();
    refuse_each(vec![
        (vec![file("a\nb", "x")], CONTROL),
        (vec![file("a\x1b[2Jb", "x")], CONTROL),
        (vec![file("a\x7fb", "x")], CONTROL),
        (vec![extended(&[("path", b"a\0b")]), file("a", "x")], CONTROL),
        (vec![long_name("a\0b"), file("a", "x")], CONTROL),
        (vec![extended(&[("path", b"")]), file("a", "x")], "an empty name"),
        (vec![file("", "x")], "an empty name"),
        (
            vec![extended(&[("path", &[b'a'; 256])]), file("a", "x")],
            "a name of more than 255 bytes",
        ),
        (
            vec![extended(&[("path", &[b"./", &long(4095)[..]].concat())]), file("a", "x")],
            "a path of more than 4095 bytes",
        ),
        (vec![long_name([b'a'; 5000]), file("a", "x")], "a name of more than 4096 bytes"),
        (vec![long_name(b"a/".repeat(300)), directory("a")], "deeper than 255 directories"),
    ]);
}

#[test]
fn what_two_readers_could_take_for_two_archives_is_refused() {
    let damaged = "a header that is damaged: its size is no number";
    let beyond = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    refuse_each(vec![
        (
            vec![extended(&[("size", b"512")]), file("a", "x")],
            "an extended header with another size",
        ),
        (vec![extended(&[("size", b"0")]), file("a", "x")], "an extended header with another size"),
        (vec![extended(&[("size", b"18446744073709551617")]), file("a", "x")], "size is no number"),
        (vec![extended(&[("size", b"-1")]), file("a", "x")], "size is no number"),
        (vec![file("a", "x").with(124, beyond)], damaged),
        (vec![file("a", "x").with(124, [0xff; 12])], damaged),
        (vec![file("a", "x").with(124, "+0000000001")], damaged),
        (vec![extended(&[("path", b"a"), ("path", b"b")]), file("c", "x")], "says path twice"),
        (vec![extended(&[("path", b"a")]), long_name("b"), file("c", "x")], "with another name"),
        (
            vec![extended(&[("path", b"a")]), extended(&[("path", b"b")]), file("c", "x")],
            "two extended",
        ),
        (vec![long_name("a"), long_name("b"), file("c", "x")], "two extended headers"),
        (
            vec![Entry::new(b'x', "x", "9 path=ab\n"), file("c", "x")],
            "extended header that is damaged",
        ),
        (
            vec![extended(&[("comment", &[b'x'; 2 << 20])]), file("c", "x")],
            "of more than 1048576 bytes",
        ),
    ]);
}

#[test]
fn what_stands_behind_the_end_is_refused() {
    let sandbox = sandbox();
    sandbox.write("outside/file", "untouched");
    let good = archive(&[file("good", "x")]);
    let behind = "something stands behind its end";
    refused(&sandbox, &[], &[good.clone(), good.clone()].concat(), behind);
    refused(&sandbox, &[], &[good.clone(), vec![0; 9000], b"x".to_vec()].concat(), behind);
    let lone = [&good[..good.len() - BLOCK], &archive(&[directory("d")])].concat();
    refused(&sandbox, &[], &lone, behind);
    let last = [file("good", "x").bytes(), extended(&[("path", b"a")]).bytes(), vec![0; 1024]];
    refused(&sandbox, &[], &last.concat(), "an extended header without a member behind it");
    for program in ["gzip", "zstd", "xz"] {
        if !needs("what_stands_behind_the_end_is_refused", program) {
            continue;
        }
        let packed = packed(&sandbox, program, &good);
        for garbage in [&b"garbage"[..], b"x", &good] {
            refused(&sandbox, &[], &[&packed, garbage].concat(), "is damaged: ");
        }
        let two = [packed.clone(), packed].concat();
        refused(&sandbox, &[], &two, behind);
    }
}

/// These bytes as a program packs them.
fn packed(sandbox: &Sandbox, program: &str, bytes: &[u8]) -> Vec<u8> {
    let plain = sandbox.write("plain", bytes);
    let output = std::process::Command::new(program).arg("-c").arg(plain).output().expect(program);
    output.stdout
}

#[test]
fn cut_at_any_block_it_is_no_archive() {
    let sandbox = sandbox();
    sandbox.write("outside/file", "untouched");
    let whole = archive(&[
        directory("d"),
        extended(&[("path", b"d/file")]),
        file("file", [b'x'; 1200]),
        symlink("d/l", "file"),
        hardlink("h", "d/file"),
        long_name("d/other"),
        file("short", "x"),
    ]);
    unpack(&sandbox, &[], &whole, "whole").assert().success();
    assert_eq!(whole.len(), 15 * BLOCK);
    for length in (0..whole.len()).step_by(BLOCK).chain([1, 600, whole.len() - 1]) {
        let said = if length == 0 { "nothing in it" } else { "is cut short" };
        refused(&sandbox, &[], &whole[..length], said);
    }
    for program in ["gzip", "zstd", "xz"] {
        if !needs("cut_at_any_block_it_is_no_archive", program) {
            continue;
        }
        let packed = packed(&sandbox, program, &whole);
        for length in (6..packed.len()).step_by(packed.len() / 12) {
            refused(&sandbox, &[], &packed[..length], "is damaged: ");
        }
    }
}

#[test]
fn what_is_no_archive_is_called_by_its_name() {
    let sandbox = sandbox();
    sandbox.write("outside/file", "untouched");
    let none = "is no archive of tar";
    refused(&sandbox, &[], &[0; 10240], "nothing in it");
    refused(&sandbox, &[], b"text\n", "is cut short");
    refused(&sandbox, &[], &[b'x'; 10240], none);
    refused(&sandbox, &[], &std::fs::read("/bin/sh").expect("a program"), none);
    refused(&sandbox, &[], b"PK\x03\x04....", "is a zip archive");
    refused(&sandbox, &[], b"BZh9....", "is compressed with bzip2, which isn't read here");
    refused(&sandbox, &[], b"\x1f\x8b", "is damaged: ");
    std::fs::remove_file(sandbox.path("archive")).expect("rm");
    let pipe = sandbox.path("pipe");
    std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    for (path, said) in [
        ("pipe", "is not a regular file"),
        ("outside", "is not a regular file"),
        ("none", "no such file"),
    ] {
        let mut command = sandbox.tool("octo-exec");
        command.args(["unpack", path, "release"]).assert().code(65).stderr(contains(said));
        assert!(!sandbox.path("release").exists());
    }
}

#[test]
fn bounds_are_kept_and_a_bomb_ends_early() {
    let sandbox = sandbox();
    sandbox.write("outside/file", "untouched");
    let files =
        |count: usize| archive(&(0..count).map(|n| file(format!("f{n}"), "x")).collect::<Vec<_>>());
    let entries = ["--max-entries", "3"];
    refused(&sandbox, &entries, &files(4), "f3: more than 3 entries or 10737418240 bytes");
    unpack(&sandbox, &entries, &files(3), "three").assert().success();
    // Directories that nobody names are made as well.
    refused(&sandbox, &entries, &archive(&[file("a/b/c/d", "x")]), "more than 3 entries");
    let bytes = ["--max-bytes", "1000"];
    let two = |size: usize| archive(&[file("a", vec![b'x'; 600]), file("b", vec![b'x'; size])]);
    refused(&sandbox, &bytes, &two(401), "b: more than 200000 entries or 1000 bytes");
    unpack(&sandbox, &bytes, &two(400), "fits").assert().success();
    // Two terabytes that say so, and what is longer than any padding.
    refused(&sandbox, &bytes, &file("bomb", "").with(124, "77777777777").bytes(), "or 1000 bytes");
    // Only of what no header has digits for an extended one says the size alone.
    let large = |size: &str| {
        [extended(&[("size", size.as_bytes())]).bytes(), file("large", "").bytes()].concat()
    };
    refused(
        &sandbox,
        &bytes,
        &large("8589934592"),
        "large: more than 200000 entries or 1000 bytes",
    );
    refused(&sandbox, &bytes, &large("8589934591"), "large: an extended header with another size");
    let few = ["--max-bytes", "1000", "--max-entries", "10"];
    let padded = [archive(&[file("a", "x")]), vec![0; 8 << 20]].concat();
    refused(&sandbox, &few, &padded, "more bytes than are permitted");
    let headers = extended(&[("comment", &[b'x'; 1 << 19])]).bytes().repeat(8);
    let long = [global(&[("comment", b"x")]).bytes().repeat(3000), headers].concat();
    refused(&sandbox, &few, &long, "more bytes than are permitted");
    // xz is ended, else it would wait for ever for somebody to read on.
    for program in ["gzip", "zstd", "xz"] {
        if needs("bounds_are_kept_and_a_bomb_ends_early", program) {
            let bomb = packed(&sandbox, program, &padded);
            refused(&sandbox, &few, &bomb, "more bytes than are permitted");
        }
    }
}

#[test]
fn memory_is_bounded_whatever_an_archive_says() {
    let sandbox = sandbox();
    let test = "memory_is_bounded_whatever_an_archive_says";
    // Names of 4,000 bytes each, within the number of entries.
    let long = |n: usize| {
        [&[b'a'; 200][..], b"/"].concat().repeat(19).into_iter().chain(format!("{n}").into_bytes())
    };
    let many: Vec<u8> = (0..20_000)
        .flat_map(|n| {
            [long_name(long(n).collect::<Vec<u8>>()).bytes(), file("f", "").bytes()].concat()
        })
        .collect();
    sandbox.write("many", [many, vec![0; 1024]].concat());
    let mut command = std::process::Command::new(sandbox.program("octo-exec"));
    command
        .args(["unpack", "-n", "many"])
        .current_dir(sandbox.path(""))
        .env("HOME", sandbox.path(""));
    let mut child = command.stderr(Stdio::piped()).spawn().expect("octo-exec");
    let pid = rustix::process::Pid::from_child(&child);
    let (mut peak, mut ended) = (0, None);
    wait_for("the end of it", || {
        peak = peak.max(peak_of(pid).unwrap_or(0));
        ended = child.try_wait().expect("wait");
        ended.is_some()
    });
    let mut said = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().expect("stderr"), &mut said)
        .expect("UTF-8");
    assert_eq!(ended.and_then(|status| status.code()), Some(65), "{said}");
    assert!(said.contains("names of more than 51200000 bytes in all"), "{said}");
    if peak == 0 {
        impossible(test, "no VmHWM");
    }
    assert!(peak < 200 << 10, "{peak} KiB");
    // A window of Zstandard that asks for two gigabytes.
    let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8][..], &[1, 0, 0]].concat();
    let refused = unpack(&sandbox, &[], &frame, "release").assert().code(65);
    refused.stderr(contains("is damaged: "));
}
