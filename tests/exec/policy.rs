//! octo-exec job: decides for itself, whoever published the job.

use crate::jobs::{Draft, end, own_user, places, submit, trust};
use crate::sandbox;
use crate::support::{
    Sandbox, is_root, kill_session_of, session_of, set_mode, stdout_of, wait_for,
};
use octo_core::PusherName;
use octo_core::base::encoding::encode;
use octo_core::base::record::Record;
use octo_core::tentacle::account;
use octo_core::tentacle::job::{End, EndKind, JobDirectory};
use octo_core::tentacle::layout;
use predicates::prelude::*;
use predicates::str::contains;
use rustix::process::geteuid;
use std::os::unix::fs::MetadataExt;

#[test]
fn it_believes_the_trust_file_and_nothing_else() {
    let sandbox = sandbox();
    let user = own_user();
    let mark = sandbox.path("ran");
    let spec = format!("command touch%20{}\n", mark.display());
    for (options, kind, code) in [
        (format!("user={user} allow=status"), "denied", 77),
        (format!("user={user} from=192.168.0.0/16"), "denied", 77),
        (format!("user={user} expires=2020-01-01"), "denied", 77),
        (format!("user={user} scripts={}", sandbox.path("none").display()), "denied", 77),
        (format!("user={user} nonsense"), "denied", 75),
        ("user=no-such-user-here".to_string(), "denied", if geteuid().is_root() { 78 } else { 77 }),
    ] {
        trust(&sandbox, &options);
        let (was, with, reason) = end(&submit(&sandbox, &spec));
        assert_eq!((was.as_str(), with), (kind, code), "{options}: {reason}");
        assert!(!mark.exists(), "{options}");
    }
    std::fs::remove_file(sandbox.config("trusted")).expect("remove");
    assert_eq!(end(&submit(&sandbox, &spec)).1, 75);
    assert!(!mark.exists());
    trust(&sandbox, &format!("user={user} from=10.0.0.0/8 set=APP=shop"));
    assert_eq!(end(&submit(&sandbox, &spec)).0, "exit");
    assert!(mark.exists());
}

#[test]
fn the_sysadmins_variables_and_limits_win() {
    let sandbox = sandbox();
    let user = own_user();
    let line = format!("user={user} set=BASE=/srv/a set=OCTO_APPS=shop max-log=4K");
    // What octo-exec says of itself is not the sysadmin's to say.
    trust(&sandbox, &format!("{line} set=OCTO_EXEC=/none set=OCTO_SECRETS=NONE"));
    let job = submit(&sandbox, "command test%20-x%20%24OCTO_EXEC%3Becho%20%24%3F%24OCTO_SECRETS\n");
    assert_eq!(std::fs::read(job.file("log")).expect("log"), b"0\n");
    trust(&sandbox, &line);
    let job = submit(
        &sandbox,
        "command echo%20%24BASE%20%24OCTO_APPS%20%24OCTO_PUSHER%20%24OCTO_VARIABLES
env OTHER x
",
    );
    assert_eq!(
        std::fs::read(job.file("log")).expect("log"),
        b"/srv/a shop ci OTHER
"
    );
    let job = submit(&sandbox, "command head%20-c%2010000%20/dev/zero\n");
    let record = job.end().expect("readable").expect("an end");
    let index = job.file("index").metadata().expect("an index").len();
    assert!(record.truncated && record.log + index <= 4096, "{record:?}");
    assert!(record.log > 4000, "{record:?}");
    trust(&sandbox, &format!("{line} timeout=1s"));
    let job = submit(&sandbox, "command sleep%2060\ntimeout 3600\ngrace 1\n");
    assert_eq!(end(&job).0, "timeout");
}

