//! Files that tell what came of a run: untouched until it is permitted, of no older
//! run from then on, and refused before it where they could not be written.

use crate::support::set_mode;
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use std::os::unix::fs::symlink;

const OLD: &str = "kind exit\ncode 0\n";
const FILES: [&str; 4] = ["end", "outputs", "output", "record"];
const OPTIONS: [&str; 8] =
    ["--end", "end", "--outputs", "outputs", "-o", "output", "--record", "record"];

/// An octopus in whose directory each of [`FILES`] is of an older run.
fn octopus_with_old_files() -> Octopus {
    let octopus = Octopus::new(cargo_bin!("octo-push"));
    for name in FILES {
        octopus.sandbox.write(name, OLD);
    }
    octopus
}

fn read(octopus: &Octopus, name: &str) -> String {
    std::fs::read_to_string(octopus.sandbox.path(name)).unwrap_or_else(|e| format!("{name}: {e}"))
}

#[test]
fn a_command_line_that_is_refused_leaves_every_file_as_it_was() {
    let mut octopus = octopus_with_old_files();
    octopus.add_target(&format!("web1 127.0.0.1:1 {}", octopus.thumbprint));
    octopus.sandbox.write("readable", "A=b\n");
    let private = octopus.sandbox.write("private", "A=b\n");
    set_mode(&private, 0o600);
    std::fs::create_dir(octopus.sandbox.path("blocked")).expect("mkdir");
    symlink("nowhere/x", octopus.sandbox.path("blocked/journal")).expect("symlink");
    octopus.sandbox.write("unsound/targets", "web1\n");
    octopus.sandbox.write("lost/targets", "web1 127.0.0.1:1 webpki\n");
    for file in ["readable", "unsound/targets", "lost/targets"] {
        set_mode(&octopus.sandbox.path(file), 0o644);
    }
    octopus.sandbox.write("large", format!("A={}\n", "x".repeat(200_000)));
    for (front, own, code) in [
        (&["-a"][..], &[][..], 64),
        (&["-a"], &["--no-such-option", "-c", "true"], 64),
        (&["-a"], &["-T", "soon", "-c", "true"], 64),
        (&["-a", "--batch", "x"], &["-c", "true"], 64),
        (&["-a"], &["-S", "-", "-E", "-", "-c", "true"], 64),
        (&["-a"], &["-e", "LD_PRELOAD=x", "-c", "true"], 77),
        (&[], &["-c", "true"], 64),
        (&["-t", "nobody"], &["-c", "true"], 65),
        (&["-t", "failed:LAST"], &["-c", "true"], 65),
        (&["-a", "--canary", "nobody"], &["-c", "true"], 65),
        (&["-a", "--config", "unsound"], &["-c", "true"], 78),
        (&["-a", "--config", "lost"], &["-c", "true"], 78),
        (&["-a", "-i", "nothing.pem"], &["-c", "true"], 78),
        (&["-a", "--state", "blocked"], &["-c", "true"], 78),
        (&["-a"], &["nothing.sh"], 65),
        (&["-a"], &["-E", "%n.env", "-c", "true"], 65),
        (&["-a"], &["-S", "readable", "-c", "true"], 78),
        (&["-a"], &["-S", "private", "-e", "A=c", "-c", "true"], 65),
        (&["-a"], &["-p", "nothing.tar", "-c", "true"], 65),
        (&["-a"], &["-E", "large", "-c", "true"], 77),
        (&["-a"], &["--end", "none/x", "-c", "true"], 64),
        (&["-a", "-n"], &["-c", "true"], 0),
        (&["-a", "--help"], &["-c", "true"], 0),
    ] {
        let line = [front, &["run"], &OPTIONS, own].concat();
        let said = octopus.push(&line).assert().code(code);
        for name in FILES {
            assert_eq!(read(&octopus, name), OLD, "{name}: {said}");
        }
    }
    for line in [&["-a", "follow", "--end", "end", "x"][..], &["-a", "follow", "--end", "end"]] {
        octopus.push(line).assert().code(64);
        assert_eq!(read(&octopus, "end"), OLD, "{line:?}");
    }
}

