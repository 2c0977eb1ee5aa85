//! Where targets come from: CONFIG/targets.d, files and programs, `--targets`, and thumbprints
//! of a file of their own.

use crate::support::set_mode;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::assert::Assert;
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use std::path::PathBuf;

/// An octopus whose targets are elsewhere, and the one tentacle that there is.
fn without_targets() -> (Octopus, Tentacle) {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    std::fs::remove_file(octopus.sandbox.config("targets")).expect("remove");
    std::fs::create_dir(octopus.sandbox.config("targets.d")).expect("mkdir");
    (octopus, web1)
}

/// A file of CONFIG/targets.d; a program, if it begins as one.
fn member(octopus: &Octopus, name: &str, text: &str) -> PathBuf {
    let path = octopus.sandbox.config("targets.d").join(name);
    std::fs::write(&path, text).expect("write");
    set_mode(&path, if text.starts_with("#!") { 0o755 } else { 0o644 });
    path
}

fn names(octopus: &Octopus) -> String {
    let output = octopus.push(&["targets"]).assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).expect("UTF-8");
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    names.join(" ")
}

fn refused(octopus: &Octopus, code: i32) -> Assert {
    octopus.push(&["-a", "run", "-c", "true"]).assert().code(code).stdout("")
}

#[test]
fn files_and_programs_are_read_in_their_order() {
    let (mut octopus, web1) = without_targets();
    member(
        &octopus,
        "10-file",
        &format!("# ours\nweb1 {} {} web\n", web1.address, web1.thumbprint),
    );
    let program = "#!/bin/sh\necho 'asking the cloud' >&2\npwd >.where\n\
                   printf 'c%d 192.0.2.1 webpki cloud\\r\\n' 1 2\n";
    member(&octopus, "20-cloud", program);
    member(&octopus, "05-empty", "");
    for left in [".hidden", "10-file~"] {
        member(&octopus, left, "no line of ours\n");
    }
    assert_eq!(names(&octopus), "web1 c1 c2");
    octopus.set_targets("first h webpki\n");
    assert_eq!(names(&octopus), "first web1 c1 c2");
    let directory = octopus.sandbox.config("targets.d");
    let place = std::fs::read_to_string(directory.join(".where")).expect("where");
    assert!(place.trim_end().ends_with("/targets.d"), "{place}");

    let said = contains("targets.d/20-cloud: asking the cloud");
    octopus.push(&["-t", "web1", "status"]).assert().success().stderr(said);
    octopus.push(&["-q", "-t", "web1", "status"]).assert().success().stderr("");
    let shown = octopus.push(&["-v", "-t", "web1,c2", "targets"]).assert().success();
    shown.stdout(
        contains("targets.d/10-file\nweb1 ").and(contains("20-cloud (what it prints)\nc2 ")),
    );
    octopus
        .push(&["--json", "-t", "c2", "targets"])
        .assert()
        .success()
        .stdout(contains("20-cloud (what it prints)\",\"line\":2}"));
}

#[test]
fn one_that_is_wrong_is_no_fleet() {
    let (octopus, web1) = without_targets();
    let sound = format!("web1 {} {} web\n", web1.address, web1.thumbprint);
    for (name, text, code, said) in [
        ("20", "web2 h\n", 78, "targets.d/20:1: a target needs"),
        ("20", "\nweb1 h webpki\n", 78, "targets.d/20:2: target web1 is on line 1 of "),
        ("20", "db h webpki web1\n", 78, "tag web1 is the name of the target on line 1 of "),
        (
            "20",
            "#!/bin/sh\necho 'a\\033[2Jb' >&2\nexit 3\n",
            65,
            "20: the program failed: exit 3: a\\x1b[2Jb",
        ),
        ("20", "#!/bin/sh\nkill -9 $$\n", 65, "20: the program failed: signal 9"),
        (
            "20",
            "#!/bin/sh\nprintf '\\377 h webpki\\n'\n",
            78,
            "20 (what it prints):1: the line is not",
        ),
        ("20", "#!/nonexistent/python\n", 78, "names a program that is not there"),
        (
            "20",
            "#!/bin/sh\necho web1 h webpki\n",
            78,
            "(what it prints):1: target web1 is on line 1 of",
        ),
    ] {
        member(&octopus, "10", &sound);
        member(&octopus, name, text);
        refused(&octopus, code).stderr(contains(said));
        octopus.sandbox.tool("octo-keys").args(["check"]).assert().code(78).stderr(contains(said));
    }
    assert!(web1.jobs().is_empty());
}

