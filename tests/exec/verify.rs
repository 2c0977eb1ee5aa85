//! `octo-exec verify` and `octo-exec manifest`: what is another in a release since.

use crate::sandbox;
use crate::support::{Sandbox, needs, set_mode};
use crate::tar::{archive, directory, file, hardlink, symlink};
use crate::unpack::{seconds_of, unpack};
use octo_core::Digest;
use predicates::str::contains;
use std::os::unix::fs::symlink as link;

/// A release with its manifest beside it.
fn released() -> Sandbox {
    let sandbox = sandbox();
    let bytes = archive(&[
        directory("d"),
        file("d/file", "abc"),
        file("d/name with blanks", "x"),
        file("e/f/g", "x"),
        file("conf", "#{Password}"),
        symlink("link", "d/file"),
        hardlink("same", "d/file"),
    ]);
    unpack(&sandbox, &["--manifest", "manifest"], &bytes, "release").assert().success();
    sandbox
}

fn verify(sandbox: &Sandbox, words: &[&str]) -> (Option<i32>, String) {
    let mut command = sandbox.tool("octo-exec");
    let output = command.arg("verify").args(words).args(["manifest", "release"]).output();
    let output = output.expect("octo-exec");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

fn same() -> (Option<i32>, String) {
    (Some(0), String::new())
}

fn differs(lines: &[&str]) -> (Option<i32>, String) {
    (Some(1), lines.iter().map(|line| format!("{line}\n")).collect())
}

#[test]
fn what_is_changed_added_or_removed_is_a_line_each() {
    let sandbox = released();
    let path = |name: &str| sandbox.path("release").join(name);
    assert_eq!(verify(&sandbox, &[]), same());
    // Who only touches a file changes nothing.
    let touched = std::fs::File::options().write(true).open(path("conf")).expect("open");
    touched.set_modified(std::time::UNIX_EPOCH).expect("utimes");
    assert_eq!(verify(&sandbox, &[]), same());
    // Of the same size and with the same time.
    let time = path("e/f/g").metadata().and_then(|m| m.modified()).expect("stat");
    std::fs::write(path("e/f/g"), "y").expect("write");
    let changed = std::fs::File::options().write(true).open(path("e/f/g")).expect("open");
    changed.set_modified(time).expect("utimes");
    set_mode(&path("conf"), 0o600);
    std::fs::write(path("d/new\nline"), "x").expect("write");
    std::fs::create_dir_all(path("logs/deep")).expect("mkdir");
    std::fs::write(path("logs/deep/log"), "x").expect("write");
    std::fs::remove_file(path("d/name with blanks")).expect("rm");
    std::fs::remove_file(path("link")).expect("rm");
    link("d/other", path("link")).expect("symlink");
    let lines = [
        "changed conf",
        "removed d/name%20with%20blanks",
        "added d/new%0Aline",
        "changed e/f/g",
        "changed link",
        "added logs",
    ];
    assert_eq!(verify(&sandbox, &[]), differs(&lines));
    assert_eq!(verify(&sandbox, &["-q"]), differs(&[]));
}

#[test]
fn no_link_is_followed_and_nothing_odd_waited_for() {
    let sandbox = released();
    let path = |name: &str| sandbox.path("release").join(name);
    // Where a directory was, a link to one that holds the same.
    std::fs::rename(path("e"), sandbox.path("elsewhere")).expect("mv");
    link("../elsewhere", path("e")).expect("symlink");
    std::fs::rename(path("conf"), sandbox.path("other")).expect("mv");
    link("../other", path("conf")).expect("symlink");
    std::fs::remove_file(path("same")).expect("rm");
    std::process::Command::new("mkfifo")
        .arg(path("same"))
        .arg(path("pipe"))
        .status()
        .expect("mkfifo");
    let lines =
        ["changed conf", "changed e", "removed e/f", "removed e/f/g", "added pipe", "changed same"];
    assert_eq!(verify(&sandbox, &[]), differs(&lines));
    // The release itself may be named by one, as current is.
    std::fs::rename(sandbox.path("release"), sandbox.path("1.0")).expect("mv");
    link("1.0", sandbox.path("release")).expect("symlink");
    assert_eq!(verify(&sandbox, &[]), differs(&lines));
}

#[test]
fn a_setuid_bit_is_a_change() {
    let sandbox = released();
    set_mode(&sandbox.path("release/e/f/g"), 0o4644);
    assert_eq!(verify(&sandbox, &[]), differs(&["changed e/f/g"]));
}

#[test]
fn more_than_there_may_be_is_refused() {
    let sandbox = released();
    for n in 0..20 {
        std::fs::write(sandbox.path("release").join(format!("n{n}")), "x").expect("write");
    }
    let mut command = sandbox.tool("octo-exec");
    command
        .args(["verify", "--max-entries", "20", "manifest", "release"])
        .assert()
        .code(65)
        .stderr(contains("release: more than 20 entries"));
}

#[test]
fn what_is_no_manifest_is_named_by_its_line() {
    let sandbox = released();
    let refused = |words: &[&str], code: i32, said: &str| {
        let mut command = sandbox.tool("octo-exec");
        command.arg("verify").args(words).assert().code(code).stderr(contains(said.to_string()));
    };
    let text = std::fs::read_to_string(sandbox.path("manifest")).expect("a manifest");
    sandbox.write("cut", &text[..text.len() - 1]);
    sandbox.write("twice", format!("{text}directory 0755 d\n"));
    sandbox.write("out", "octo-manifest 1\nfile 0644 x\n");
    refused(&["cut", "release"], 65, "cut: line 10 is not of a manifest");
    refused(&["twice", "release"], 65, "twice: line 11 is not of a manifest");
    refused(&["out", "release"], 65, "out: line 2 is not of a manifest");
    refused(&["release/conf", "release"], 65, "line 1 is not of a manifest");
    refused(&["none", "release"], 65, "none: no such file");
    refused(&["manifest", "none"], 65, "none: no such file");
    refused(&["manifest"], 64, "verify");
}

#[test]
fn a_manifest_is_made_anew_of_what_is_there() {
    let sandbox = released();
    let path = |name: &str| sandbox.path("release").join(name);
    let before = std::fs::read(sandbox.path("manifest")).expect("a manifest");
    let make = |words: &[&str]| {
        let mut command = sandbox.tool("octo-exec");
        command.arg("manifest").args(words).args(["release", "manifest"]);
        command
    };
    make(&[]).assert().success().stdout("");
    assert_eq!(std::fs::read(sandbox.path("manifest")).expect("a manifest"), before);
    // Filled in, and linked to what outlives releases.
    std::fs::write(path("conf"), "secret").expect("write");
    link("/var/lib/shop", path("shared")).expect("symlink");
    assert_eq!(verify(&sandbox, &[]), differs(&["changed conf", "added shared"]));
    make(&[]).assert().success();
    assert_eq!(verify(&sandbox, &[]), same());
    std::process::Command::new("mkfifo").arg(path("d/pipe")).status().expect("mkfifo");
    make(&[]).assert().success();
    assert_eq!(verify(&sandbox, &[]), same());
    // In a directory's place: what was in it is gone.
    std::fs::rename(path("e"), path("aside")).expect("mv");
    std::fs::write(path("e"), "x").expect("write");
    let lines = ["added aside", "changed e", "removed e/f", "removed e/f/g"];
    assert_eq!(verify(&sandbox, &[]), differs(&lines));
    std::fs::remove_file(path("e")).expect("rm");
    std::fs::rename(path("aside"), path("e")).expect("mv");
    std::fs::remove_file(path("d/pipe")).expect("rm");
    assert_eq!(verify(&sandbox, &[]), differs(&["removed d/pipe"]));
}

#[test]
fn a_former_file_is_read_unless_its_manifest_knows_it_untouched() {
    let sandbox = sandbox();
    let old = archive(&[file("known", "one"), file("changed", "one")]);
    unpack(&sandbox, &["--time", "1000", "--manifest", "m"], &old, "1.0").assert().success();
    // Who lies is believed: nothing else shows that a file was not read.
    let text = std::fs::read_to_string(sandbox.path("m")).expect("a manifest");
    let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
    sandbox.write("lies", text.replace(&digest(b"one"), &digest(b"two")));
    let new = archive(&[file("known", "two"), file("changed", "one")]);
    let times = |release: &str, manifest: &str, written: std::time::SystemTime| {
        let opened = std::fs::File::options().write(true).open(sandbox.path(manifest));
        opened.expect("open").set_modified(written).expect("utimes");
        let words = ["--time", "2000", "--like", "1.0", "--like-manifest", manifest];
        unpack(&sandbox, &words, &new, release).assert().success();
        ["known", "changed"].map(|name| seconds_of(&sandbox.path(release).join(name)).0)
    };
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    assert_eq!(times("2.0", "lies", later), [1000, 2000]);
    assert_eq!(times("2.1", "m", later), [2000, 1000]);
    // Touched since: by the time of the inode, which nobody sets.
    assert_eq!(times("2.2", "lies", std::time::UNIX_EPOCH), [2000, 1000]);
    set_mode(&sandbox.path("1.0/known"), 0o600);
    assert_eq!(times("2.3", "lies", later), [2000, 2000]);
    // What is no manifest is none.
    sandbox.write("none", "x");
    assert_eq!(times("2.4", "none", later), [2000, 1000]);
}

#[test]
fn what_tar_unpacks_of_an_archive_is_what_the_manifest_says() {
    if !needs("what_tar_unpacks_of_an_archive_is_what_the_manifest_says", "tar") {
        return;
    }
    let sandbox = released();
    std::fs::create_dir(sandbox.path("other")).expect("mkdir");
    let mut tar = std::process::Command::new("tar");
    tar.args(["-xf", "archive", "-C", "other", "--no-same-owner"]).current_dir(sandbox.path(""));
    assert!(tar.status().expect("tar").success());
    let mut command = sandbox.tool("octo-exec");
    command.args(["manifest", "other", "theirs"]).assert().success();
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).expect(name);
    assert_eq!(read("theirs"), read("manifest"));
}

