//! `octo-exec unpack`: what a release is made of, its modes, times and groups.

use crate::sandbox;
use crate::support::{PATIENCE, Sandbox, is_root, mode_of, needs, set_mode};
use crate::tar::{
    Entry, archive, directory, extended, file, global, hardlink, long_link, long_name, symlink,
};
use assert_cmd::Command;
use octo_core::Digest;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Unpacks this into a directory of that name; more words stand before the archive.
pub(crate) fn unpack(sandbox: &Sandbox, words: &[&str], bytes: &[u8], to: &str) -> Command {
    let archive = sandbox.write("archive", bytes);
    let mut command = sandbox.tool("octo-exec");
    command.arg("unpack").args(words).arg(archive).arg(sandbox.path(to)).timeout(PATIENCE);
    command
}

pub(crate) fn seconds_of(path: &Path) -> (i64, i64) {
    let found = path.symlink_metadata().expect("stat");
    (found.mtime(), found.mtime_nsec())
}

/// What is below a directory, each path behind its kind, in order.
fn below(top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(top).expect("read").flatten() {
        let name = entry.file_name().as_bytes().escape_ascii().to_string();
        let kind = entry.file_type().expect("a type");
        found.push(name.clone());
        if kind.is_dir() {
            found.extend(below(&entry.path()).iter().map(|path| format!("{name}/{path}")));
        }
    }
    found.sort();
    found
}

/// A name that no header has room for.
fn long() -> String {
    format!("d/{}", "n".repeat(200))
}

/// Of all that a release may hold, in all the forms that it is written in.
fn of_everything() -> Vec<u8> {
    archive(&[
        global(&[("comment", b"of git")]),
        directory("./"),
        file("./version", "1.0\n"),
        file(".//d/e//f", "of directories that nobody named"),
        directory("d/"),
        symlink("d/up", "../version"),
        symlink("nowhere", "not/there"),
        hardlink("same", "./version"),
        hardlink("d/same-link", "nowhere"),
        long_name(long()),
        file("short", "long"),
        extended(&[("path", b"p/\xff\xc3\xa9"), ("mtime", b"1000000000.25"), ("size", b"1")]),
        file("short", "x"),
        long_link("d/e"),
        symlink("long", "short"),
        Entry::new(b'0', "old/", ""),
        Entry::new(0, "old/seventh", "7").with(257, [0; 8]),
        file("Version", "of another case"),
        file("..a/b..", ""),
    ])
}

#[test]
fn a_release_is_what_the_archive_holds() {
    let sandbox = sandbox();
    let to = sandbox.path("release");
    let words = ["--manifest", "manifest"];
    unpack(&sandbox, &words, &of_everything(), "release").assert().success().stdout("").stderr("");
    let read = |name: &str| std::fs::read(to.join(name)).expect(name);
    assert_eq!(read("version"), b"1.0\n");
    assert_eq!(read("Version"), b"of another case");
    assert_eq!(read("d/up"), b"1.0\n");
    assert_eq!(read("d/e/f"), b"of directories that nobody named");
    assert_eq!(read(&long()), b"long");
    assert_eq!(read("old/seventh"), b"7");
    let target = |name: &str| std::fs::read_link(to.join(name)).expect(name);
    assert_eq!(target("nowhere"), Path::new("not/there"));
    assert_eq!(target("d/same-link"), Path::new("not/there"));
    assert_eq!(target("long"), Path::new("d/e"));
    assert_eq!(to.join("same").metadata().expect("stat").nlink(), 2);
    let odd = std::ffi::OsStr::from_bytes(b"p/\xff\xc3\xa9");
    assert_eq!(seconds_of(&to.join(odd)), (1_000_000_000, 250_000_000));
    assert_eq!(mode_of(&to), 0o755);
    let all = below(&to);
    assert_eq!(all.len(), 17, "{all:#?}");
    let text = std::fs::read_to_string(sandbox.path("manifest")).expect("a manifest");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (18, "octo-manifest 1"));
    let time = 0o7253421600;
    let of = |mode: u32, bytes: &str, path: &str| {
        let (size, digest) = (bytes.len(), Digest::of(bytes.as_bytes()));
        format!("file {mode:04o} {size} {digest} {time}.000000000 {path}")
    };
    assert!(lines.contains(&"directory 0755 ..a"), "{text}");
    assert!(lines.contains(&"link ../version d/up"), "{text}");
    assert!(lines.contains(&of(0o644, "1.0\n", "version").as_str()), "{text}");
    assert!(lines.contains(&of(0o644, "1.0\n", "same").as_str()), "{text}");
    assert!(text.contains(".250000000 p/%FF%C3%A9\n"), "{text}");
    let paths = |line: &&str| line.rsplit(' ').next().unwrap_or("").to_string();
    let paths: Vec<String> = lines[1..].iter().map(paths).collect();
    assert!(paths.is_sorted(), "{paths:?}");
    assert_eq!(mode_of(&sandbox.path("manifest")), 0o640);
}