/// An inventory that is empty today is said to be that.
#[test]
fn none_at_all_is_said() {
    let (octopus, _web1) = without_targets();
    member(&octopus, "10", "#!/bin/sh\n");
    refused(&octopus, 64).stderr(contains("hint: there are no targets at all"));
}

/// What others could have written is theirs, and what isn't a file may never end.
#[test]
fn whose_they_are_is_checked() {
    let (octopus, web1) = without_targets();
    let path = member(&octopus, "10", "#!/bin/sh\ntouch ran\n");
    set_mode(&path, 0o777);
    refused(&octopus, 78).stderr(contains("10: is writable by others (mode 0777)"));
    assert!(!octopus.sandbox.config("targets.d").join("ran").exists());
    std::fs::write(&path, "web1 h webpki\n").expect("write");
    set_mode(&path, 0o755);
    refused(&octopus, 78)
        .stderr(contains("neither begins with #!").and(contains("hint: chmod -x ")));
    std::fs::remove_file(&path).expect("remove");
    std::fs::create_dir(&path).expect("mkdir");
    refused(&octopus, 78).stderr(contains("10: is not a regular file"));
    std::fs::remove_dir(&path).expect("remove");
    let fifo = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(fifo.success());
    refused(&octopus, 78).stderr(contains("10: is not a regular file"));
    std::fs::remove_file(&path).expect("remove");
    refused(&octopus, 65).stderr(contains("targets: no such file"));
    assert!(web1.jobs().is_empty());
}

/// It prints for ever; the bound is that of a file.
#[test]
fn a_program_that_never_ends_its_lines_is_ended() {
    let (octopus, _web1) = without_targets();
    member(&octopus, "10", "#!/bin/sh\nexec yes 'a h webpki'\n");
    refused(&octopus, 65).stderr(contains("10: printed more than 67108864 bytes"));
}

#[test]
fn a_named_file_is_taken_instead() {
    let (octopus, web1) = without_targets();
    member(&octopus, "10", "#!/bin/sh\nexit 9\n");
    let line = format!("web1 {} {} web\n", web1.address, web1.thumbprint);
    let file = octopus.sandbox.write("mine", &line);
    let named = file.display().to_string();
    let run = ["-a", "run", "-c", "echo there"];
    let with = |file: &str| [&["--targets", file][..], &run].concat().join("\n");
    let push = |file: &str| {
        let words = with(file);
        octopus.push(&words.split('\n').collect::<Vec<_>>())
    };
    push(&named).assert().success().stdout("there\n");
    push("-").write_stdin(line.clone()).assert().success().stdout("there\n");
    push("/dev/stdin").write_stdin(line.clone()).assert().success().stdout("there\n");
    octopus.push(&run).env("OCTO_TARGETS", &named).assert().success().stdout("there\n");
    // What is said goes before what is set.
    push(&named).env("OCTO_TARGETS", "/nonexistent").assert().success();
    push("-").write_stdin("web1 h\n").assert().code(78).stderr(contains("standard input:1: "));
    push("/nonexistent").assert().code(65).stderr(contains("/nonexistent: no such file"));
    set_mode(&file, 0o666);
    push(&named).assert().code(78).stderr(contains("is writable by others"));
    // Whoever could write into it would have programs run here.
    let fifo = octo_fifo(&octopus, 0o666);
    push(&fifo).assert().code(78).stderr(contains("is writable by others"));
    // A job's script, its variables or its input would find nothing there any more.
    for words in [&["-"][..], &["--env-file", "-", "-c", "true"], &["--stdin", "-", "-c", "true"]] {
        let words = [&["--targets", "-", "-a", "run"], words].concat();
        let run = octopus.push(&words).write_stdin(line.clone()).assert().code(64);
        run.stdout("").stderr(contains("standard input (-) can be read once"));
    }
    assert_eq!(web1.jobs().len(), 5);
}

