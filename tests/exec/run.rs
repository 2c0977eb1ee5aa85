//! octo-exec run: codes, interpreters, output, environment, secrets.

use crate::sandbox;
use crate::support::{Sandbox, mode_of, needs, set_mode, stdout_of};
use predicates::prelude::*;
use predicates::str::contains;
use std::path::Path;

pub(crate) fn job_of(sandbox: &Sandbox) -> std::path::PathBuf {
    let jobs = std::fs::read_dir(sandbox.state("jobs")).expect("jobs");
    let mut jobs: Vec<_> = jobs.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.remove(0)
}

#[test]
fn every_exit_code_comes_back_as_it_is() {
    let sandbox = sandbox();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for code in (worker..256).step_by(4) {
                    // The last bytes before the exit are never lost.
                    let command = format!("echo {code}; printf last >&2; exit {code}");
                    let mut run = sandbox.tool("octo-exec");
                    let run = run.args(["run", "-c", &command]).assert().code(code);
                    run.stdout(format!("{code}\n")).stderr("last");
                }
            });
        }
    });
    // With its output closed early as well.
    sandbox.tool("octo-exec").args(["run", "-c", "exec >&- 2>&-; exit 7"]).assert().code(7);
}

/// Under nohup, or in the background of a script, octo-exec inherits that signals are
/// ignored; a shell that inherits it could not even set a trap.
#[test]
fn a_script_is_not_deaf_because_its_starter_was() {
    let sandbox = sandbox();
    for (name, number) in [("HUP", 1), ("INT", 2), ("QUIT", 3), ("USR1", 10), ("TERM", 15)] {
        let ours = sandbox.tool("octo-exec");
        let mut deaf = assert_cmd::Command::new("sh");
        deaf.env("OCTO_CONFIG", sandbox.path("config")).env("OCTO_STATE", sandbox.path("state"));
        deaf.args(["-c", "trap '' HUP INT QUIT USR1 TERM; exec \"$0\" \"$@\""]);
        deaf.arg(ours.get_program()).args(["run", "-c", &format!("kill -{name} $$")]);
        deaf.assert().code(128 + number).stderr(contains("signal"));
    }
}

/// The names and modes of a job's record, and of what leads to it, after a run under
/// this umask; then of the list that prune keeps.
fn modes_under(umask: &str) -> Vec<(String, u32)> {
    let sandbox = sandbox();
    let under_umask = |arguments: &[&str]| {
        let ours = sandbox.tool("octo-exec");
        let mut command = assert_cmd::Command::new("sh");
        command.env("OCTO_CONFIG", sandbox.path("config"));
        command.env("OCTO_STATE", sandbox.path("state"));
        command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
        command.arg(ours.get_program()).args(arguments);
        command
    };
    let mode = |path: &Path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, mode_of(path))
    };
    under_umask(&["run", "-c", "umask"]).assert().code(0).stdout(contains(umask));
    let job = job_of(&sandbox);
    let record = std::fs::read_dir(&job).expect("the job");
    let record = record.map(|entry| mode(&entry.expect("an entry").path()));
    let mut modes: Vec<(String, u32)> = record.collect();
    modes.sort();
    under_umask(&["prune", "--older", "0s", "--keep", "0"]).assert().code(0);
    for place in ["state", "state/jobs", "state/pruned"] {
        modes.push(mode(&sandbox.path(place)));
    }
    modes
}

/// A hardened root has umask 077, and the listener's user reads what octo-exec writes.
#[test]
fn the_umask_is_for_what_jobs_make_and_not_for_the_record() {
    let usual = modes_under("022");
    assert!(usual.iter().any(|(name, mode)| name == "index" && *mode == 0o640), "{usual:?}");
    assert_eq!(modes_under("077"), usual);
}

#[test]
fn a_death_by_signal_is_no_exit_code() {
    let sandbox = sandbox();
    // All but those that end nobody: CHLD, CONT, URG, WINCH, and what stops.
    for signal in (1..=64).filter(|n| !matches!(n, 17..=23 | 28 | 32 | 33)) {
        let end = sandbox.path("end");
        let mut command = sandbox.tool("octo-exec");
        command.args(["run", "--end"]).arg(&end).args(["-c", &format!("kill -{signal} $$")]);
        command.assert().code(128 + signal).stderr(contains("signal"));
        let record = std::fs::read_to_string(&end).expect("end");
        assert!(record.starts_with(&format!("kind signal\ncode {signal}\n")), "{record}");
        assert!(record.ends_with(&format!("origin script\nstatus {}\n", 128 + signal)), "{record}");
    }
}