#[test]
fn every_form_and_compression_is_one_release() {
    let sandbox = sandbox();
    sandbox.write("tree/d/version", "1.0\n");
    sandbox.write(&format!("tree/{}/{}", "d".repeat(90), "f".repeat(90)), "long");
    let shell = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-euc", script]).current_dir(sandbox.path("")).assert().success();
    };
    for form in ["gnu", "oldgnu", "pax", "ustar"] {
        shell(&format!("tar -C tree --format={form} -cf {form}.tar ."));
    }
    shell(
        "gzip -kn pax.tar; cat <(gzip -c <(head -c 700 pax.tar)) <(gzip -c <(tail -c +701 pax.tar)) >two.gz",
    );
    let mut names = vec!["gnu.tar", "oldgnu.tar", "pax.tar", "ustar.tar", "pax.tar.gz", "two.gz"];
    if needs("every_form_and_compression_is_one_release", "zstd") {
        shell(
            "zstd -q pax.tar; cat <(head -c 700 pax.tar | zstd -c) <(tail -c +701 pax.tar | zstd -c) >two.zst",
        );
        names.extend(["pax.tar.zst", "two.zst"]);
    }
    if needs("every_form_and_compression_is_one_release", "xz") {
        shell(
            "xz -k pax.tar; cat <(head -c 700 pax.tar | xz -c) <(tail -c +701 pax.tar | xz -c) >two.xz",
        );
        names.extend(["pax.tar.xz", "two.xz"]);
    }
    for name in names {
        // What it is called says nothing.
        std::fs::copy(sandbox.path(name), sandbox.path("package.zip")).expect("copy");
        let mut command = sandbox.tool("octo-exec");
        command.args(["unpack", "package.zip"]).arg(name.replace('.', "-")).assert().success();
        assert_eq!(
            below(&sandbox.path(&name.replace('.', "-"))),
            below(&sandbox.path("tree")),
            "{name}"
        );
    }
}

#[test]
fn padding_behind_the_end_is_of_no_matter() {
    let sandbox = sandbox();
    let bytes = [archive(&[file("version", "1")]), vec![0; 3_000_001]].concat();
    unpack(&sandbox, &[], &bytes, "release").assert().success();
    assert_eq!(below(&sandbox.path("release")), ["version"]);
}

#[test]
fn modes_are_two_and_what_others_could_not_read_they_cannot() {
    let sandbox = sandbox();
    let modes = [
        (0o644, 0o644),
        (0o664, 0o644),
        (0o444, 0o644),
        (0o755, 0o755),
        (0o777, 0o755),
        (0o744, 0o755),
        (0o600, 0o640),
        (0o400, 0o640),
        (0o640, 0o640),
        (0o700, 0o750),
        (0o711, 0o750),
        (0, 0o640),
    ];
    let mut entries: Vec<Entry> =
        modes.iter().map(|(mode, _)| file(format!("f{mode:o}"), "x").mode(*mode)).collect();
    entries.push(directory("open").mode(0o555));
    entries.push(file("open/file", "x"));
    entries.push(directory("closed").mode(0o700));
    entries.push(file("closed/file", "x"));
    entries.push(file("late/file", "x"));
    entries.push(directory("late").mode(0o700));
    // That of whoever packed it in a directory of mktemp(1).
    entries.push(directory("./").mode(0o700));
    sandbox.write("archive", archive(&entries));
    let unpack = |umask: &str, words: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; \"$@\""), "sh"]);
        command.arg(sandbox.program("octo-exec")).args(["unpack", "--manifest", "manifest"]);
        command.args(words).current_dir(sandbox.path("")).assert().success();
    };
    // Of whoever keeps what he makes from others.
    for (umask, plain, file) in [("027", 0o750, 0o640), ("077", 0o700, 0o600)] {
        unpack(umask, &["archive", umask]);
        let mode = |name: &str| mode_of(&sandbox.path(umask).join(name));
        assert_eq!(
            (mode("open"), mode("f711"), mode(""), mode("late")),
            (plain, plain, plain, plain)
        );
        assert_eq!((mode("f644"), mode("f600"), mode("open/file")), (file, file, file));
        sandbox.tool("octo-exec").args(["verify", "manifest", umask]).assert().success();
    }
    unpack("000", &["archive", "release"]);
    let mode = |name: &str| mode_of(&sandbox.path("release").join(name));
    for (given, made) in modes {
        assert_eq!(mode(&format!("f{given:o}")), made, "{given:o}");
    }
    assert_eq!(
        (mode("open"), mode("closed"), mode("late"), mode("")),
        (0o755, 0o750, 0o750, 0o755)
    );
    let text = std::fs::read_to_string(sandbox.path("manifest")).expect("a manifest");
    assert!(text.contains("directory 0750 late\n") && text.contains("file 0640 1 "), "{text}");
    sandbox.tool("octo-exec").args(["verify", "manifest", "release"]).assert().success();
}