/// What a pipeline calls has one fleet, until its end.
#[test]
fn what_a_program_printed_is_kept_where_that_is_asked_for() {
    let (octopus, _web1) = without_targets();
    let program = |number: usize| {
        format!("#!/bin/sh\necho x >>../asked\necho slow >&2\necho c{number} 192.0.2.1 webpki\n")
    };
    member(&octopus, "cloud", &program(1));
    let kept = octopus.sandbox.path("kept");
    std::fs::create_dir(&kept).expect("mkdir");
    set_mode(&kept, 0o700);
    let listed = || {
        let output = octopus.push(&["targets"]).env("OCTO_TARGETS_KEPT", &kept).output();
        let output = output.expect("runs");
        let code = output.status.code();
        let said =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
        assert_eq!(code, Some(0), "{said:?}");
        said
    };
    let [out, said] = listed();
    assert_eq!(out, "c1 192.0.2.1:10933 webpki\n");
    assert!(said.contains("cloud: slow"), "{said}");
    // Told once, too.
    assert_eq!(listed(), [out, String::new()]);
    member(&octopus, "cloud", &program(20));
    assert_eq!(listed()[0], "c20 192.0.2.1:10933 webpki\n");
    let asked = octopus.sandbox.config("asked");
    assert_eq!(std::fs::read_to_string(asked).expect("asked"), "x\nx\n");
    // Whoever could write it would have programs run here.
    for file in std::fs::read_dir(&kept).expect("kept") {
        set_mode(&file.expect("a file").path(), 0o666);
    }
    let again = octopus.push(&["targets"]).env("OCTO_TARGETS_KEPT", &kept).assert();
    again.code(78).stderr(contains("is writable by others"));
    let nowhere = octopus.sandbox.path("nowhere");
    let lost = octopus.push(&["targets"]).env("OCTO_TARGETS_KEPT", &nowhere).assert();
    lost.code(73).stderr(contains("/nowhere"));
}

/// Somebody sits before a TAB.
#[test]
fn a_completion_waits_for_no_cloud() {
    let (octopus, _web1) = without_targets();
    member(&octopus, "cloud", "#!/bin/sh\nexec sleep 600\n");
    // Half of what it may take elsewhere.
    let half_a_minute = std::time::Duration::from_secs(30);
    let mut offers = octopus.push(&["plumb", "offers", "TARGET"]);
    offers.timeout(half_a_minute).assert().success().stdout("");
}

/// A named pipe that nobody writes into: who opens it waits.
fn octo_fifo(octopus: &Octopus, mode: u32) -> String {
    let path = octopus.sandbox.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    set_mode(&path, mode);
    path.display().to_string()
}

#[test]
fn thumbprints_stand_in_a_file_of_their_own() {
    let (octopus, web1) = without_targets();
    let lines = format!("web1 {} known web\nweb2 {0} known web\n", web1.address);
    member(&octopus, "10", &format!("#!/bin/sh\ncat <<'END'\n{lines}END\n"));
    let file = octopus.sandbox.config("thumbprints");
    let unknown =
        || contains("web2: no thumbprint of it is known").and(contains("hint: octo-enroll web2"));
    refused(&octopus, 77).stderr(contains("web1: no thumbprint").and(unknown()));
    std::fs::write(&file, format!("# seen\nweb1 {}\nold {0}\n", web1.thumbprint)).expect("write");
    // The other one runs all the same.
    let run = octopus.push(&["-t", "web", "run", "-c", "echo there"]).assert().code(77);
    run.stdout(contains("there")).stderr(unknown());
    let shown = octopus.push(&["-t", "web1", "targets"]).assert().success();
    shown.stdout(format!("web1 {} {} web\n", web1.address, web1.thumbprint));
    octopus.push(&["-t", "web2", "targets"]).assert().success().stdout(contains(" known web"));

    // An inventory has no say in who proves what.
    let other = "0".repeat(64);
    let pinned = format!("#!/bin/sh\necho 'web1 h known web seal={other}'\n");
    member(&octopus, "10", &pinned);
    refused(&octopus, 78).stderr(contains("seal= stands beside the thumbprint, in CONFIG/thumb"));
    member(&octopus, "10", &format!("#!/bin/sh\ncat <<'END'\n{lines}END\n"));
    std::fs::write(&file, format!("\nweb1 {other}\n")).expect("write");
    octopus.push(&["-t", "web1", "status"]).assert().code(77).stderr(
        contains("another thumbprint").and(contains(format!(
            "line 2 of {}: web1 {}\n",
            file.display(),
            web1.thumbprint
        ))),
    );
    std::fs::write(&file, "web1 known\n").expect("write");
    refused(&octopus, 78).stderr(contains("thumbprints:1: "));
    octopus
        .sandbox
        .tool("octo-keys")
        .args(["check"])
        .assert()
        .code(78)
        .stderr(contains("thumbprints:1: "));
    std::fs::write(&file, format!("web1 {}\n", web1.thumbprint)).expect("write");
    set_mode(&file, 0o666);
    refused(&octopus, 78).stderr(contains("is writable by others"));
}
