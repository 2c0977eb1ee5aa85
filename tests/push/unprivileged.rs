//! A listener without privileges: root hands it the key and the port, octo-exec serve
//! starts the jobs, and they run as the user of their trust line, whoever listens.

use crate::separated::Separated;
use crate::support::{NOBODY, is_root};
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use predicates::str::contains;
use std::os::unix::fs::MetadataExt;

#[test]
fn jobs_run_as_another_user_for_a_listener_without_privileges() {
    if !is_root("jobs_run_as_another_user_for_a_listener_without_privileges") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, "allow=any user=daemon");
    let tentacle = &separated.tentacle;
    let line = |options: &str| format!("{} octopus allow=any {options}\n", octopus.thumbprint);

    let run = |command: &str| octopus.push(&["-t", "web1", "run", "-c", command]);
    run("id -un; id -Gn").assert().success().stdout("daemon\ndaemon\n");
    // It was started by root, and still gains nothing: nor does it reach its record.
    run("grep NoNewPrivs /proc/self/status").assert().stdout("NoNewPrivs:\t1\n");
    let tries = "cd .. && for f in spec grant started lock log new; do
        { echo x >>\"$f\"; } 2>/dev/null && echo \"wrote $f\"; cat \"$f\" 2>/dev/null; done; true";
    run(tries).assert().success().stdout("");
    let status = std::fs::read_to_string(format!("/proc/{}/status", separated.listening.id()));
    let uids = format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n");
    assert!(status.expect("status").contains(&uids));
    let jobs = tentacle.jobs();
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        let metadata = job.metadata().expect("stat");
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o751), "{}", job.display());
    }

    // The listener may ask for the end of what it may not touch.
    let id = "20260101T000000-aaaaaaaaaaaaa";
    let detached = ["-t", "web1", "run", "-D", "-j", id, "-c", "sleep 300"];
    octopus.push(&detached).assert().success();
    octopus.push(&["-t", "web1", "cancel", id]).assert().success();
    octopus.push(&["-t", "web1", "follow", id]).assert().code(130).stderr(contains("cancelled"));

    // Who decides is the trust file, not who listens; what the listener may never gain,
    // a job still may.
    tentacle.set_trusted(&line("user=no-such-user"));
    run("true").assert().failure().stderr(contains("no-such-user"));
    tentacle.set_trusted(&line("user=root sudo"));
    let gains = "id -un; grep NoNewPrivs /proc/self/status";
    run(gains).assert().success().stdout("root\nNoNewPrivs:\t0\n");
}