#[test]
fn what_is_private_is_for_the_group_that_is_named_or_inherited() {
    let sandbox = sandbox();
    if !is_root("what_is_private_is_for_the_group_that_is_named_or_inherited") {
        return;
    }
    let bytes = archive(&[
        directory("d").mode(0o700),
        file("d/secret", "x").mode(0o600).with(108, "0002322").with(116, "0002322"),
        file("open", "x"),
        file("late/file", "x"),
        directory("late").mode(0o700),
    ]);
    let owner = |path: &str| {
        let found = sandbox.path(path).metadata().expect("stat");
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    unpack(&sandbox, &["--group", "4711"], &bytes, "named").assert().success();
    assert_eq!(owner("named/d/secret"), (0, 4711, 0o640));
    assert_eq!(owner("named/d"), (0, 4711, 0o750));
    assert_eq!(owner("named/open"), (0, 0, 0o644));
    // All of it is private, and the group that is named reads it all the same.
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; \"$@\"", "sh"]).arg(sandbox.program("octo-exec"));
    command.args(["unpack", "--group", "4711", "archive", "hidden"]).current_dir(sandbox.path(""));
    sandbox.write("archive", &bytes);
    command.assert().success();
    assert_eq!(owner("hidden"), (0, 4711, 0o750));
    assert_eq!(owner("hidden/open"), (0, 4711, 0o640));
    assert_eq!(owner("hidden/late"), (0, 4711, 0o750));
    std::fs::create_dir(sandbox.path("releases")).expect("mkdir");
    std::os::unix::fs::chown(sandbox.path("releases"), None, Some(4712)).expect("chown");
    set_mode(&sandbox.path("releases"), 0o2755);
    unpack(&sandbox, &[], &bytes, "releases/1.0").assert().success();
    assert_eq!(owner("releases/1.0/d/secret"), (0, 4712, 0o640));
    // What is made there later is the group's as well.
    assert_eq!(owner("releases/1.0/d"), (0, 4712, 0o2750));
    assert_eq!(owner("releases/1.0/late"), (0, 4712, 0o2750));
    let mut unknown = unpack(&sandbox, &["--group", "no-such-group"], &bytes, "unknown");
    unknown
        .assert()
        .code(64)
        .stderr(predicates::str::contains("--group no-such-group: not a group"));
}