#[test]
fn scripts_run_by_what_their_first_line_says() {
    let sandbox = sandbox();
    for (name, text, code, said) in [
        ("none", "echo plain $1; exit 3", 3, "plain x\n"),
        ("sh", "#!/bin/sh\necho sh $1", 0, "sh x\n"),
        ("option", "#!/bin/sh -e\nfalse\necho not reached", 1, ""),
        ("env", "#!/usr/bin/env bash\necho ${BASH_VERSION:+bash} $1", 0, "bash x\n"),
        ("spaces and é\n.sh", "echo odd", 0, "odd\n"),
        ("empty", "", 0, ""),
    ] {
        let path = sandbox.write(name, text);
        set_mode(&path, 0o600);
        sandbox.tool("octo-exec").arg("run").arg(path).arg("x").assert().code(code).stdout(said);
    }
    if needs("scripts_run_by_what_their_first_line_says", "python3") {
        let path = sandbox
            .write("p.py", "#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:])\nsys.exit(5)");
        let mut command = sandbox.tool("octo-exec");
        command.arg("run").arg(path).args(["a b", ""]).assert().code(5).stdout("['a b', '']\n");
    }
}

#[test]
fn what_cant_run_is_126_or_127_and_says_why() {
    let sandbox = sandbox();
    for (text, code, said) in [
        ("#!/no/such/interpreter\n", 127, "/no/such/interpreter is not on this machine"),
        ("#!/bin/sh\r\necho x\r\n", 127, "DOS line ends"),
        ("#!/etc/passwd\n", 126, "not executable"),
        ("\x01\x02\0binary", 126, "neither a script nor a program"),
    ] {
        let path = sandbox.write("script", text);
        sandbox.tool("octo-exec").arg("run").arg(path).assert().code(code).stderr(contains(said));
    }
}

#[test]
fn a_program_of_this_machine_runs_as_it_is() {
    let sandbox = sandbox();
    let program = std::fs::read("/bin/true").expect("/bin/true");
    let path = sandbox.write("true", program);
    sandbox.tool("octo-exec").arg("run").arg(path).assert().code(0);
}

#[test]
fn both_streams_come_back_byte_for_byte() {
    let sandbox = sandbox();
    // 8 MiB on one stream while the other gets lines, then a last byte without LF.
    let command = "i=0; while [ $i -lt 64 ]; do head -c 131072 /dev/zero | tr '\\0' \"\\\\$((i % 7 + 101))\"; \
                   echo line $i >&2; i=$((i+1)); done; printf '\\377\\000last'";
    let output = sandbox.tool("octo-exec").args(["run", "-c", command]).output().expect("run");
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), 64 * 131072 + 6);
    assert!(output.stdout.ends_with(b"\xff\0last"));
    for (index, block) in output.stdout[..64 * 131072].chunks(131072).enumerate() {
        let letter = [0o101, 0o102, 0o103, 0o104, 0o105, 0o106, 0o107][index % 7];
        assert!(block.iter().all(|b| *b == letter), "block {index}");
    }
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(errors.lines().count(), 64);
    let log = job_of(&sandbox).join("log").metadata().expect("log").len();
    assert_eq!(log, output.stdout.len() as u64 + errors.len() as u64);
}

#[test]
fn a_reader_that_goes_is_no_failure_and_a_full_disk_is() {
    let sandbox = sandbox();
    let program = sandbox.program("octo-exec");
    let pipeline = format!(
        "'{}' run -c 'seq 100000; exit 4' | head -n 1; echo ${{PIPESTATUS[0]}}",
        program.display()
    );
    let mut shell = assert_cmd::Command::new("bash");
    shell.env("OCTO_STATE", sandbox.state("")).env("OCTO_CONFIG", sandbox.config(""));
    shell.args(["-c", &pipeline]).assert().success().stdout("1\n4\n");
    let full = format!("'{}' run -c 'seq 10' >/dev/full", program.display());
    let mut shell = assert_cmd::Command::new("bash");
    shell.env("OCTO_STATE", sandbox.state("")).env("OCTO_CONFIG", sandbox.config(""));
    shell.args(["-c", &full]).assert().code(74).stderr(contains("no space left"));
}

