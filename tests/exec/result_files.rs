//! Files that tell what came of a run: untouched until it is permitted, of no older
//! run from then on, and refused before it where they could not be written. And the
//! artifacts that a job leaves: whole, durable, and told truly.

use crate::jobs::{end, own_user, places, submit, trust};
use crate::support::{
    NOBODY, Sandbox, SmallDisk, can_trace, impossible, is_root, kill_session_of, set_mode, wait_for,
};
use assert_cmd::Command;
use octo_core::base::encoding::encode;
use octo_core::tentacle::job::JobDirectory;
use predicates::str::contains;
use rustix::process::geteuid;
use std::process::Stdio;

const OLD: &str = "kind exit\ncode 0\n";
const TAKEN: &str = "20260101T000000-abcdefghijklm";

/// A directory in which `end` and `outputs` are of an older run.
fn sandbox() -> Sandbox {
    let sandbox = crate::sandbox();
    for name in ["end", "outputs"] {
        sandbox.write(name, OLD);
    }
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.tool("octo-exec");
    command.arg("run").args(arguments);
    command
}

fn read(sandbox: &Sandbox, name: &str) -> String {
    std::fs::read_to_string(sandbox.path(name)).unwrap_or_else(|e| format!("{name}: {e}"))
}

#[test]
fn a_command_line_that_is_refused_leaves_every_file_as_it_was() {
    let sandbox = sandbox();
    sandbox.write("readable", "A=b\n");
    set_mode(&sandbox.path("readable"), 0o644);
    set_mode(&sandbox.write("private", "A=b\n"), 0o600);
    sandbox.write("large", format!("A={}\n", "x".repeat(200_000)));
    run(&sandbox, &["-j", TAKEN, "-c", "true"]).assert().success();
    let nothing = "0".repeat(64);
    for (arguments, code) in [
        (&[][..], 64),
        (&["--no-such-option", "-c", "true"], 64),
        (&["-T", "soon", "-c", "true"], 64),
        (&["-S", "-", "-"], 64),
        (&["-e", "LD_PRELOAD=x", "-c", "true"], 77),
        (&["nothing.sh"], 65),
        (&["-E", "nothing.env", "-c", "true"], 65),
        (&["-S", "readable", "-c", "true"], 78),
        (&["-S", "private", "-e", "A=c", "-c", "true"], 65),
        (&["-p", &nothing, "-c", "true"], 65),
        (&["-p", "nothing.tar", "-c", "true"], 65),
        (&["-E", "large", "-c", "true"], 77),
        // The id is another job's.
        (&["-j", TAKEN, "-c", "false"], 65),
        (&["--help"], 0),
    ] {
        let ends = ["--end", "end", "--outputs", "outputs"];
        let said = run(&sandbox, &[&ends[..], arguments].concat()).assert().code(code);
        for name in ["end", "outputs"] {
            assert_eq!(read(&sandbox, name), OLD, "{name}: {said}");
        }
    }
    run(&sandbox, &["-D", "--end", "end", "-c", "true"]).assert().code(64);
    assert_eq!(read(&sandbox, "end"), OLD);
}

#[test]
fn a_run_that_is_permitted_leaves_nothing_of_an_older_one() {
    let sandbox = sandbox();
    let command =
        "grep -q '^kind unknown' end && test ! -e outputs && echo A=1 >\"$OCTO_OUTPUT\"; exit 3";
    let command = format!("cd {} && {command}", sandbox.path("").display());
    let line = ["--end", "end", "--outputs", "outputs", "-c", &command];
    run(&sandbox, &line).assert().code(3);
    assert!(read(&sandbox, "end").starts_with("kind exit\ncode 3\n"));
    assert_eq!(read(&sandbox, "outputs"), "A=1\n");
    // Repeated, it doesn't run; its files come again.
    let line = ["-j", TAKEN, "--end", "end", "--outputs", "outputs", "-c", "exit 4"];
    for _ in 0..2 {
        sandbox.write("outputs", OLD);
        run(&sandbox, &line).assert().code(4);
        assert!(read(&sandbox, "end").starts_with("kind exit\ncode 4\n"));
        assert_eq!(read(&sandbox, "outputs"), "");
    }
}