/// Whoever published the job: a listener that was taken over says yes to all.
#[test]
fn no_package_starts_without_the_signature_that_its_line_asks_for() {
    let sandbox = sandbox();
    let user = own_user();
    let package = sandbox.write("p", "a package\n");
    let digest = stdout_of(sandbox.tool("octo-exec").arg("add").arg(&package));
    let spec = format!("command cat%20%24OCTO_PACKAGE\npackage {} p\n", digest.trim());
    let keys = sandbox.write("keys", "RWSh9i/Rj3mXqkAk2CooRaUOD26U1KmbaohHqygUSffpRo4h+rYBY1dZ\n");
    set_mode(&keys, 0o644);
    let line = format!("user={user} allow=any");
    trust(&sandbox, &format!("{line} signed={}", keys.display()));
    // Of these bytes, and of others.
    let good = "RUSh9i/Rj3mXqk0uBytlTBnZ91YT7fqYLZC2F+d7TP1pbm2yGAnIiJM5bGCRVzX/yeDhFFd02OgaqCEoVHi4p0d8ELIBdg0OegA=\n\
        trusted comment: file:other-9.9.tar timestamp:0\n\
        8xEZz95vgndbLckobw27S5ywObauuKzHKMXha5aMvvOePLdwRtphM3GbIGWlFC2E3OHurWARF/pPWNX3Xzr7Dw==\n";
    let bad = "RUSh9i/Rj3mXqjCCistu2X1JWnCwunCG8ipo2dAuo3eZ/Ybbe5ypr82st51QBNUUTDLfqkfiOdw9l933SuYsU0TnzYRndxnaZAY=\n\
        trusted comment: of Q\n\
        EiGkAgupiJGn6eRtMRh/LQYjTz65Qorr7u3X3Qg0an2Jjj5T0qjWohl+6x3eWikFoRtK6zhurzLwxvKcyhY6Cg==\n";
    let signed = |lines: &str| {
        let lines = format!("untrusted comment: x\n{lines}");
        format!("{spec}signature {}\n", encode(lines.as_bytes()))
    };
    for (spec, kind, code, said) in [
        (spec.clone(), "denied", 77, "package p carries no signature"),
        (signed(bad), "denied", 77, "package p: its signature by key AA97798FD12FF6A1 of "),
        (signed(good), "exit", 0, ""),
    ] {
        let job = submit(&sandbox, &spec);
        let (was, with, reason) = end(&job);
        assert_eq!((was.as_str(), with), (kind, code), "{reason}");
        assert!(reason.starts_with(said), "{reason}");
        assert_eq!(job.file("started").exists(), code == 0);
    }
    // Who has no such line needs none.
    trust(&sandbox, &line);
    assert_eq!(end(&submit(&sandbox, &spec)).1, 0);
}

/// A listener may have said yes to anything, or may be an older one.
#[test]
fn variables_are_judged_where_the_job_starts() {
    let sandbox = sandbox();
    let script = sandbox.write("scripts/show", "#!/bin/sh\necho \"$A $B\"\n");
    set_mode(&script, 0o755);
    let scripts = format!("scripts={}", sandbox.path("scripts").display());
    let given = "env A 1\nenv B 2\n";
    for (options, spec, code, said) in [
        (scripts.clone(), given, 77, "may not set A, B: its line has scripts= without env="),
        (format!("{scripts} env=A"), given, 77, "may not set B: env= of its line"),
        (format!("{scripts} env="), given, 77, "may not set A, B: env= of its line"),
        (format!("{scripts} env=* set=B=3"), given, 77, "may not set B: set= of its line does"),
        (
            format!("{scripts} env=*"),
            "env A 1\nenv node_options x\n",
            77,
            "node_options is refused",
        ),
        (format!("{scripts} env=*"), "env PATH /x\nenv IFS x\n", 77, "PATH, IFS are refused"),
        (format!("{scripts} env=A,B*"), given, 0, ""),
    ] {
        trust(&sandbox, &format!("user={} {options}", own_user()));
        let job = submit(&sandbox, &format!("name show\n{spec}"));
        let (_, with, reason) = end(&job);
        assert_eq!(with, code, "{options}: {reason}");
        assert!(reason.contains(said), "{options}: {reason}");
    }
}