#[test]
fn the_environment_is_ours_and_what_was_given() {
    let sandbox = sandbox();
    let mut command = sandbox.tool("octo-exec");
    command.env("LEAKED", "x").env("LD_PRELOAD", "");
    let values = "() { :;}; a\n\"b\" 'c' \u{e9} $HOME";
    command.args(["run", "-e", &format!("ODD={values}"), "-e", "EMPTY=", "-c", "env -0"]);
    let output = String::from_utf8(command.output().expect("run").stdout).expect("text");
    let mut names: Vec<&str> = output.split_terminator('\0').collect();
    names.iter_mut().for_each(|v| *v = v.split('=').next().expect("a name"));
    names.sort_unstable();
    let wanted = "EMPTY HOME LANG LOGNAME OCTO_ARTIFACTS OCTO_CONFIG OCTO_EXEC OCTO_FREEZES \
                  OCTO_GRACE OCTO_JOB OCTO_OUTPUT OCTO_PUSHER OCTO_SECRETS OCTO_VARIABLES ODD \
                  PATH PWD SHELL USER";
    assert_eq!(names.join(" "), wanted);
    assert!(output.contains(&format!("ODD={values}\0")));
}

#[test]
fn later_variables_win_and_secrets_must_be_private() {
    let sandbox = sandbox();
    let file = sandbox.write("vars", "A=file\nB=file\n");
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-e", "A=given", "-E"]).arg(&file).args(["-c", "echo $A $B"]);
    command.assert().success().stdout("given file\n");
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-S"]).arg(&file).args(["-c", "true"]);
    command.assert().code(78).stderr(contains("others can read these secrets"));
}

#[test]
fn variables_that_steer_are_refused_by_name() {
    let sandbox = sandbox();
    for name in ["LD_PRELOAD", "BASH_ENV", "PATH", "IFS", "OCTO_BASE", "TAR_OPTIONS"] {
        let mut command = sandbox.tool("octo-exec");
        command
            .args(["run", "-e", &format!("{name}=x"), "-c", "true"])
            .assert()
            .code(77)
            .stderr(contains(name));
    }
    assert!(!sandbox.state("jobs").exists());
}

#[test]
fn arguments_arrive_as_they_were() {
    let sandbox = sandbox();
    let script = sandbox.write("args", "for a; do printf '<%s>' \"$a\"; done");
    let mut command = sandbox.tool("octo-exec");
    command.arg("run").arg(&script).args(["", "a b", "$(id)", "-n", "x\ny", "'", "*"]);
    command.assert().success().stdout("<><a b><$(id)><-n><x\ny><'><*>");
    let long = sandbox.write("long", format!("LONG={}", "x".repeat(128 * 1024)));
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-E"]).arg(long).args(["-c", "true"]);
    command.assert().code(77).stderr(contains("variable LONG"));
}

#[test]
fn secrets_leave_no_trace() {
    let sandbox = sandbox();
    let file = sandbox.write("secrets", "TOKEN=s3cret-value\nSHORT=abc\n");
    set_mode(&file, 0o600);
    let script = "echo \"$TOKEN $SHORT\"; printf s3cret-; sleep 0.05; echo value >&2; printf value; \
                  echo \"T=$TOKEN\" >>\"$OCTO_OUTPUT\"; tr '\\0' ' ' </proc/self/cmdline >&2";
    let mut command = sandbox.tool("octo-exec");
    command
        .args(["run", "--outputs"])
        .arg(sandbox.path("outputs"))
        .arg("-S")
        .arg(&file)
        .args(["-c", script]);
    command.assert().success().stdout("******** abc\n********").stderr(contains("s3cret").not());
    assert_eq!(std::fs::read_to_string(sandbox.path("outputs")).expect("outputs"), "T=********\n");
    let job = job_of(&sandbox);
    assert!(!job.join("secrets").exists());
    for entry in std::fs::read_dir(&job).expect("job").flatten().filter(|e| e.path().is_file()) {
        let bytes = std::fs::read(entry.path()).expect("read");
        assert!(!bytes.windows(12).any(|w| w == b"s3cret-value"), "{:?}", entry.path());
    }
    let audit = std::fs::read_to_string(sandbox.state("audit.log")).expect("audit");
    assert!(!audit.contains("s3cret"));
}