/// What an earlier manifest has of a file is believed as long as nobody has touched the file.
#[test]
fn what_is_known_already_is_not_read_again() {
    let sandbox = released();
    let path = |name: &str| sandbox.path("release").join(name);
    let known = std::fs::read_to_string(sandbox.path("manifest")).expect("manifest");
    // A digest that no file has shows what was believed.
    let (x, other) = (Digest::of(b"x").to_string(), "5".repeat(64));
    std::fs::write(sandbox.path("manifest"), known.replace(&x, &other)).expect("write");
    let time = path("e/f/g").metadata().and_then(|m| m.modified()).expect("stat");
    std::fs::write(path("e/f/g"), "y").expect("write");
    let changed = std::fs::File::options().write(true).open(path("e/f/g")).expect("open");
    changed.set_modified(time).expect("utimes");
    let mut command = sandbox.tool("octo-exec");
    command.args(["manifest", "--since", "manifest", "release", "again"]).assert().success();
    let y = Digest::of(b"y").to_string();
    let again = std::fs::read_to_string(sandbox.path("again")).expect("again");
    let mut wanted = Vec::new();
    for line in known.lines() {
        let digest = if line.ends_with("e/f/g") { &y } else { &other };
        wanted.push(line.replace(&x, digest));
    }
    assert_eq!(again.lines().collect::<Vec<_>>(), wanted);
    let mut command = sandbox.tool("octo-exec");
    let refused = command.args(["manifest", "--since", "release/conf", "release", "again"]);
    refused.assert().code(65).stderr(contains("release/conf: line 1 is not of a manifest"));
}