/// What does not fit is said, and costs nothing else its place.
#[test]
fn artifacts_are_kept_within_the_bounds_of_the_line() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} max-size=1M max-store=3M", own_user()));
    let artifacts_of = |script: &str| {
        let spec = format!("command {}\n", encode(script.as_bytes()));
        let job = submit(&sandbox, &spec);
        let (kind, code, reason) = end(&job);
        assert_eq!((kind.as_str(), code), ("exit", 0), "{reason}");
        let kept = job.file("artifacts").read_dir().expect("artifacts").flatten();
        let names = kept.map(|entry| entry.file_name().into_string().expect("UTF-8"));
        (std::collections::BTreeSet::from_iter(names), reason)
    };
    // One that is larger than each may be, though it would be the only one.
    let (kept, reason) = artifacts_of(
        "cd $OCTO_ARTIFACTS; head -c 1048577 /dev/zero >large; head -c 1048576 large >fits",
    );
    assert_eq!(kept, ["fits".to_string()].into());
    assert!(reason.contains("its artifact large is not kept: 1.0 MiB is too large"), "{reason}");
    // One more than all may be, with what the job before has left: whichever comes last.
    // A hole counts as what it could be filled with.
    let (kept, reason) =
        artifacts_of("cd $OCTO_ARTIFACTS; for name in a b; do truncate -s 1000000 $name; done");
    let not_kept = if kept.contains("a") { "b" } else { "a" };
    assert_eq!(kept.len(), 1, "{kept:?}");
    let said =
        format!("its artifact {not_kept} is not kept: 976.6 KiB is more than is left of max-store");
    assert!(reason.contains(&said), "{said}: {reason}");
    // A crowd is named in part: this is on record, and goes to everybody who follows.
    let (kept, reason) =
        artifacts_of("cd $OCTO_ARTIFACTS; echo x >x; for n in $(seq 30); do mkdir d$n; done");
    assert_eq!(kept, ["x".to_string()].into());
    assert_eq!(reason.matches("is not kept: it is not a regular file").count(), 20, "{reason}");
}

/// Whoever settles it has not decided about it: what it may leave is on record.
#[test]
fn a_lost_jobs_artifacts_keep_to_the_bounds_of_its_line() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} max-size=1M max-store=20M", own_user()));
    let mark = sandbox.path("mark");
    let script = format!(
        "cd $OCTO_ARTIFACTS; truncate -s 1048577 large; echo x >fits; touch {}; sleep 300",
        mark.display()
    );
    let spec = format!("command {}\n", encode(script.as_bytes()));
    let job = Draft::pushed(&spec).publish(&sandbox);
    let forward = || {
        let mut command = sandbox.tool("octo-exec");
        command.arg("job").arg(job.path());
        command
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| forward().output());
        wait_for("its artifacts", || mark.exists());
        kill_session_of(job.path());
        let _ = running.join();
    });
    forward().assert().success();
    let (kind, _, reason) = end(&job);
    assert_eq!(kind, "lost", "{reason}");
    assert!(reason.contains("its artifact large is not kept: 1.0 MiB is too large"), "{reason}");
    assert!(job.file("artifacts/fits").exists() && !job.file("artifacts/large").exists());
}

/// Killed while it kept them: what it had claimed for that is its own, and in nobody's way.
#[test]
fn a_claim_that_a_killed_keeper_left_costs_no_artifact() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={}", own_user()));
    let job = Draft::pushed("command true\n").publish(&sandbox);
    let before = Record::new()
        .with("boot", "00000000-0000-4000-8000-000000000000")
        .with("session", 1)
        .with("ticks", 1);
    job.publish_record("started", &before).expect("started");
    let grant = Record::new().with("name", "ci").with("max-store", "5M");
    job.publish_record("grant", &grant).expect("grant");
    for (directory, file) in [("made", "a"), ("made", "b"), (".octo-tmp-staged", "a")] {
        std::fs::create_dir_all(job.file(directory)).expect("mkdir");
        std::fs::write(job.file(directory).join(file), file).expect("write");
    }
    let claim = std::fs::File::create(job.file(".octo-tmp-claim")).expect("create");
    claim.set_len(5 << 20).expect("a hole");
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert_eq!(end(&job), ("lost".into(), 71, "the machine was restarted under it".into()));
    for name in ["a", "b"] {
        let kept = std::fs::read_to_string(job.file("artifacts").join(name));
        assert_eq!(kept.expect("kept"), name);
    }
    let entries = job.path().read_dir().expect("a job").flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert!(names.all(|name| name != "made" && !name.starts_with(".octo-tmp-")));
}

