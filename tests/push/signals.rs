//! Ctrl-C cancels, and waits for the tentacle's word; a second one leaves; a
//! closed terminal leaves the job running.

use crate::fault_proxy::{FaultProxy, Faults, Plan};
use crate::support::stdout_of;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

/// A run that has begun: its first line was read.
struct Begun {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
}

fn begin(mut command: std::process::Command) -> Begun {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let err = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert!(line.ends_with("begun\n"), "{line:?}");
    Begun { child, out, err }
}

impl Begun {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("kill");
    }

    /// Waits for a line on standard error that holds this.
    fn wait_for(&mut self, said: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let count = self.err.read_line(&mut line).expect("a line");
            assert!(count > 0, "standard error ended without {said:?}");
            if line.contains(said) {
                return line;
            }
        }
    }

    fn finish(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).expect("the rest");
        self.err.read_to_string(&mut err).expect("the rest");
        (self.child.wait().expect("wait").code(), out, err)
    }
}

/// Says that it has begun, then waits for a file `go`.
fn waits(octopus: &Octopus, then: &str) -> String {
    let go = octopus.sandbox.path("go");
    format!("echo begun; while ! test -e {}; do sleep 0.05; done; {then}", go.display())
}

fn job(web1: &Tentacle) -> String {
    web1.jobs()[0].file_name().expect("a name").to_string_lossy().into_owned()
}

/// A flood may cut the handshake of the cancel, too.
#[test]
fn a_cancel_whose_handshake_is_cut_is_tried_again() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let proxy = FaultProxy::start(&web1.address);
    octopus.set_targets(&format!("{}\n", web1.line_at(&proxy.address.to_string(), "web")));
    let begun = begin(octopus.start(&["-t", "web1", "run", "-c", &waits(&octopus, "exit 3")]));
    let down = Faults { cut_at: Some(0), ..Faults::default() };
    proxy.next(Plan { down, ..Plan::default() });
    begun.signal(Signal::INT);
    crate::support::wait_for("another try", || proxy.accepted() >= 3);
    let (code, _, err) = begun.finish();
    assert_eq!(code, Some(130), "{err}");
}

#[test]
fn the_first_ctrl_c_cancels_and_waits() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let command = format!("trap 'echo cleaned up; exit 1' TERM; {}", waits(&octopus, ""));
    let mut begun = begin(octopus.start(&["-t", "web1", "run", "--end", "end", "-c", &command]));
    begun.signal(Signal::INT);
    begun.wait_for("asked to cancel");
    let (code, out, err) = begun.finish();
    assert_eq!(code, Some(130), "{err}");
    assert_eq!(out, "cleaned up\n");
    assert!(err.contains("web1: cancelled"), "{err}");
    let end = std::fs::read_to_string(octopus.sandbox.path("end")).expect("an end file");
    assert!(end.contains("kind cancelled\n") && end.contains("origin tentacle\n"), "{end}");
    octopus.push(&["follow", &job(&web1)]).assert().code(130);
}

#[test]
fn the_second_ctrl_c_leaves_at_once() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let command = format!("trap '' TERM; {}", waits(&octopus, "exit 6"));
    let mut begun = begin(octopus.start(&["-t", "web1", "run", "-k", "60s", "-c", &command]));
    begun.signal(Signal::INT);
    begun.wait_for("asked to cancel");
    begun.signal(Signal::INT);
    let (code, _, err) = begun.finish();
    assert_eq!(code, Some(79), "{err}");
    assert!(err.contains(&format!("octo-push follow {}", job(&web1))), "{err}");
    std::fs::write(octopus.sandbox.path("go"), "").expect("write");
    // Whether the tentacle was still asked in between is left open.
    let ended = octopus.push(&["follow", &job(&web1)]).output().expect("runs").status.code();
    assert!(matches!(ended, Some(6 | 130)), "{ended:?}");
}

#[test]
fn a_closed_terminal_leaves_the_job_running() {
    for signal in [Signal::HUP, Signal::TERM] {
        let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
        let command = waits(&octopus, "echo done; exit 6");
        let begun = begin(octopus.start(&["-t", "web1", "run", "-c", &command]));
        begun.signal(signal);
        let (code, _, err) = begun.finish();
        assert_eq!(code, Some(79), "{err}");
        assert!(err.contains("left while it runs"), "{err}");
        std::fs::write(octopus.sandbox.path("go"), "").expect("write");
        octopus.push(&["follow", &job(&web1)]).assert().code(6).stdout(contains("done\n"));
    }
}

