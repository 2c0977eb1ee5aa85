//! Packages that a job leaves for its pusher, and those that an operator adds for one.

use crate::jobs::{end, own_user, places, submit, trust};
use crate::sandbox;
use crate::support::{Sandbox, stdout_of};
use octo_core::base::encoding::encode;
use octo_core::tentacle::store::{Store, Who};
use octo_core::{Digest, PusherName};
use predicates::str::contains;

/// How a job of this command ended: its code and why.
fn left(sandbox: &Sandbox, command: &str) -> (u8, String) {
    let command =
        format!("mkdir \"$OCTO_ARTIFACTS/.packages\"; cd \"$OCTO_ARTIFACTS/.packages\"\n{command}");
    let job = submit(sandbox, &format!("command {}\n", encode(command.as_bytes())));
    let (_, code, reason) = end(&job);
    (code, reason)
}

fn has(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> bool {
    let name = PusherName::parse(name).expect("a name");
    let store = Store::at(&places(sandbox));
    store.holds(&Digest::of(bytes), Who::Pusher(&name)).expect("a store").is_some()
}

/// A name in the store that isn't that of its bytes would be run as what was approved.
#[test]
fn what_a_job_fetched_is_kept_only_as_what_it_is_and_within_its_line() {
    let sandbox = sandbox();
    let of = |bytes: &[u8]| Digest::of(bytes);
    let good = format!("printf good >{}", of(b"good"));
    let line = format!("user={}", own_user());
    for (options, command, code, said) in [
        ("allow=run", good.clone(), 77, "may not put packages"),
        (
            "max-size=1K",
            format!("head -c 2048 /dev/zero >{}", of(&[0; 2048])),
            77,
            "2.0 KiB is more than max-size=1.0 KiB",
        ),
        (
            "max-store=200K",
            format!("head -c 300000 /dev/zero >{}", of(&[0; 300_000])),
            77,
            "max-store",
        ),
        ("", format!("printf evil >{}", of(b"good")), 65, "announced was"),
        ("", "printf good >good".into(), 65, "its name is no sha256"),
        ("", format!("printf good >../x; ln -s ../x {}", of(b"good")), 65, "it is a link"),
        ("", format!("mkfifo {}", of(b"good")), 65, "it is not a regular file"),
        ("", format!("{good}; for i in $(seq 16); do printf $i >x$i; done"), 77, "more than 16"),
        ("", format!("{good}; exit 3"), 3, ""),
    ] {
        assert!(!has(&sandbox, "ci", b"good"), "{options} {command}");
        trust(&sandbox, &format!("{line} {options}"));
        let (was, reason) = left(&sandbox, &command);
        assert!(was == code && reason.contains(said), "{options} {command}: {was} {reason}");
    }
    assert!(has(&sandbox, "ci", b"good"));
    // It is no artifact, and another pusher's neither.
    trust(&sandbox, &line);
    assert_eq!(left(&sandbox, &good), (0, String::new()));
    assert!(!has(&sandbox, "other", b"good"));
}

/// An upload of the same package that drips would hold the end of a job for hours.
#[test]
fn another_upload_of_it_is_not_waited_for_for_long() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={}", own_user()));
    let digest = Digest::of(b"good");
    let incoming = sandbox.state("packages").join("incoming");
    left(&sandbox, "true");
    std::fs::create_dir_all(&incoming).expect("mkdir");
    let upload = std::fs::File::create(incoming.join(format!("{digest}.ci"))).expect("create");
    upload.lock().expect("locked");
    let (code, reason) = left(&sandbox, &format!("printf good >{digest}"));
    assert_eq!(code, 75, "{reason}");
    assert!(reason.contains("another upload of it is under way"), "{reason}");
    drop(upload);
    assert_eq!(left(&sandbox, &format!("printf good >{digest}")), (0, String::new()));
}

#[test]
fn a_file_is_added_for_a_pusher_within_its_limits() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} max-size=5", own_user()));
    let file = sandbox.write("p", "good");
    let digest = Digest::of(b"good").to_string();
    let add = |words: &[&str]| {
        let mut command = sandbox.tool("octo-exec");
        command.arg("add").args(words).arg(&file);
        command
    };
    let other = Digest::of(b"other").to_string();
    let wrong = add(&["--for", "ci", "--digest", &other]).assert().code(65);
    wrong.stderr(contains(format!("its sha256 is {digest}, and not {other}")));
    add(&["--digest", "x"]).assert().code(64).stderr(contains("64 hex digits"));
    let nobody = add(&["--for", "nobody"]).assert().code(65);
    nobody.stderr(contains("names this pusher"));
    assert!(!has(&sandbox, "ci", b"good"));
    assert_eq!(stdout_of(&mut add(&["--for", "ci", "--digest", &digest])).trim(), digest);
    assert!(has(&sandbox, "ci", b"good"));
    sandbox.write("p", "larger");
    let larger = add(&["--for", "ci"]).assert().code(77);
    larger.stderr(contains("6 B is more than max-size=5 B of ci"));
}