/// A job of this script, whose pusher's account is locked until this is done. With its end.
fn while_its_account_is_locked(
    sandbox: &Sandbox,
    script: &str,
    meanwhile: impl FnOnce(&JobDirectory),
) -> (JobDirectory, End) {
    let spec = format!("command {}\n", encode(script.as_bytes()));
    let job = Draft::pushed(&spec).publish(sandbox);
    std::thread::scope(|scope| {
        let ci = PusherName::parse("ci").expect("a name");
        let locked = account::lock(&places(sandbox), &ci).expect("locked");
        let mut command = sandbox.tool("octo-exec");
        command.arg("job").arg(job.path());
        let running = scope.spawn(move || drop(command.assert().success()));
        meanwhile(&job);
        drop(locked);
        running.join().expect("it ran");
    });
    let end = job.end().expect("readable").expect("an end");
    (job, end)
}

/// Another job of the same pusher may be published slowly: who watches over this one asks
/// for room in its account, and does not wait.
#[test]
fn a_time_limit_holds_while_there_is_no_word_on_room_for_output() {
    // All the rest is more than a pipe holds: it waits.
    let script = "head -c 100 /dev/zero; : >mark; head -c 300000 /dev/zero; sleep 600";
    let is_over = |job: &JobDirectory| wait_for("its end", || job.file("end").exists());
    let within = |seconds: u32| {
        let sandbox = sandbox();
        trust(&sandbox, &format!("user={} timeout={seconds}s", own_user()));
        let (job, end) = while_its_account_is_locked(&sandbox, script, is_over);
        // Else it was over before it had begun.
        job.file("work/mark").exists().then_some((sandbox, job, end))
    };
    let tried = [1, 4, 16, 64].into_iter().find_map(within);
    let (_sandbox, job, end) = tried.expect("one that printed");
    let reason = end.reason.unwrap_or_default();
    assert_eq!(end.kind, EndKind::Timeout, "{reason}");
    assert!(reason.contains("output was lost: log: its pusher's account is in use"), "{reason}");
    assert!(end.truncated);
    assert_eq!((end.log, job.file("log").metadata().expect("a log").len()), (0, 0));
}

#[test]
fn output_that_waited_for_its_room_is_whole() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={}", own_user()));
    let is_kept_back = |job: &JobDirectory| {
        let lock = layout::lock_path(&places(&sandbox), "account-ci").canonicalize();
        let lock = lock.expect("a lock");
        let is_asking = || {
            let session = session_of(job.path()).map_or(0, |session| session.as_raw_pid());
            let open = std::fs::read_dir(format!("/proc/{session}/fd")).into_iter().flatten();
            let mut open = open.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
            open.any(|file| file == lock)
        };
        wait_for("a question for room", is_asking);
        wait_for("no answer", || !is_asking());
    };
    let script = "echo first; seq 100000; exit 3";
    let (job, end) = while_its_account_is_locked(&sandbox, script, is_kept_back);
    assert_eq!((end.kind, end.reason, end.truncated), (EndKind::Exit(3), None, false));
    let log = std::fs::read_to_string(job.file("log")).expect("a log");
    let lines: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(log == format!("first\n{lines}") && end.log == log.len() as u64, "{}", log.len());
}