/// What it was about to ask for is in the journal before it asks.
#[test]
fn one_that_was_killed_is_followed_by_the_jobs_id_alone() {
    let (mut octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let _web2 = octopus.tentacle("web2", "web");
    let command = format!("echo x >$OCTO_ARTIFACTS/made; {}", waits(&octopus, "exit 6"));
    let mut begun = begin(octopus.start(&["-t", "web1", "run", "-c", &command]));
    begun.child.kill().expect("kill");
    begun.child.wait().expect("wait");
    let journal = stdout_of(&mut octopus.push(&["journal"]));
    assert_eq!(journal.lines().count(), 1, "{journal}");
    assert!(journal.contains(" run web1 begun - job="), "{journal}");
    let job = journal.split("job=").nth(1).and_then(|rest| rest.split(' ').next());
    let job = job.expect("an id");
    // It has no result: a run that may be at work is not the last one that failed.
    octopus.push(&["-t", "failed:LAST", "status"]).assert().code(65).stderr(contains("on record"));
    std::fs::write(octopus.sandbox.path("go"), "").expect("write");
    octopus.push(&["follow", job]).assert().code(6).stdout("begun\n");
    octopus.push(&["get", job]).assert().success().stdout("web1: made 2\n");
    octopus.push(&["cancel", job]).assert().success();
    octopus.push(&["-t", "failed:LAST", "-n", "status"]).assert().stdout(contains("web1"));
}

/// Those of its batch that it never came to are named too, and their ends recorded.
#[test]
fn one_that_leaves_says_what_has_not_begun() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let tentacles = ["web1", "web2", "web3"].map(|name| octopus.tentacle(name, "web"));
    let command = waits(&octopus, "");
    let arguments = ["-f", "1", "-a", "--batch", "3", "run", "-c", &command];
    let begun = begin(octopus.start(&arguments));
    begun.signal(Signal::TERM);
    let (code, _, err) = begun.finish();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("web[2,3]: left before it began"), "{err}");
    assert!(err.contains("end unknown: web1\n"), "{err}");
    assert!(err.contains("0 of 3 succeeded, 1 unknown\n"), "{err}");
    assert!(err.contains("not begun: web[2,3]\n"), "{err}");
    let id = job(&tentacles[0]);
    std::fs::write(octopus.sandbox.path("go"), "").expect("write");
    // Nobody asked them: they are none of the job's targets.
    octopus.push(&["follow", &id]).assert().success().stdout("begun\n");
}

#[test]
fn what_its_starter_ignores_it_ignores() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let command = waits(&octopus, "exit 6");
    let inner = octopus.start(&["-t", "web1", "run", "-c", &command]);
    let mut nohup = std::process::Command::new("sh");
    nohup.args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\""]).arg(inner.get_program());
    nohup.args(inner.get_args()).env_clear();
    for (name, value) in inner.get_envs() {
        nohup.env(name, value.expect("a value"));
    }
    let begun = begin(nohup);
    begun.signal(Signal::HUP);
    begun.signal(Signal::INT);
    std::fs::write(octopus.sandbox.path("go"), "").expect("write");
    let (code, _, err) = begun.finish();
    assert_eq!(code, Some(6), "{err}");
}

#[test]
fn ctrl_c_drops_what_has_not_begun() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let tentacles = ["web1", "web2", "web3"].map(|name| octopus.tentacle(name, "web"));
    let command = waits(&octopus, "");
    let mut begun = begin(octopus.start(&["-f", "1", "-a", "run", "-c", &command]));
    begun.signal(Signal::INT);
    begun.wait_for("asked to cancel");
    let (code, _, err) = begun.finish();
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("web[2,3]: cancelled before it began"), "{err}");
    assert!(err.contains("0 of 3 succeeded"), "{err}");
    assert!(tentacles[1].jobs().is_empty() && tentacles[2].jobs().is_empty());
    octopus
        .push(&["-a", "status"])
        .assert()
        .success()
        .stdout(contains("web1").and(contains("web3")));
}

#[test]
fn an_octo_push_that_is_killed_harms_no_job() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let command = waits(&octopus, "echo done; exit 6");
    let mut begun = begin(octopus.start(&["-t", "web1", "run", "-c", &command]));
    begun.child.kill().expect("kill");
    begun.child.wait().expect("wait");
    std::fs::write(octopus.sandbox.path("go"), "").expect("write");
    // It was written down before it was sent: the id alone finds its targets.
    octopus.push(&["follow", &job(&web1)]).assert().code(6).stdout("begun\ndone\n");
}

#[test]
fn a_cancelled_rollout_tells_what_it_began_from_what_it_did_not() {
    let (mut octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let web2 = octopus.tentacle("web2", "web");
    let web3 = octopus.tentacle("web3", "web");
    let command = waits(&octopus, "");
    // The last batch: nothing is pending behind it.
    let arguments = ["-a", "-f", "1", "--batch", "3", "run", "-c", &command];
    let mut begun = begin(octopus.start(&arguments));
    begun.signal(Signal::INT);
    begun.wait_for("asked to cancel");
    let (code, _, err) = begun.finish();
    assert_eq!(code, Some(130), "{err}");
    for part in ["rollout stopped: cancelled", "failed: web1\n", "not begun: web[2,3]\n"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(err.contains("hint: to continue: octo-push -a -f 1 --batch 3 run -j "), "{err}");
    assert!(web2.jobs().is_empty() && web3.jobs().is_empty());
}