/// Whoever finds no record may take it for granted that nothing was begun.
#[test]
fn one_that_is_killed_or_cannot_print_leaves_a_true_record() {
    let sandbox = sandbox();
    let wait = format!("while ! test -e {}; do sleep 0.05; done", sandbox.path("go").display());
    let start = |arguments: &[&str], out: Stdio| {
        let tool = run(&sandbox, arguments);
        let mut command = std::process::Command::new(tool.get_program());
        command.args(tool.get_args()).env_clear().current_dir(sandbox.path("")).stdout(out);
        command.envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.spawn().expect("starts")
    };
    let mut child = start(&["-j", TAKEN, "--end", "end", "-c", &wait], Stdio::null());
    wait_for("its job", || sandbox.state("jobs").join(TAKEN).join("started").exists());
    child.kill().expect("kill");
    child.wait().expect("wait");
    let unknown = format!("kind unknown\ncode 79\njob {TAKEN}\norigin tentacle\nstatus 79\n");
    assert!(read(&sandbox, "end").starts_with(&unknown), "{}", read(&sandbox, "end"));
    sandbox.write("go", "");
    run(&sandbox, &["-j", TAKEN, "--end", "end", "-c", &wait]).assert().success();
    assert!(read(&sandbox, "end").starts_with("kind exit\ncode 0\n"));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("open");
    let mut child = start(&["--end", "end", "-c", "echo x; exit 5"], full.into());
    assert_eq!(child.wait().expect("wait").code(), Some(74));
    assert!(read(&sandbox, "end").starts_with("kind exit\ncode 5\n"), "{}", read(&sandbox, "end"));
}

/// The line feed that its last line lacks comes on top of what a script may write.
#[test]
fn a_mebibyte_of_values_comes_back() {
    let sandbox = sandbox();
    let length = (1 << 20) - 2;
    let command = format!("(printf A=; head -c {length} /dev/zero | tr '\\0' x) >$OCTO_OUTPUT");
    run(&sandbox, &["--outputs", "outputs", "-c", &command]).assert().success().stderr("");
    assert!(read(&sandbox, "outputs") == format!("A={}\n", "x".repeat(length)));
}

#[test]
fn where_a_result_could_not_be_written_nothing_runs() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("dir")).expect("mkdir");
    for option in ["--end", "--outputs"] {
        for (path, said) in [
            ("none/x", "none/x: can't create: no such file or directory"),
            ("%n/x", "%n/x: can't create: no such file or directory"),
            ("end/x", "end/x: can't create: not a directory"),
            ("dir", "dir: can't create: is a directory"),
            ("new/", "new/: can't create: is a directory"),
        ] {
            run(&sandbox, &[option, path, "-c", "true"]).assert().code(73).stderr(contains(said));
            assert!(!sandbox.state("jobs").exists(), "{option} {path}");
        }
        // Not writable, even for root: for root only trying tells, and the job is withdrawn.
        let touched = sandbox.path("touched").display().to_string();
        let line = ["--end", "end", option, "/proc/x", "-c", &format!("touch {touched}")];
        let line = if option == "--end" { &line[2..] } else { &line[..] };
        run(&sandbox, line).assert().code(73).stderr(contains("/proc/x: can't create: "));
        assert!(!sandbox.path("touched").exists(), "{option}: it ran");
        assert_eq!(read(&sandbox, "end"), OLD);
        let jobs = sandbox.state("jobs");
        assert_eq!(jobs.exists(), geteuid().is_root());
        if jobs.exists() {
            sandbox.tool("octo-exec").arg("list").assert().stdout(contains(" denied "));
            std::fs::remove_dir_all(jobs).expect("remove");
        }
    }
    // A directory that nobody may write to; root may all the same.
    let closed = sandbox.path("dir");
    set_mode(&closed, 0o555);
    let mut command = match geteuid().is_root() {
        true => sandbox.tool_as(NOBODY, "octo-exec"),
        false => sandbox.tool("octo-exec"),
    };
    // A STATE that isn't there yet would be anybody's.
    let refused = command.args(["--state", "none", "run", "--end", "dir/x", "-c", "true"]);
    let refused = refused.assert().code(73);
    refused.stderr(contains("dir/x: can't create: permission denied"));
    set_mode(&closed, 0o755);
}