/// Only a target that is asked loses what an older run left of it.
#[test]
fn a_run_that_does_not_begin_leaves_every_file_as_it_was() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let files = ["web1.out", "web2.out", "record", "web1.end", "web2.end"];
    for name in files {
        octopus.sandbox.write(name, OLD);
    }
    for name in ["web1", "web2"] {
        octopus.add_target(&format!("{name} 127.0.0.1:1 {}", octopus.thumbprint));
    }
    let run = ["run", "-o", "%n.out", "--record", "record", "--end", "%n.end", "-c", "true"];
    octopus
        .push(&[&["-a", "--min-healthy", "2"], &run[..]].concat())
        .assert()
        .code(1)
        .stderr(contains("2 of 2 are healthy, and 2 must stay so"));
    for name in files {
        assert_eq!(read(&octopus, name), OLD, "{name}");
    }
    octopus
        .push(&[&["-a", "--batch", "1", "--max-failures", "0"], &run[..]].concat())
        .assert()
        .code(69)
        .stderr(contains("rollout stopped"));
    assert_eq!(read(&octopus, "web1.out"), "");
    assert_eq!(read(&octopus, "web2.out"), OLD);
    assert!(read(&octopus, "record").contains(r#""kind":"failed""#));
}

/// What can't be written down is not sent: `ulimit -f 0` stands for a full disk.
#[test]
fn a_run_that_is_not_written_down_leaves_the_proof_of_an_older_one() {
    let mut octopus = octopus_with_old_files();
    octopus.add_target(&format!("web1 127.0.0.1:1 {}", octopus.thumbprint));
    let line = ["-a", "run", "--end", "end", "--outputs", "outputs", "-c", "true"];
    let push = octopus.start(&line);
    let mut limited = assert_cmd::Command::new("sh");
    limited.env_clear().envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.args(["-c", "ulimit -f 0; exec \"$0\" \"$@\""]).arg(push.get_program());
    limited.args(push.get_args()).current_dir(octopus.sandbox.path(""));
    limited.assert().code(74).stderr(contains("journal: "));
    for name in ["end", "outputs"] {
        assert_eq!(read(&octopus, name), OLD, "{name}");
    }
}

#[test]
fn a_run_that_is_permitted_leaves_nothing_of_an_older_one() {
    let mut octopus = octopus_with_old_files();
    // Nobody answers, or the answer is no: the files are this run's all the same.
    octopus.add_target(&format!("web1 127.0.0.1:1 {}", octopus.thumbprint));
    octopus.push(&[&["-a", "run"], &OPTIONS[..], &["-c", "true"]].concat()).assert().code(69);
    assert!(read(&octopus, "end").contains("kind failed\n"));
    assert!(!octopus.sandbox.path("outputs").exists());
    assert_eq!(read(&octopus, "output"), "");
    assert!(read(&octopus, "record").contains(r#""kind":"failed""#));
    // Nor where there is nobody to ask.
    octopus.sandbox.write("end", OLD);
    octopus.push(&["-a", "--shard", "2/2", "run", "--end", "end", "-c", "true"]).assert().success();
    assert!(!octopus.sandbox.path("end").exists());
    octopus.sandbox.write("web1.end", OLD);
    let follow = ["-a", "follow", "--end", "%n.end", "20260101T000000-aaaaaaaaaaaaa"];
    octopus.push(&follow).assert().code(69);
    assert!(read(&octopus, "web1.end").contains("kind failed\n"));
}

#[test]
fn a_file_that_two_options_name_is_refused_before_anything() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.sandbox.write("script", "exit 0\n");
    octopus.sandbox.write("web1.txt", OLD);
    set_mode(&octopus.sandbox.write("private", "A=b\n"), 0o600);
    for arguments in [
        &["--end", "web1.txt", "-o", "%n.txt", "-c", "true"][..],
        &["-o", "new", "--outputs", "./new", "-c", "true"],
        &["--end", "new", "--outputs", "new", "-c", "true"],
        &["--end", "new", "--record", "new", "-c", "true"],
        &["--end", "private", "-S", "private", "-c", "true"],
        &["-o", "%n.txt", "-E", "web1.txt", "-c", "true"],
        &["--record", "script", "script"],
    ] {
        let line = [&["-a", "run"], arguments].concat();
        octopus.push(&line).assert().code(64).stderr(contains("is the same file"));
        assert!(web1.jobs().is_empty() && !octopus.sandbox.path("new").exists(), "{line:?}");
    }
    for (name, kept) in [("web1.txt", OLD), ("private", "A=b\n"), ("script", "exit 0\n")] {
        assert_eq!(read(&octopus, name), kept);
    }
    let shared = ["-a", "run", "--end", "/dev/null", "-o", "/dev/null", "-c", "true"];
    octopus.push(&shared).assert().success();
}

#[test]
fn what_a_call_reads_is_no_result_of_it() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.sandbox.write("package", "p");
    octopus.sandbox.write("got/f", OLD);
    let mut kept = vec![];
    for name in ["config/identity.pem", "config/targets", "package", "got/f"] {
        kept.push((name, read(&octopus, name)));
    }
    for line in [
        &["-a", "--record", "config/identity.pem", "status"][..],
        &["-a", "--record", "config/targets", "status"],
        &["-a", "-i", "config/identity.pem", "--record", "./config/identity.pem", "jobs"],
        &["-a", "run", "--end", "config/identity.pem", "-c", "true"],
        &["-a", "run", "--record", "config/targets", "-c", "true"],
        &["-a", "put", "--record", "package", "package"],
        &["-a", "get", "-o", "got", "--record", "got/f", "20260101T000000-aaaaaaaaaaaaa", "f"],
    ] {
        octopus.push(line).assert().code(64).stderr(contains("is the same file"));
        assert!(web1.jobs().is_empty(), "{line:?}");
    }
    for (name, text) in kept {
        assert_eq!(read(&octopus, name), text, "{name}");
    }
    // A file that can't be made is told before a package is opened.
    octopus
        .push(&["-a", "put", "--record", "none/x", "no-such-package"])
        .assert()
        .code(73)
        .stderr(contains("none/x: can't create"));
}

#[test]
fn where_a_result_could_not_be_written_nothing_runs() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.sandbox.write("file", OLD);
    octopus.sandbox.write("end", OLD);
    std::fs::create_dir(octopus.sandbox.path("dir")).expect("mkdir");
    for option in ["--end", "--outputs", "-o", "--record"] {
        for (path, said) in [
            ("none/x", "none/x: can't create: no such file or directory"),
            ("%n.none/x", ".none/x: can't create: no such file or directory"),
            ("file/x", "file/x: can't create: not a directory"),
            ("dir", "dir: can't create: is a directory"),
            ("new/", "new/: can't create: is a directory"),
            // Not writable, even for root.
            ("/proc/x", "/proc/x: can't create: "),
        ] {
            let mut line = vec!["-a", "run", option, path, "-c", "true"];
            if option != "--end" {
                line.splice(2..2, ["--end", "end"]);
            }
            octopus.push(&line).assert().code(73).stderr(contains(said));
            assert!(web1.jobs().is_empty(), "{option} {path}: it ran");
            assert_eq!(read(&octopus, "end"), OLD, "{option} {path}");
        }
    }
    assert_eq!(read(&octopus, "file"), OLD);
    octopus
        .push(&["-a", "--record", "none/x", "put", "file"])
        .assert()
        .code(73)
        .stderr(contains("none/x: can't create"));
    assert!(
        !web1
            .state
            .join("packages")
            .join(octo_core::Digest::of(OLD.as_bytes()).to_string())
            .exists()
    );
    // A directory that only its owner may write to, for those who are not root.
    let closed = octopus.sandbox.path("dir");
    set_mode(&closed, 0o555);
    let assert = octopus.push(&["-a", "run", "--end", "dir/x", "-c", "true"]).assert();
    if std::fs::write(closed.join("y"), "").is_err() {
        assert.code(73).stderr(contains("dir/x: can't create: permission denied"));
    }
    set_mode(&closed, 0o755);
}

#[test]
fn what_is_no_file_is_written_to_and_stays() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    // As /dev/stdout leads to a file where a shell sends it there.
    let out = octopus.sandbox.write("out", "older\n");
    let file = std::fs::OpenOptions::new().append(true).open(&out).expect("open");
    let status = octopus
        .start(&["-t", "web1", "run", "--end", "/proc/self/fd/1", "-c", "echo hello"])
        .stdout(file)
        .status()
        .expect("runs");
    assert!(status.success());
    let said = read(&octopus, "out");
    assert!(said.starts_with("older\n"), "{said}");
    assert!(contains("hello\n").and(contains("kind exit\ncode 0\n")).eval(&said), "{said}");
    for option in ["-o", "--record"] {
        let file = std::fs::OpenOptions::new().append(true).open(&out).expect("open");
        let line = ["-t", "web1", "run", option, "/proc/self/fd/1", "-c", "echo hello"];
        assert!(octopus.start(&line).stdout(file).status().expect("runs").success());
        assert!(read(&octopus, "out").starts_with(&said), "{option}");
    }
}
