//! `held`, `show`, `approve` and `deny`: a job runs once somebody else than who asked for it
//! has approved exactly that.

use crate::support::{set_mode, stdout_of, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use predicates::str::contains;

/// Who asks, two who may approve, and the tentacles that all of them know.
struct Fleet {
    ci: Octopus,
    ann: Octopus,
    bob: Octopus,
    tentacles: Vec<Tentacle>,
}

impl Fleet {
    fn new(count: usize, options: &str) -> Fleet {
        let octopus = || Octopus::new(cargo_bin!("octo-push"));
        let (mut ci, mut ann, mut bob) = (octopus(), octopus(), octopus());
        let mut tentacles = Vec::new();
        for number in 1..=count {
            let tentacle = ci.tentacle(&format!("web{number}"), "web");
            ann.add_target(&tentacle.line("web"));
            bob.add_target(&tentacle.line("web"));
            tentacles.push(tentacle);
        }
        let fleet = Fleet { ci, ann, bob, tentacles };
        fleet.tentacles.iter().for_each(|tentacle| fleet.trust(tentacle, options));
        fleet
    }

    /// The trust file of a tentacle: ci with these options, both others with their word.
    fn trust(&self, tentacle: &Tentacle, options: &str) {
        tentacle.set_trusted(&self.lines(options));
    }

    fn lines(&self, options: &str) -> String {
        let approves = |octopus: &Octopus, name: &str| {
            format!("{} {name} allow=approve,status\n", octopus.thumbprint)
        };
        let user = stdout_of(Command::new("id").arg("-un"));
        let ci = format!("{} ci user={} {options}\n", self.ci.thumbprint, user.trim());
        [ci, approves(&self.ann, "ann"), approves(&self.bob, "bob")].concat()
    }

    /// Asks for a job everywhere, and leaves it there; its id.
    fn ask(&self, words: &[&str]) -> String {
        let asked = stdout_of(&mut self.ci.push(&[&["-a", "run", "-D"], words].concat()));
        let id = asked.trim().to_string();
        for tentacle in &self.tentacles {
            wait_for("a held job", || tentacle.state.join("jobs").join(&id).join("held").exists());
        }
        id
    }

    fn file(&self, tentacle: usize, id: &str, name: &str) -> String {
        let path = self.tentacles[tentacle].state.join("jobs").join(id).join(name);
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// octo-exec on the first tentacle.
    fn local(&self, words: &[&str]) -> Command {
        let mut command = self.ci.sandbox.tool("octo-exec");
        command.arg("--config").arg(&self.tentacles[0].config);
        command.arg("--state").arg(&self.tentacles[0].state).args(words);
        command
    }

    fn is_over(&self, tentacle: usize, id: &str) -> bool {
        !self.file(tentacle, id, "end").is_empty()
    }
}

/// The digest that a line of `show` says is approved.
fn digest_of(shown: &str) -> String {
    let line = shown.lines().find(|line| line.starts_with("  octo-push ")).expect("a command");
    line.rsplit(' ').next().expect("a digest").to_string()
}

/// What man/octo-push.1 has among its examples.
#[test]
fn a_held_job_is_shown_and_approved_by_somebody_else() {
    let fleet = Fleet::new(1, "hold");
    let script = fleet.ci.sandbox.write("hello", "#!/bin/sh\nprintf '\\033[31m'\necho $1\n");
    let id = fleet.ask(&["-e", "A=x", &script.display().to_string(), "a b"]);
    let held = stdout_of(&mut fleet.ann.push(&["-a", "held"]));
    assert!(held.starts_with(&format!("web1: {id} of ci since 2")), "{held}");
    assert!(held.ends_with(": hello 'a b'\n"), "{held}");
    let shown = stdout_of(&mut fleet.ann.push(&["-a", "show", &id]));
    for said in [
        "=== web1 ===\n",
        &format!("signed by {}: verified here\n", fleet.ci.thumbprint),
        "arguments 'a b'\n",
        "variable A=x\n",
        "  printf '\\033[31m'\n",
        &format!("as the target says: {} ci user=", fleet.ci.thumbprint),
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let digest = digest_of(&shown);
    assert!(fleet.file(0, &id, "held").contains(&digest), "{shown}");
    let wrong = ["-a", "approve", &id, &"0".repeat(64)];
    fleet.ann.push(&wrong).assert().code(65).stderr(contains("is not what you saw"));
    fleet.ann.push(&["-a", "approve", &id, "0"]).assert().code(64);
    assert!(!fleet.is_over(0, &id));
    let approve = ["-a", "approve", &id, &digest];
    fleet.ann.push(&approve).assert().success().stdout("approved: it starts\n");
    fleet.ci.push(&["-a", "follow", &id]).assert().success().stdout(contains("a b\n"));
    let approved = fleet.file(0, &id, "approved");
    assert!(approved.contains(&format!("approval ann {}", fleet.ann.thumbprint)), "{approved}");
    let audit = std::fs::read_to_string(fleet.tentacles[0].state.join("audit.log")).expect("log");
    assert!(audit.contains(&format!(" approve job={id} digest={digest} by=ann ")), "{audit}");
    // It is over, and there is nothing to approve.
    fleet.ann.push(&approve).assert().code(65).stderr(contains("is not held: exit"));
    fleet.ann.push(&["-a", "show", &id]).assert().code(65).stderr(contains("does not wait"));
}

#[test]
fn who_may_not_approve_sees_nothing_and_who_may_runs_nothing() {
    let fleet = Fleet::new(1, "hold");
    let id = fleet.ask(&["-c", "true"]);
    for words in [&["held"][..], &["show", &id], &["approve", &id], &["deny", &id]] {
        let words = [&["-a"], words].concat();
        fleet.ci.push(&words).assert().code(77).stderr(contains("ci may not see what waits"));
    }
    let run = fleet.ann.push(&["-a", "run", "-c", "true"]).assert().code(77);
    run.stderr(contains("ann may not run scripts"));
    // Of a job that doesn't wait not even that it is there.
    fleet.ann.push(&["-a", "follow", &id]).assert().code(65);
}

#[test]
fn nobody_approves_what_he_has_asked_for() {
    let fleet = Fleet::new(1, "hold allow=any");
    let id = fleet.ask(&["-c", "true"]);
    let own = "ci has asked for it, and nobody approves his own";
    fleet.ci.push(&["-a", "approve", &id]).assert().code(77).stderr(contains(own));
    // By another key of the same name, or the same key under another.
    let lines = fleet.lines("hold");
    fleet.tentacles[0].set_trusted(&lines.replace(" ann ", " ci "));
    fleet.ann.push(&["-a", "approve", &id]).assert().code(77).stderr(contains(own));
    fleet.tentacles[0].set_trusted(&lines.replace(" ci user", " cj allow=any user"));
    let own = "cj has asked for it, and nobody approves his own";
    fleet.ci.push(&["-a", "approve", &id]).assert().code(77).stderr(contains(own));
    // By a second line of that key, with a name of its own for where she comes from.
    let vpn = format!("{} vpn allow=approve from=127.0.0.0/8\n", fleet.ann.thumbprint);
    fleet.tentacles[0].set_trusted(&(vpn + &lines.replace(" ann ", " ci ")));
    let own = "vpn has asked for it, and nobody approves his own";
    fleet.ann.push(&["-a", "approve", &id]).assert().code(77).stderr(contains(own));
    assert!(fleet.file(0, &id, "approved").is_empty() && !fleet.is_over(0, &id));
    fleet.trust(&fleet.tentacles[0], "hold allow=any");
    fleet.bob.push(&["-a", "approve", &id]).assert().success();
    fleet.ci.push(&["-a", "follow", &id]).assert().success();
}

#[test]
fn where_two_have_to_approve_one_person_is_one() {
    let fleet = Fleet::new(1, "hold=2");
    let id = fleet.ask(&["-c", "echo ran"]);
    let approve = |who: &Octopus, said: &str| {
        who.push(&["-a", "approve", &id]).assert().success().stdout(contains(said.to_string()));
        assert_eq!(fleet.is_over(0, &id), said.contains("starts"), "{said}");
    };
    approve(&fleet.ann, "approved: 1 of 2, by ann\n");
    approve(&fleet.ann, "is approved by you already: 1 of 2");
    // The same person by another key.
    let lines = fleet.lines("hold=2");
    fleet.tentacles[0].set_trusted(&lines.replace(" bob ", " ann "));
    approve(&fleet.bob, "is approved by you already: 1 of 2");
    fleet.tentacles[0].set_trusted(&lines);
    let held = stdout_of(&mut fleet.bob.push(&["-a", "held"]));
    assert!(held.ends_with(", 1 of 2 approved by ann\n"), "{held}");
    let shown = stdout_of(&mut fleet.bob.push(&["-a", "show", &id]));
    assert!(shown.contains("2 have to approve it; as the target says, by now: ann\n"), "{shown}");
    // A trust file that can't be read takes nobody's approval away.
    let before = fleet.file(0, &id, "approved");
    fleet.tentacles[0].set_trusted(&(lines.clone() + "odd\n"));
    fleet.local(&["approve", &id]).assert().code(78);
    assert_eq!(fleet.file(0, &id, "approved"), before);
    // Whose line went away meanwhile doesn't count, and that is on record.
    fleet.tentacles[0].set_trusted(&lines.replace("ann allow=approve,status", "ann allow=status"));
    approve(&fleet.bob, "approved: 1 of 2, by bob\n");
    let audit = std::fs::read_to_string(fleet.tentacles[0].state.join("audit.log")).expect("log");
    assert!(audit.contains(&format!(" unapprove job={id} ")) && audit.contains(" by=ann "));
    fleet.tentacles[0].set_trusted(&lines);
    fleet.ann.push(&["-a", "approve", &id]).assert().success().stdout("approved: it starts\n");
    fleet.ci.push(&["-a", "follow", &id]).assert().success().stdout("ran\n");
    // An operator of the machine is one as well, and is named.
    let id = fleet.ask(&["-c", "echo ran"]);
    let local = || fleet.local(&["approve", &id]);
    let said = format!("job {id}: approved: 1 of 2, by local:");
    local().assert().success().stdout(contains(said.clone()));
    local().assert().success().stdout(contains(said));
    fleet.ann.push(&["-a", "approve", &id]).assert().success().stdout("approved: it starts\n");
    fleet.ci.push(&["-a", "follow", &id]).assert().success().stdout("ran\n");
}

/// Ten are shown alike and approved at once; on one of them it is something else by then.
#[test]
fn a_fleet_is_approved_at_once_but_for_what_was_swapped() {
    let fleet = Fleet::new(10, "hold");
    let id = fleet.ask(&["-c", "echo ran"]);
    let shown = stdout_of(&mut fleet.ann.push(&["-a", "show", &id]));
    assert!(shown.starts_with("=== web[1-10] ===\n"), "{shown}");
    assert_eq!(shown.matches("=== ").count(), 1, "{shown}");
    // Its admin has given it another line meanwhile, and it waits for that.
    let web7 = &fleet.tentacles[6];
    let before = fleet.file(6, &id, "held");
    fleet.trust(web7, "hold set=EVIL=1");
    let mut start = fleet.ci.sandbox.tool("octo-exec");
    start.arg("--config").arg(&web7.config).arg("--state").arg(&web7.state).arg("start");
    start.assert().success();
    wait_for("the other line", || fleet.file(6, &id, "held") != before);
    let output = fleet.ann.push(&["-a", "approve", &id]).assert().code(65).get_output().clone();
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(said.matches(": approved: it starts\n").count(), 9, "{said}");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains(&format!("web7: octo-exec: job {id}: is not what you saw: ")), "{said}");
    assert!(said.contains(&format!("octo-push: {id} is not approved on web7\n")), "{said}");
    for tentacle in (0..10).filter(|tentacle| *tentacle != 6) {
        wait_for("its end", || fleet.is_over(tentacle, &id));
    }
    assert!(!fleet.is_over(6, &id));
    // One approval was for all of them, each with its own subject.
    let order = fleet.file(0, &id, "approved");
    let order = order.split(' ').nth(4).expect("the order").to_string();
    let spec = fleet.file(0, &order, "spec");
    assert!(spec.starts_with(&format!("approve {id}\nsubject ")), "{spec}");
    assert_eq!(spec.lines().count(), 11, "{spec}");
    // What is shown again is what is approved then; the others have nothing to approve.
    let shown = stdout_of(&mut fleet.ann.push(&["-a", "show", &id]));
    assert!(shown.starts_with("=== web7 ===\n") && shown.contains("set=EVIL=1"), "{shown}");
    fleet.ann.push(&["-t", "web7", "approve", &id]).assert().success();
    wait_for("its end", || fleet.is_over(6, &id));
}

#[test]
fn a_job_that_is_denied_says_by_whom_and_why() {
    let fleet = Fleet::new(2, "hold");
    fleet.trust(&fleet.tentacles[1], "hold set=A=1");
    let script = fleet.ci.sandbox.write("hello", "#!/bin/sh\necho hello\n");
    let id = fleet.ask(&[&script.display().to_string()]);
    // What differs stands apart, and a script once.
    let shown = stdout_of(&mut fleet.ann.push(&["-a", "show", &id]));
    assert!(shown.contains("=== web1 ===\n") && shown.contains("=== web2 ===\n"), "{shown}");
    assert_eq!(shown.matches("  echo hello\n").count(), 1, "{shown}");
    assert!(shown.contains("the script is the one above\n"), "{shown}");
    let deny = ["-a", "deny", &id, "not", "on", "friday"];
    fleet.ann.push(&deny).assert().success().stdout(contains("web2: denied\n"));
    let said = "denied by ann: not on friday";
    fleet.ci.push(&["-a", "follow", &id]).assert().code(77).stderr(contains(said));
    fleet.ann.push(&deny).assert().code(65).stderr(contains("waits for approval on none"));
    fleet.ann.push(&["-a", "held"]).assert().success().stdout("");
    fleet.ann.push(&["-a", "deny", &id, "a\x1b[2J"]).assert().code(64);
}

/// A tentacle that shows what nobody has signed gets no approval.
#[test]
fn what_is_shown_is_verified_before_it_is_believed() {
    let fleet = Fleet::new(1, "hold");
    let script = fleet.ci.sandbox.write("hello", "#!/bin/sh\necho hello\n");
    let script = script.display().to_string();
    let id = fleet.ask(&[&script]);
    let other = fleet.ask(&["-c", "echo evil"]);
    let job = |id: &str, name: &str| fleet.tentacles[0].state.join("jobs").join(id).join(name);
    let show = |said: &str| {
        for verb in ["show", "approve"] {
            let assert = fleet.ann.push(&["-a", verb, &id]).assert();
            assert.code(65).stderr(contains(said.to_string()));
        }
        assert!(fleet.file(0, &id, "approved").is_empty());
    };
    // The certificate of somebody else, as an order of his has it.
    let denied = fleet.ask(&["-c", "true"]);
    fleet.ann.push(&["-a", "deny", &denied]).assert().success();
    let orders = fleet.tentacles[0].jobs().into_iter();
    let mut orders = orders.filter(|job| {
        std::fs::read_to_string(job.join("spec")).is_ok_and(|spec| spec.starts_with("deny "))
    });
    let foreign = orders.next().expect("an order").join("request.crt");
    let foreign = std::fs::read(foreign).expect("a certificate");
    for (name, bytes, said) in [
        ("spec", std::fs::read(job(&other, "spec")).expect("spec"), "another spec"),
        ("script", b"#!/bin/sh\necho evil\n".to_vec(), "not the one that was signed"),
        ("request", std::fs::read(job(&other, "request")).expect("request"), "not by the key"),
        ("request.sig", vec![0; 64], "not by the key"),
        ("request.crt", foreign, "not by the key"),
        ("request.crt", b"x".to_vec(), "certificate can't be used"),
    ] {
        let path = job(&id, name);
        let right = std::fs::read(&path).expect(name);
        set_mode(&path, 0o640);
        std::fs::write(&path, bytes).expect(name);
        show(said);
        std::fs::write(&path, right).expect(name);
    }
    // All of another job: signed, and not for this.
    for name in ["spec", "request", "request.sig"] {
        std::fs::copy(job(&other, name), job(&id, name)).expect(name);
    }
    show("about another job");
}

/// What a job will read is a part of what is approved, and is shown as its pusher signed it.
#[test]
fn what_a_held_job_will_read_is_shown_and_approved() {
    let fleet = Fleet::new(1, "hold");
    fleet.ci.sandbox.write("input", "DELETE FROM t;\x1b[1m\n");
    fleet.ci.sandbox.write("text", "a\tb\nDELETE FROM t;\n");
    let id = fleet.ask(&["--stdin", "input", "-c", "cat"]);
    let shown = stdout_of(&mut fleet.ann.push(&["-a", "show", &id]));
    assert!(shown.contains("the standard input is no short text, and not shown"), "{shown}");
    let id = fleet.ask(&["--stdin", "text", "-c", "cat"]);
    let local = stdout_of(&mut fleet.local(&["show", &id]));
    let shown = stdout_of(&mut fleet.ann.push(&["-a", "show", &id]));
    let digest = octo_core::Digest::of(b"a\tb\nDELETE FROM t;\n");
    assert!(shown.contains(&format!("standard input, 19 bytes, sha256 {digest}\n")), "{shown}");
    for shown in [&local, &shown] {
        assert!(shown.contains("the standard input:\n  a\tb\n  DELETE FROM t;\n"), "{shown}");
    }
    // A listener that shows another one is found out.
    let path = fleet.tentacles[0].state.join("jobs").join(&id).join("stdin");
    set_mode(&path, 0o600);
    std::fs::write(&path, "harmless\n").expect("write");
    let ended = fleet.ann.push(&["-a", "show", &id]).assert().code(65);
    ended.stderr(contains("its standard input is not the one that was signed"));
    // What was signed is approved, and that is not what is there.
    fleet.ann.push(&["-a", "approve", &id]).assert().success();
    wait_for("its end", || fleet.is_over(0, &id));
    let end = fleet.file(0, &id, "end");
    assert!(end.contains("not%20that%20of%20the%20spec"), "{end}");
    assert!(!path.exists());
}
