//! `-P`: what a program that is to be the connection says, and how it ends, is told where it
//! matters, and nowhere else.

use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;

/// An octopus with one target, and a program of these lines for a shell that counts its
/// starts in `starts`.
fn with_program(lines: &str) -> (Octopus, String) {
    let (octopus, _) = Octopus::with_one(cargo_bin!("octo-push"));
    let starts = octopus.sandbox.path("starts");
    let text = format!("#!/bin/sh\necho x >>'{}'\n{lines}\n", starts.display());
    let program = octopus.sandbox.write("program", text);
    crate::support::set_mode(&program, 0o755);
    (octopus, format!("{} %h %p", program.display()))
}

fn starts_of(octopus: &Octopus) -> usize {
    std::fs::read_to_string(octopus.sandbox.path("starts")).expect("starts").lines().count()
}

/// A login that is refused is refused again, and after some times the account is locked.
#[test]
fn a_program_that_ends_is_told_with_its_last_words_and_not_started_again() {
    let lines = "echo 'Welcome' >&2\n\
                 printf 'ann\\033[31m@bastion: Permission denied (publickey).\\r\\n' >&2\n\
                 exit 255";
    let (octopus, program) = with_program(lines);
    for verb in [&["status"][..], &["run", "-c", "true"]] {
        let words = [&["-t", "web1", "-P", &program], verb].concat();
        octopus.push(&words).assert().code(69).stderr(
            contains("program ended with status 255: Welcome / ann\\x1b[31m@bastion: Permission")
                .and(contains("hint: by hand: ")),
        );
    }
    assert_eq!(starts_of(&octopus), 2, "one start a call");
}

#[test]
fn its_end_is_told_as_it_was() {
    for (lines, said) in [
        ("exit 0", "program ended with status 0\n"),
        ("kill -9 $$", "program was ended by signal 9\n"),
    ] {
        let (octopus, program) = with_program(lines);
        let call = octopus.push(&["-t", "web1", "-P", &program, "status"]).assert();
        call.code(69).stderr(contains(said));
    }
}

/// The rest would hold it up, or fill our memory.
#[test]
fn of_what_it_says_the_last_is_told() {
    let lines =
        "head -c 3000000 /dev/zero | tr '\\0' x >&2\n{ echo; echo 'no route'; } >&2\nexit 1";
    let (octopus, program) = with_program(lines);
    let call = octopus.push(&["-t", "web1", "-P", &program, "status"]).output().expect("output");
    let said = String::from_utf8(call.stderr).expect("UTF-8");
    assert_eq!(call.status.code(), Some(69));
    assert!(said.contains("no route") && said.len() < 1000, "{} bytes", said.len());
}

#[test]
fn one_that_never_answers_has_the_time_of_the_wait() {
    let (octopus, program) = with_program("echo 'asking the proxy' >&2\nexec sleep 600");
    octopus
        .push(&["-t", "web1", "-w", "1", "-P", &program, "status"])
        .assert()
        .code(69)
        .stderr(contains("no TLS handshake within 1s: asking the proxy"));
}

/// Banners, and what ssh says of a new host, are of a connection that works.
#[test]
fn nothing_of_one_that_works_is_told() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.set_targets(&web1.line(""));
    let listen = octopus.sandbox.program("octo-listen");
    let text = format!(
        "#!/bin/sh\necho '### bastion ###' >&2\nexec '{}' --config '{}' --state '{}' --stdio\n",
        listen.display(),
        web1.config.display(),
        web1.state.display()
    );
    let program = octopus.sandbox.write("program", text);
    crate::support::set_mode(&program, 0o755);
    let program = program.display().to_string();
    octopus
        .push(&["-t", "web1", "-P", &program, "run", "-c", "echo done; exit 3"])
        .assert()
        .code(3)
        .stdout("done\n")
        .stderr(contains("bastion").not());
}

/// Each target says what its own program said.
#[test]
fn of_several_each_has_its_own_reason() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.set_targets(&format!(
        "web1 one.example {0} web\nweb2 two.example {0} web\n",
        web1.thumbprint
    ));
    let command = "sh -c 'echo no route to $0 >&2; exit 4' %h";
    octopus.push(&["-t", "web", "-P", command, "status"]).assert().code(69).stderr(
        contains("web1: one.example:10933: sh ended with status 4: no route to one.example\n").and(
            contains("web2: two.example:10933: sh ended with status 4: no route to two.example\n"),
        ),
    );
}

/// The connection broke, and now the login is refused: a few times, not for two minutes.
#[test]
fn a_login_that_is_refused_later_is_tried_a_few_times() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let (starts, go) = (octopus.sandbox.path("starts"), octopus.sandbox.path("go"));
    let text = format!(
        "#!/bin/sh\necho x >>'{}'\n[ \"$(wc -l <'{0}')\" -eq 1 ] || exit 255\nexec 3<&0\n\
         '{}' --config '{}' --state '{}' --stdio <&3 3<&- &\n\
         until [ -e '{}' ]; do sleep 0.1; done\nkill $!\n",
        starts.display(),
        octopus.sandbox.program("octo-listen").display(),
        web1.config.display(),
        web1.state.display(),
        go.display()
    );
    let program = octopus.sandbox.write("program", text);
    crate::support::set_mode(&program, 0o755);
    let program = program.display().to_string();
    let script = format!("touch '{}'; exec sleep 300", go.display());
    octopus
        .push(&["-t", "web1", "--reconnect", "12s", "-P", &program, "run"])
        .args(["-j", "20260101T000000-aaaaaaaaaaaaa", "-c", &script])
        .assert()
        .code(79)
        .stderr(contains("program ended with status 255"));
    let starts = starts_of(&octopus);
    assert!((1 + 1..=1 + 3).contains(&starts), "{starts}");
    octopus.push(&["-t", "web1", "cancel", "20260101T000000-aaaaaaaaaaaaa"]).assert().success();
}
