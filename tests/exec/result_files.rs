//! Files that tell what came of a run: untouched until it is permitted, of no older
//! run from then on, and refused before it where they could not be written.

use crate::support::{NOBODY, Sandbox, is_root, set_mode};
use assert_cmd::Command;
use predicates::str::contains;
use rustix::process::geteuid;

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
    let command = "test ! -e end && test ! -e outputs && echo A=1 >\"$OCTO_OUTPUT\"; exit 3";
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
    let refused = command.args(["run", "--end", "dir/x", "-c", "true"]).assert().code(73);
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