#[test]
fn what_is_no_file_is_written_to_and_stays() {
    let sandbox = sandbox();
    let assert = run(&sandbox, &["--end", "/dev/stderr", "-c", "exit 5"]).assert().code(5);
    assert.stderr(contains("kind exit\ncode 5\n"));
    assert!(std::path::Path::new("/dev/stderr").is_symlink());
}

#[test]
fn what_others_own_in_a_sticky_directory_is_refused_before_anything() {
    if !is_root("what_others_own_in_a_sticky_directory_is_refused_before_anything") {
        return;
    }
    let sandbox = sandbox();
    set_mode(&sandbox.path(""), 0o777);
    set_mode(sandbox.write("sticky/theirs", OLD).parent().expect("a directory"), 0o1777);
    let own = sandbox.write("own", OLD);
    std::os::unix::fs::chown(own, Some(NOBODY), None).expect("chown");
    sandbox
        .tool_as(NOBODY, "octo-exec")
        .args(["run", "--end", "own", "--outputs", "sticky/theirs", "-c", "true"])
        .assert()
        .code(73)
        .stderr(contains("sticky/theirs: can't create: "));
    assert_eq!(read(&sandbox, "own"), OLD);
    assert!(!sandbox.state("jobs").exists());
}

#[test]
fn a_file_that_two_options_name_is_refused_before_anything() {
    let sandbox = sandbox();
    sandbox.write("script", "exit 0\n");
    set_mode(&sandbox.write("private", "A=b\n"), 0o600);
    for arguments in [
        &["--end", "end", "--outputs", "./end", "-c", "true"][..],
        &["--end", "private", "-S", "private", "-c", "true"],
        &["--outputs", "private", "-E", "private", "-c", "true"],
        &["--end", "script", "script"],
    ] {
        run(&sandbox, arguments).assert().code(64).stderr(contains("is the same file"));
        assert!(!sandbox.state("jobs").exists(), "{arguments:?}");
    }
    for (name, kept) in [("end", OLD), ("private", "A=b\n"), ("script", "exit 0\n")] {
        assert_eq!(read(&sandbox, name), kept);
    }
    run(&sandbox, &["--end", "/dev/null", "--outputs", "/dev/null", "-c", "true"])
        .assert()
        .success();
}

/// What a run under strace has synced or renamed, by their paths, in its order.
fn synced_by(sandbox: &Sandbox, script: &str) -> Vec<String> {
    let log = sandbox.path("strace");
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-e", "trace=/^(fsync|rename)", "-e", "signal=none", "-o"]);
    strace.arg(&log).arg(sandbox.program("octo-exec"));
    strace.arg("--config").arg(sandbox.config("")).arg("--state").arg(sandbox.state(""));
    assert!(strace.args(["run", "-c", script]).status().expect("strace").success());
    let log = std::fs::read_to_string(log).expect("a log");
    log.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_start().into())).collect()
}

#[test]
fn an_artifact_is_durable_before_its_original_goes() {
    if !can_trace("an_artifact_is_durable_before_its_original_goes") {
        return;
    }
    let sandbox = sandbox();
    // The first run makes STATE, too.
    run(&sandbox, &["-c", "true"]).assert().success();
    let calls = synced_by(&sandbox, "echo a >$OCTO_ARTIFACTS/a; echo b >$OCTO_ARTIFACTS/b");
    let renamed = calls.iter().position(|call| call.contains("/artifacts\""));
    let (before, after) = calls.split_at(renamed.expect("a rename"));
    let is_synced = |calls: &[String], ending: &str| {
        calls.iter().filter(|call| call.starts_with("fsync(") && call.contains(ending)).count()
    };
    let staged = before.iter().rev().find_map(|call| call.split("/.octo-tmp-").nth(1));
    let staged = staged.expect("a staged one").split(['/', '>']).next().unwrap_or_default();
    for ending in ["/a>", "/b>", ">"] {
        let path = format!("/.octo-tmp-{staged}{ending}");
        assert_eq!(is_synced(before, &path), 1, "{path}: {calls:#?}");
    }
    let jobs = JobDirectory::all(&places(&sandbox)).expect("jobs");
    let job = jobs.iter().find(|job| job.file("artifacts").exists()).expect("its job");
    assert!(is_synced(&after[..2], &format!("/{}>", job.id())) == 1, "{calls:#?}");
    // Who leaves none pays nothing for that.
    let fsyncs = |calls: &[String]| is_synced(calls, "");
    assert_eq!(fsyncs(&calls) - fsyncs(&synced_by(&sandbox, "true")), 4);
}