#[test]
fn what_changed_has_the_rollouts_time_and_what_is_the_same_keeps_its() {
    let sandbox = sandbox();
    let first = archive(&[
        directory("d").time(500),
        file("d/same.css", "a{}").time(100),
        file("changed.css", "a{}").time(100),
        file("swapped", "1.0").time(100),
        symlink("link", "d").time(100),
        symlink("other", "d").time(100),
    ]);
    unpack(&sandbox, &[], &first, "own").assert().success();
    let time = |path: &str| seconds_of(&sandbox.path(path));
    assert_eq!(
        [time("own/d/same.css"), time("own/link"), time("own/d")],
        [(100, 0), (100, 0), (500, 0)]
    );
    unpack(&sandbox, &["--time", "1000"], &first, "1.0").assert().success();
    assert_eq!([time("1.0/d/same.css"), time("1.0/link"), time("1.0/d")], [(1000, 0); 3]);
    // To the nanosecond; and a file of the same size and time may be another by now.
    let exact = std::time::UNIX_EPOCH + std::time::Duration::new(1000, 123_456_789);
    let old = std::fs::File::options().write(true).open(sandbox.path("1.0/d/same.css"));
    old.expect("open").set_modified(exact).expect("utimes");
    std::fs::write(sandbox.path("1.0/swapped"), "9.9").expect("write");
    let old = std::fs::File::options().write(true).open(sandbox.path("1.0/swapped"));
    old.expect("open").set_modified(exact).expect("utimes");
    std::os::unix::fs::symlink("1.0", sandbox.path("current")).expect("symlink");
    let second = archive(&[
        file("d/same.css", "a{}"),
        // Of equal size.
        file("changed.css", "b{}"),
        file("swapped", "1.0"),
        file("new", "a{}"),
        symlink("link", "d"),
        symlink("other", "none"),
    ]);
    let words = ["--time", "2000", "--like", "current", "--manifest", "manifest"];
    unpack(&sandbox, &words, &second, "2.0").assert().success();
    assert_eq!(time("2.0/d/same.css"), (1000, 123_456_789));
    assert_eq!(time("2.0/link"), (1000, 0));
    for path in ["2.0/changed.css", "2.0/new", "2.0/swapped", "2.0/other", "2.0/d"] {
        assert_eq!(time(path), (2000, 0), "{path}");
    }
    let text = std::fs::read_to_string(sandbox.path("manifest")).expect("a manifest");
    assert!(text.contains(" 1000.123456789 d/same.css\n"), "{text}");
    // The former release is only read, through no link of it.
    std::fs::remove_file(sandbox.path("1.0/d/same.css")).expect("rm");
    std::os::unix::fs::symlink("../changed.css", sandbox.path("1.0/d/same.css")).expect("symlink");
    unpack(&sandbox, &words, &second, "2.1").assert().success();
    assert_eq!(time("2.1/d/same.css"), (2000, 0));
    let mut none = unpack(&sandbox, &["--like", "none"], &second, "2.2");
    none.assert().code(65).stderr(predicates::str::contains("none: no such file"));
    assert!(!sandbox.path("2.2").exists());
}

#[test]
fn a_dry_run_reads_all_and_leaves_nothing() {
    let sandbox = sandbox();
    let dry = |bytes: &[u8]| {
        let archive = sandbox.write("archive", bytes);
        let mut command = sandbox.tool("octo-exec");
        command.args(["unpack", "-n", "--manifest", "manifest"]).arg(archive);
        command
    };
    dry(&archive(&[file("d/PostDeploy.sh", "x"), symlink("l", "d")])).assert().success();
    let text = std::fs::read_to_string(sandbox.path("manifest")).expect("a manifest");
    assert!(text.contains(" d/PostDeploy.sh\n") && text.contains("link d l\n"), "{text}");
    // Nobody asks a dry run alone for digests; a manifest has them all the same.
    let of_x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    assert!(text.contains(of_x), "{text}");
    dry(&archive(&[file("a", "x"), symlink("l", "..")])).assert().code(65);
    let left = below(&sandbox.path(""));
    assert_eq!(left, ["archive", "manifest"]);
}

#[test]
fn an_empty_directory_is_taken_and_one_with_something_is_not() {
    let sandbox = sandbox();
    let good = archive(&[file("d/version", "1")]);
    std::fs::create_dir(sandbox.path("empty")).expect("mkdir");
    unpack(&sandbox, &[], &good, "empty").assert().success();
    unpack(&sandbox, &[], &good, "empty")
        .assert()
        .code(73)
        .stderr(predicates::str::contains("empty: is not empty"));
    assert_eq!(below(&sandbox.path("empty")), ["d", "d/version"]);
    std::os::unix::fs::symlink("empty", sandbox.path("link")).expect("symlink");
    for (to, said) in [("link", "link: can't create"), ("none/release", "can't create: no such")] {
        let refused = unpack(&sandbox, &[], &good, to).assert().code(73);
        refused.stderr(predicates::str::contains(said));
    }
    sandbox.write("file", "x");
    unpack(&sandbox, &[], &good, "file").assert().code(73);
    for words in [&["archive"][..], &["-n", "archive", "release"], &[], &["a", "b", "c"]] {
        sandbox.tool("octo-exec").arg("unpack").args(words).assert().code(64);
    }
    for (option, value) in [
        ("--time", "-1"),
        ("--time", "99999999999999"),
        ("--max-entries", "0"),
        ("--max-bytes", "many"),
        ("--manifest", ""),
        ("--like", ""),
        ("--group", ""),
    ] {
        unpack(&sandbox, &[option, value], &good, "release").assert().code(64);
    }
    assert!(!sandbox.path("release").exists());
}