#[test]
fn installed_scripts_are_named_and_cant_be_escaped() {
    let sandbox = sandbox();
    let script = sandbox.write("scripts/hello", "#!/bin/sh\necho \"hello $1 $OCTO_NAMED\"\n");
    set_mode(&script, 0o755);
    sandbox.write("secret", "echo no");
    let directory = sandbox.path("scripts");
    trust(&sandbox, &format!("user={} scripts={}", own_user(), directory.display()));
    let job = submit(&sandbox, "name hello\narg you\n");
    assert_eq!(std::fs::read(job.file("log")).expect("log"), b"hello you 1\n");
    for (spec, code) in [("name nothing\n", 65), ("command id\n", 77), ("name .hidden\n", 77)] {
        assert_eq!(end(&submit(&sandbox, spec)).1, code, "{spec}");
    }
    // A link out of the directory is as good as what it leads to.
    std::os::unix::fs::symlink("../secret", directory.join("link")).expect("symlink");
    set_mode(&sandbox.path("secret"), 0o666);
    assert_eq!(end(&submit(&sandbox, "name link\n")).1, 78);
    set_mode(&sandbox.path("secret"), 0o644);
    assert_eq!(end(&submit(&sandbox, "name link\n")).0, "exit");
    set_mode(&directory, 0o777);
    assert_eq!(end(&submit(&sandbox, "name hello\n")).1, 78);
}

#[test]
fn jobs_run_as_the_user_of_their_line_and_no_more() {
    if !is_root("jobs_run_as_the_user_of_their_line_and_no_more") {
        return;
    }
    let sandbox = sandbox();
    set_mode(&sandbox.path(""), 0o711);
    trust(&sandbox, "user=nobody");
    let secret = sandbox.write("secret", "x");
    set_mode(&secret, 0o600);
    let script = format!(
        "id -un; id -G; cat {0} 2>&1 | grep -c denied; cat $OCTO_OUTPUT && echo V=1 >>$OCTO_OUTPUT; \
         touch ../end ../log ../grant 2>/dev/null || echo no; echo x >../log; grep NoNewPrivs /proc/self/status; echo $HOME; pwd -P >/dev/null && echo here",
        secret.display()
    );
    let spec = format!("command {}\n", encode(script.as_bytes()));
    let job = submit(&sandbox, &spec);
    let log = std::fs::read_to_string(job.file("log")).expect("log");
    let groups = stdout_of(assert_cmd::Command::new("id").args(["-G", "nobody"]));
    assert!(log.starts_with(&format!("nobody\n{groups}1\n")), "{log}");
    assert!(
        log.contains("no\n") && log.contains("NoNewPrivs:\t1") && log.contains("here\n"),
        "{log}"
    );
    assert_eq!(end(&job).0, "exit");
    assert_eq!(std::fs::read(job.file("outputs")).expect("outputs"), b"V=1\n");
    let metadata = job.path().metadata().expect("stat");
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o751));
    assert_eq!(job.file("end").metadata().expect("stat").uid(), 0);
}

#[test]
fn an_audit_that_cant_be_written_lets_nothing_start() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={}", own_user()));
    std::fs::create_dir_all(sandbox.state("audit.log")).expect("mkdir");
    let mark = sandbox.path("ran");
    let job = Draft::pushed(&format!("command touch%20{}\n", mark.display())).publish(&sandbox);
    sandbox.tool("octo-exec").arg("job").arg(job.path()).output().expect("run");
    assert_eq!(end(&job).0, "denied");
    assert!(!mark.exists());
    let mut run = sandbox.tool("octo-exec");
    run.args(["run", "-c", "echo ran"]).assert().stdout("").stderr(contains("audit.log")).failure();
    assert!(predicate::path::missing().eval(&mark));
}

#[test]
fn names_of_variables_that_no_list_can_hold_keep_no_job_from_starting() {
    let sandbox = sandbox();
    let name = |number: usize| format!("N{number:0>99}=");
    let file = sandbox.write("vars", (0..1500).map(|n| name(n) + "\n").collect::<String>());
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-E"]).arg(&file).args(["-c", "echo \"$OCTO_VARIABLES\""]);
    let said = stdout_of(&mut command);
    // As many as are whole, and that there are more.
    assert!((16_200..=16_385).contains(&said.len()), "{}", said.len());
    let (names, more) = said.rsplit_once(' ').expect("a list");
    assert_eq!(more, "...\n");
    assert!(names.split(' ').all(|name| name.len() == 100), "{names}");
}