#[test]
fn an_artifact_that_does_not_fit_costs_no_other() {
    const TEST: &str = "an_artifact_that_does_not_fit_costs_no_other";
    if !is_root(TEST) {
        return;
    }
    let sandbox = sandbox();
    let Some(_disk) = SmallDisk::mount(&sandbox.state(""), "1m") else {
        return impossible(TEST, "can't mount a small tmpfs");
    };
    // There is no room for the large one twice.
    let script = "cd $OCTO_ARTIFACTS; head -c 600000 /dev/zero >large; echo a >a; echo b >b";
    let output = run(&sandbox, &["--end", "end", "-c", script]).output();
    let job = JobDirectory::all(&places(&sandbox)).expect("jobs").remove(0);
    let read = |name: &str| std::fs::read_to_string(job.file("artifacts").join(name)).ok();
    let kept = ["a", "b", "large"].map(read);
    assert!(output.expect("it runs").status.success());
    assert_eq!(kept, [Some("a\n".to_string()), Some("b\n".to_string()), None]);
    let end = end_said(&sandbox);
    assert!(end.contains("its artifact large is not kept: no space left"), "{end}");
}

/// Nor does one of a pusher's job, of which the disk's reserve stays, and which may state any
/// length.
#[test]
fn an_artifact_larger_than_the_disk_costs_no_other_of_a_pushed_job() {
    const TEST: &str = "an_artifact_larger_than_the_disk_costs_no_other_of_a_pushed_job";
    if !is_root(TEST) {
        return;
    }
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} max-store=1G max-size=1G", own_user()));
    let Some(_disk) = SmallDisk::mount(&sandbox.state(""), "20m") else {
        return impossible(TEST, "can't mount a small tmpfs");
    };
    let script = format!(
        "cd $OCTO_ARTIFACTS; truncate -s 100M hole theirs; chown {NOBODY} theirs; echo a >a; echo z >z"
    );
    let job = submit(&sandbox, &format!("command {}\n", encode(script.as_bytes())));
    let (kind, code, reason) = end(&job);
    assert_eq!((kind.as_str(), code), ("exit", 0), "{reason}");
    let read = |name: &str| std::fs::read_to_string(job.file("artifacts").join(name)).ok();
    let kept = ["a", "z", "hole", "theirs"].map(read);
    assert_eq!(kept, [Some("a\n".to_string()), Some("z\n".to_string()), None, None], "{reason}");
    for (name, why) in
        [("hole", "100.0 MiB is more than is left of the disk"), ("theirs", "it is another user's")]
    {
        assert!(reason.contains(&format!("its artifact {name} is not kept: {why}")), "{reason}");
    }
}

/// The record, its blanks as they were.
fn end_said(sandbox: &Sandbox) -> String {
    read(sandbox, "end").replace("%20", " ")
}

#[test]
fn artifacts_that_were_kept_before_a_kill_are_not_called_lost() {
    let sandbox = sandbox();
    let script = "echo a >$OCTO_ARTIFACTS/a; while :; do sleep 0.02; done";
    let mut command = std::process::Command::new(sandbox.program("octo-exec"));
    command.arg("--config").arg(sandbox.config("")).arg("--state").arg(sandbox.state(""));
    command.args(["run", "-c", script]).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
    let all = || JobDirectory::all(&places(&sandbox)).unwrap_or_default();
    let made = || all().iter().any(|job| job.file("made/a").exists());
    wait_for("the artifact", made);
    // As it is between the rename and the removal of the originals.
    let job = all().remove(0);
    std::fs::create_dir(job.file("artifacts")).expect("mkdir");
    std::fs::write(job.file("artifacts/a"), "a\n").expect("write");
    kill_session_of(job.path());
    child.wait().expect("wait");
    wait_for("its end", || {
        sandbox.tool("octo-exec").arg("start").assert().success();
        job.file("end").exists()
    });
    let end = job.end().expect("readable").expect("an end");
    assert_eq!(end.kind.word(), "lost");
    assert!(!end.reason.as_deref().unwrap_or_default().contains("artifacts"), "{end:?}");
    assert!(job.file("artifacts/a").exists() && !job.file("made").exists());
}
