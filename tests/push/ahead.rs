//! octo-push sends the beginning of a large file while it hashes it.

use crate::fault_proxy::{FaultProxy, Faults, Plan};
use crate::support::random::Random;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use predicates::str::contains;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Hashing takes longer than connecting, most of the time.
const SIZE: u64 = 128 << 20;

/// A machine that is very busy may have hashed it before it connects: so often is
/// it tried again.
const BUSY: usize = 20;

/// An octopus that reaches its tentacle web1 through a proxy.
fn through_a_proxy() -> (Octopus, Tentacle, FaultProxy) {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let proxy = FaultProxy::start(&web1.address);
    octopus.set_targets(&web1.line_at(&proxy.address.to_string(), "web"));
    (octopus, web1, proxy)
}

/// A large file that takes little room. Its beginning can't be compressed: on a busy machine it
/// would pass where something is to happen to it as a few bytes.
fn large(octopus: &Octopus, size: u64) -> (PathBuf, Digest) {
    let path = octopus.sandbox.path("large");
    let file = File::create(&path).expect("create");
    file.set_len(size).expect("size");
    file.write_all_at(&Random(1).bytes(12 << 20), 0).expect("write");
    file.write_all_at(b"not only zeros", size / 2).expect("write");
    let digest = digest_of(&path);
    (path, digest)
}

fn digest_of(path: &Path) -> Digest {
    Digest::of_reader(&mut File::open(path).expect("open")).expect("read").0
}

/// Puts it as a file that was never seen before.
fn put_anew(octopus: &Octopus, path: &Path) {
    // Absent where the file was too young to be remembered.
    let _ = std::fs::remove_file(octopus.sandbox.path("state/digests"));
    octopus.push(&["-a", "put", path.to_str().expect("a path")]).assert().success();
}

/// Does the audit log tell of a put?
fn put_begun(tentacle: &Tentacle) -> bool {
    let log = std::fs::read_to_string(tentacle.state.join("listen/audit.log")).unwrap_or_default();
    log.lines().any(|line| line.contains(" put "))
}

/// Does it tell of one before its sha256 was known?
fn came_ahead(tentacle: &Tentacle) -> bool {
    let log = std::fs::read_to_string(tentacle.state.join("listen/audit.log")).unwrap_or_default();
    log.lines().any(|line| line.contains(" put ") && !line.contains(" sha256="))
}

#[test]
fn a_large_file_comes_whole_and_once() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let (path, digest) = large(&octopus, SIZE);
    let put = ["-t", "web1", "put", path.to_str().expect("a path")];
    let object = web1.state.join("packages").join(digest.to_string());
    for _ in 0..BUSY {
        put_anew(&octopus, &path);
        assert_eq!(object.metadata().expect("the object").len(), SIZE);
        assert_eq!(digest_of(&object), digest);
        assert_eq!(std::fs::read_dir(web1.state.join("packages/incoming")).expect("ls").count(), 0);
        if came_ahead(&web1) {
            break;
        }
        std::fs::remove_file(&object).expect("remove");
    }
    assert!(came_ahead(&web1));
    octopus
        .push(&["journal"])
        .assert()
        .success()
        .stdout(contains(format!("put web1 done 0 package={digest} ")));
    // It is there: nothing of it is published again, whether remembered or not.
    let published = object.metadata().expect("the object").modified().expect("a time");
    octopus.push(&[&["-v"], &put[..]].concat()).assert().success();
    assert_eq!(object.metadata().expect("the object").modified().expect("a time"), published);
    octopus
        .push(&[&["-n"], &put[..]].concat())
        .assert()
        .success()
        .stdout(contains(format!("put large {digest}")));
}

#[test]
fn what_could_not_be_put_is_in_the_journal_by_its_sha256() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let nobody = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("an address");
    octopus.add_target(&format!("web1 {nobody} {}", octopus.thumbprint));
    let (path, digest) = large(&octopus, SIZE);
    let path = path.to_str().expect("a path");
    octopus.push(&["-a", "put", path]).assert().code(69).stderr(contains("refused"));
    octopus.push(&["journal"]).assert().success().stdout(contains(format!("package={digest}")));
}

#[test]
fn whatever_breaks_meanwhile_the_whole_comes() {
    let (octopus, web1, proxy) = through_a_proxy();
    let (path, digest) = large(&octopus, 72 << 20);
    let packages = web1.state.join("packages");
    let cut = |at| Faults { cut_at: Some(at), ..Faults::default() };
    let flipped = Faults { flip_bit: Some(9 << 23), ..none() };
    for (up, down) in [
        (cut(5_000), none()),
        (cut(1 << 20), none()),
        (cut((1 << 20) + 20_000), none()),
        (cut(10 << 20), none()),
        (flipped, none()),
        (none(), cut(5_000)),
        (none(), cut(5_100)),
    ] {
        proxy.next(Plan { up, down });
        put_anew(&octopus, &path);
        let object = packages.join(digest.to_string());
        assert_eq!(digest_of(&object), digest, "{up:?} {down:?}");
        std::fs::remove_file(object).expect("remove");
    }
    assert_eq!(std::fs::read_dir(packages.join("incoming")).expect("ls").count(), 0);
}

fn none() -> Faults {
    Faults::default()
}

#[test]
fn ctrl_c_ends_it_in_the_midst() {
    let (octopus, web1, proxy) = through_a_proxy();
    let (path, _) = large(&octopus, 72 << 20);
    proxy.next(Plan { up: Faults { pause_at: Some(1 << 20), ..none() }, down: none() });
    let mut command = octopus.start(&["-a", "put", path.to_str().expect("a path")]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("octo-push starts");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    proxy.wait_paused();
    kill_process(Pid::from_child(&child), Signal::INT).expect("kill");
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    assert!(line.contains("stopping"), "{line}");
    proxy.resume();
    said.read_to_string(&mut line).expect("read");
    assert!(line.contains("web1: cancelled before it was done"), "{line}");
    assert_eq!(child.wait().expect("wait").code(), Some(130));
    octopus.push(&["journal"]).assert().success().stdout(contains("put web1 skipped"));
    assert!(put_begun(&web1));
}