#[test]
fn a_job_with_secrets_can_be_repeated_and_leaves_no_core() {
    let sandbox = sandbox();
    let file = sandbox.write("secrets", "TOKEN=s3cret-value\n");
    set_mode(&file, 0o600);
    let run = |value: &str| {
        std::fs::write(&file, format!("TOKEN={value}\n")).expect("write");
        let mut command = sandbox.tool("octo-exec");
        command.args(["run", "-j", "20260101T000000-abcdefghijklm", "-S"]).arg(&file);
        command
            .args(["-c", "echo once >>../../../runs; grep -i core /proc/self/limits | tr -s ' '"]);
        command
    };
    // Neither a file, which needs more, nor a program behind core_pattern, which
    // ignores 0, gets one with a limit of 1 byte.
    let limit = contains("size 1 1 ");
    run("s3cret-value").assert().code(0).stdout(limit.clone());
    run("s3cret-value").assert().code(0).stdout(limit);
    assert_eq!(std::fs::read(sandbox.state("runs")).expect("it ran"), b"once\n");
    run("other-value").assert().code(65).stderr(contains("taken by another job"));
}

#[test]
fn a_package_is_at_hand_and_checked_before_it_is_used() {
    let sandbox = sandbox();
    let package = sandbox.write("shop 1.tar", "the package");
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-p"]).arg(&package);
    let script = "cat $OCTO_PACKAGE; echo \" $OCTO_PACKAGE_NAME\"; sha256sum <$OCTO_PACKAGE | cut -c1-64; echo $OCTO_PACKAGE_SHA256";
    command.args(["-c", script]);
    let text = stdout_of(&mut command);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "the package shop 1.tar");
    assert_eq!(lines[1], lines[2]);
    // A bit flipped in the store is found before anything runs.
    let object = sandbox.state("packages").join(lines[1]);
    assert_eq!(mode_of(&object), 0o444);
    set_mode(&object, 0o644);
    std::fs::write(&object, "the pACKAGE").expect("write");
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-p", lines[1], "-c", "echo ran"]);
    command.assert().code(65).stdout("").stderr(contains("have changed"));
}

#[test]
fn a_package_is_as_old_as_its_last_use() {
    let sandbox = sandbox();
    let package = sandbox.write("a.tar", "a");
    let digest = stdout_of(sandbox.tool("octo-exec").arg("add").arg(&package));
    let object = sandbox.state("packages").join(digest.trim());
    for file in [object.clone(), object.with_extension("by")] {
        let file = std::fs::File::open(file).expect("open");
        file.set_modified(std::time::UNIX_EPOCH).expect("a time");
    }
    sandbox.tool("octo-exec").args(["run", "-p", digest.trim(), "-c", "true"]).assert().success();
    let mut prune = sandbox.tool("octo-exec");
    prune.args(["prune", "--older", "1d", "--keep", "0"]).assert().success().stdout("");
    assert!(object.exists());
}

#[test]
fn misuse_is_64_with_a_hint() {
    let sandbox = sandbox();
    for arguments in [
        &["run"][..],
        &["run", "-T", "soon", "x"],
        &["nonsense"],
        &[],
        &["run", "--bad", "x"],
        &["run", "-j", "1", "x"],
        &["run", "-S", "-", "-"],
        &["run", "-S", "-", "-E", "-", "-c", "x"],
        &["run", "-D", "--end", "end", "-c", "x"],
    ] {
        let mut command = sandbox.tool("octo-exec");
        command.args(arguments).assert().code(64).stderr(contains("octo-exec --help"));
    }
    sandbox.tool("octo-exec").arg("--help").assert().success().stdout(contains("examples:"));
    sandbox
        .tool("octo-exec")
        .args(["run", "/no/such/script"])
        .assert()
        .code(65)
        .stderr(contains("/no/such/script"));
}
