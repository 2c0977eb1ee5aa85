//! octo-exec enter: what a job is once its script begins, and that no program with
//! privileges has its variables.

use crate::jobs::{Draft, own_user, trust};
use crate::sandbox;
use crate::support::{NOBODY, Sandbox, can_trace, impossible, is_root, needs, set_mode, stdout_of};
use assert_cmd::Command;
use octo_core::base::encoding::encode;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::{Script, Spec, secrets};
use octo_core::{Digest, VariableName};
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use rustix::process::{getegid, geteuid};

/// Another user's where we are root.
fn user() -> String {
    if geteuid().is_root() { "nobody".into() } else { own_user() }
}

fn spec(command: &str) -> String {
    format!("command {}\n", encode(command.as_bytes()))
}

/// Published; whoever runs it can be reached by its user.
fn published(sandbox: &Sandbox, options: &str, command: &str) -> JobDirectory {
    set_mode(&sandbox.path(""), 0o711);
    trust(sandbox, options);
    Draft::pushed(&spec(command)).publish(sandbox)
}

/// `octo-exec job DIR`, by this text of a shell, whose `"$@"` it is.
fn bring_forward(sandbox: &Sandbox, shell: &str, job: &JobDirectory) -> String {
    let ours = sandbox.tool("octo-exec");
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", needs::SYSTEM_PATH);
    command.env("OCTO_CONFIG", sandbox.path("config")).env("OCTO_STATE", sandbox.path("state"));
    command.args(["-c", shell, "sh"]).arg(ours.get_program()).arg("job").arg(job.path());
    command.assert().success();
    std::fs::read_to_string(job.file("log")).unwrap_or_default()
}

/// A variable that a loader or an interpreter heeds would steer whatever has it: it may
/// be none but the job's user's.
#[test]
fn no_program_with_privileges_sees_a_jobs_variables() {
    let name = "no_program_with_privileges_sees_a_jobs_variables";
    if !is_root(name) || !can_trace(name) {
        return;
    }
    let sandbox = sandbox();
    set_mode(&sandbox.path(""), 0o711);
    trust(&sandbox, "user=nobody set=SET=of-the-sysadmin");
    let name = VariableName::parse("TOKEN").expect("a name");
    let body = secrets::encode_with(&[1; 32], &[(name.clone(), b"of-the-secret".to_vec())]);
    let mut spec = Spec::of(Script::Command("exec env".into()));
    (spec.secrets, spec.secrets_digest) = (vec![name], Some(Digest::of(&body)));
    let plain = VariableName::parse("PLAIN").expect("a name");
    spec.environment.push((plain, b"of-the-pusher".to_vec()));
    let spec = spec.encode();
    let job = Draft { spec: &spec, secrets: Some(&body), ..Draft::pushed("") }.publish(&sandbox);
    // A file a process: the lines of several would be cut and mixed.
    let traces = sandbox.path("traces");
    std::fs::create_dir(&traces).expect("mkdir");
    let shell = format!(
        "exec strace -ff -qq -o {}/of -v -s 65535 -e trace=execve,setresuid -e signal=none \"$@\"",
        traces.display()
    );
    let log = bring_forward(&sandbox, &shell, &job);
    assert!(log.contains("PLAIN=of-the-pusher\n") && log.contains("TOKEN=********\n"), "{log}");

    let traces = std::fs::read_dir(traces).expect("traces").flatten();
    let traces = traces.map(|trace| std::fs::read_to_string(trace.path()).expect("text"));
    let (entered, others): (Vec<String>, Vec<String>) =
        traces.partition(|trace| trace.contains("\"enter\"], []) = 0\n"));
    let [entered] = &entered[..] else { panic!("{entered:?}: {others:?}") };
    let lowered = "setresuid(65534, 65534, 65534) ";
    let (before, after) = entered.split_once(lowered).expect("the user's");
    assert!(after.trim_start().starts_with("= 0\n"), "{entered}");
    for value in ["of-the-sysadmin", "of-the-pusher", "of-the-secret"] {
        assert!(!before.contains(value) && after.contains(value), "{value}: {entered}");
        assert!(!others.iter().any(|trace| trace.contains(value)), "{value}: {others:?}");
    }
    assert!(others.iter().any(|trace| trace.contains("\"job\", ")), "{others:?}");
}

#[test]
fn a_script_gets_no_descriptor_of_its_starters() {
    let sandbox = sandbox();
    let secret = sandbox.write("of-root", "secret of root\n");
    set_mode(&secret, 0o600);
    let script = "cat <&9; echo nine $?; cat <&0 | wc -c; ls -l /proc/$$/fd";
    let job = published(&sandbox, &format!("user={}", user()), script);
    let open = "exec 3<\"$F\" 9<\"$F\"; exec \"$@\"".replace("$F", &secret.display().to_string());
    let log = bring_forward(&sandbox, &open, &job);
    assert!(!log.contains("of root") && !log.contains("of-root"), "{log}");
    assert!(log.contains("0\n") && log.contains("0 -> /dev/null\n"), "{log}");
    assert!(!log.contains("nine 0"), "{log}");
}

#[test]
fn nothing_of_root_is_left_in_a_job_of_another_user() {
    if !is_root("nothing_of_root_is_left_in_a_job_of_another_user") {
        return;
    }
    let sandbox = sandbox();
    let script = "id -un; cat /proc/self/oom_score_adj; cat /proc/self/status; \
                  : </proc/1/environ && echo read";
    let job = published(&sandbox, "user=nobody", script);
    let shell = "echo 500 >/proc/self/oom_score_adj; echo 500 >/proc/$$/oom_score_adj; exec \"$@\"";
    let log = bring_forward(&sandbox, shell, &job);
    assert!(log.starts_with("nobody\n"), "{log}");
    for line in [
        "0",
        "Uid:\t65534\t65534\t65534\t65534",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "SigBlk:\t0000000000000000",
    ] {
        assert!(log.lines().any(|found| found == line), "{line}: {log}");
    }
    let ignored = log.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).expect("signals");
    let ignored = u64::from_str_radix(ignored, 16).expect("a mask");
    // 32 and up are the C library's.
    assert_eq!(ignored & 0x7fff_ffff, 0, "{log}");
    assert!(!log.ends_with("read\n"), "{log}");
    let may = published(&sandbox, "user=nobody sudo", "grep NoNewPrivs /proc/self/status");
    assert_eq!(bring_forward(&sandbox, "exec \"$@\"", &may), "NoNewPrivs:\t0\n");
}

#[test]
fn a_job_has_its_users_groups() {
    let name = "a_job_has_its_users_groups";
    if !is_root(name) || !needs(name, "unshare") {
        return;
    }
    if !Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|o| o.status.success()) {
        return impossible(name, "may not mount");
    }
    let sandbox = sandbox();
    let more = "octo-a:x:60001:nobody\nocto-b:x:60002:root\nocto-c:x:60003:root,nobody\n";
    let groups = std::fs::read_to_string("/etc/group").expect("groups");
    let groups = sandbox.write("group", format!("{}\n{more}", groups.trim_end()));
    let switch = sandbox.write("nsswitch", "group: files\n");
    // Asked of id(1), where another source could know more.
    let other = sandbox.write("other", "group: files octo-no-such-source\n");
    for switch in [switch, other] {
        let job = published(&sandbox, "user=nobody", "id -G");
        let shell = format!(
            "mount --bind {} /etc/group; mount --bind {} /etc/nsswitch.conf; id -G nobody; exec \"$@\"",
            groups.display(),
            switch.display()
        );
        let log =
            bring_forward(&sandbox, &format!("exec unshare -m sh -c '{shell}' sh \"$@\""), &job);
        let mut found: Vec<&str> = log.split_whitespace().collect();
        found.sort_unstable();
        assert_eq!(found, ["60001", "60003", "65534"], "{log}");
    }
}

#[test]
fn words_and_values_arrive_byte_for_byte() {
    let sandbox = sandbox();
    // More than a pipe holds.
    let large = "x".repeat(100_000);
    let mut vars = b"ODD=a\xff\n\xfe=\tb\0EMPTY=\0".to_vec();
    for number in 0..5 {
        vars.extend(format!("LARGE{number}={large}\0").into_bytes());
    }
    let vars = sandbox.write("vars", vars);
    let script = "for word; do printf '<%s>' \"$word\"; done; printf '%s' \"$ODD\" | od -An -tx1; \
                  echo \"[${EMPTY-unset}]\" ${#LARGE0} ${#LARGE4}";
    let script = sandbox.write("script", script);
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-E"]).arg(vars).arg(script).args(["", "a b", "", "\u{e9}\n"]);
    let wanted = "<><a b><><\u{e9}\n> 61 ff 0a fe 3d 09 62\n[] 100000 100000\n";
    command.assert().success().stdout(wanted);
}

/// The kernel's own limit comes with the stack's.
#[test]
fn what_is_too_long_for_the_kernel_is_126_and_says_so() {
    let sandbox = sandbox();
    let vars: String = (0..4).map(|n| format!("LARGE{n}={}\n", "x".repeat(100_000))).collect();
    let vars = sandbox.write("vars", vars);
    let ours = sandbox.tool("octo-exec");
    let mut command = Command::new("sh");
    command.env("OCTO_CONFIG", sandbox.path("config")).env("OCTO_STATE", sandbox.path("state"));
    command.args(["-c", "ulimit -s 1024; exec \"$@\"", "sh"]).arg(ours.get_program());
    command.args(["run", "-E"]).arg(vars).args(["-c", "echo ran"]);
    command.assert().code(126).stdout("");
    command.assert().stderr(contains("octo-exec: can't run the script: argument list too long\n"));
}

/// What `octo-exec enter` reads: for whom, with `privileges` or not, which words.
fn message(uid: u32, words: &[&str]) -> Vec<u8> {
    let gid = if uid == geteuid().as_raw() { getegid().as_raw() } else { uid };
    let count = words.len() + 2;
    let head =
        format!("octo-enter/1\0{uid}\0{gid}\0\0no-new-privileges\0{count}\01\0/\0/dev/null\0");
    let words: String = words.iter().map(|word| format!("{word}\0")).collect();
    [head.as_bytes(), words.as_bytes(), b"ONLY=one\0"].concat()
}

fn enter(sandbox: &Sandbox, input: impl Into<Vec<u8>>) -> Command {
    let mut command = sandbox.tool("octo-exec");
    command.arg("enter").write_stdin(input);
    command
}

#[test]
fn what_enter_doesnt_understand_runs_nothing() {
    let sandbox = sandbox();
    let own = geteuid().as_raw();
    let whole = message(own, &["/bin/sh", "-c", "echo ran; echo $ONLY"]);
    enter(&sandbox, whole.clone()).assert().code(0).stdout("ran\none\n");
    for input in
        [&b""[..], b"\0", b"garbage", &whole[..whole.len() - 1], &[&whole[..], b"A=\0"].concat()]
    {
        let assert = enter(&sandbox, input).assert().code(65).stdout("");
        assert.stderr(starts_with("octo-exec: enter: standard input: "));
    }
    let later = String::from_utf8(whole.clone()).expect("text").replace("enter/1", "enter/2");
    enter(&sandbox, later).assert().code(65).stdout("").stderr(contains("of this version"));
    let mut command = enter(&sandbox, whole.clone());
    command.arg("more").assert().code(64).stdout("");
    let long = [&whole[..], &vec![b'x'; 17 << 20]].concat();
    enter(&sandbox, long).assert().code(126).stdout("").stderr(contains("too long"));
}

/// As a shell has it; and what the kernel can't run, no shell is asked to.
#[test]
fn a_program_that_enter_cant_run_is_127_or_126() {
    let sandbox = sandbox();
    let odd = sandbox.write("odd", "echo ran\n");
    set_mode(&odd, 0o755);
    let odd = odd.display().to_string();
    for (program, code, said) in [
        ("/no/such", 127, "no such file or directory"),
        ("", 127, "no such file or directory"),
        ("/etc/passwd", 126, "permission denied"),
        (odd.as_str(), 126, "exec format error"),
    ] {
        let assert = enter(&sandbox, message(geteuid().as_raw(), &[program])).assert();
        let said = format!("octo-exec: can't run the script: {said}\n");
        assert.code(code).stdout("").stderr(said);
    }
}

#[test]
fn who_cant_become_the_user_for_good_runs_nothing() {
    let name = "who_cant_become_the_user_for_good_runs_nothing";
    if !is_root(name) || !needs(name, "setpriv") {
        return;
    }
    let sandbox = sandbox();
    let words = ["/bin/sh", "-c", "echo ran"];
    let mut unprivileged = sandbox.tool_as(NOBODY, "octo-exec");
    unprivileged.arg("enter").write_stdin(message(0, &words));
    let assert = unprivileged.assert().code(126).stdout("");
    assert.stderr("octo-exec: can't become the job's user: its groups: operation not permitted\n");
    // Root's capabilities outlive the change under these bits.
    let mut kept = Command::new("setpriv");
    kept.args(["--securebits=+no_setuid_fixup"]).arg(sandbox.program("octo-exec"));
    kept.arg("enter").write_stdin(message(NOBODY, &words));
    let assert = kept.assert().code(126).stdout("");
    assert.stderr("octo-exec: can't become the job's user: it could become root again\n");
}

/// The message is more than a pipe holds: its writer is there still when its reader dies.
#[test]
fn an_enter_that_is_killed_is_how_the_job_ended() {
    let name = "an_enter_that_is_killed_is_how_the_job_ended";
    if !can_trace(name) {
        return;
    }
    let sandbox = sandbox();
    let vars = sandbox.write("vars", format!("LARGE={}\n", "x".repeat(120_000)));
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-P", "/proc/self/oom_score_adj"]);
    command.args(["-e", "trace=openat", "-e", "inject=openat:signal=KILL"]);
    command.arg(sandbox.program("octo-exec"));
    command.env("OCTO_CONFIG", sandbox.path("config")).env("OCTO_STATE", sandbox.path("state"));
    command.args(["run", "-E"]).arg(vars).args(["-c", "echo ran"]);
    command.assert().code(137).stdout("");
}

/// One way for all: a job by hand passes through it too.
#[test]
fn a_job_of_ones_own_keeps_who_one_is() {
    let sandbox = sandbox();
    let groups = stdout_of(Command::new("id").arg("-G"));
    let mut command = sandbox.tool("octo-exec");
    let script = "id -G; id -u; id -g; cat /proc/self/oom_score_adj; pwd | grep -c /work$";
    let wanted = format!("{groups}{}\n{}\n", geteuid().as_raw(), getegid().as_raw());
    let stdout = command.args(["run", "-c", script]).assert().success();
    stdout.stdout(starts_with(wanted).and(predicates::str::ends_with("1\n")));
}

/// What a job of these options reads, which publishes this as its input.
fn reading(sandbox: &Sandbox, options: &str, command: &str, input: &[u8]) -> JobDirectory {
    set_mode(&sandbox.path(""), 0o711);
    trust(sandbox, options);
    let mut spec = Spec::of(Script::Command(command.into()));
    spec.stdin = Some((Digest::of(input), input.len() as u64));
    let spec = spec.encode();
    Draft { spec: &spec, stdin: Some(input), ..Draft::pushed("") }.publish(sandbox)
}

/// The file is octo-exec's; its user has it open, at its beginning, for reading.
#[test]
fn a_job_reads_its_input_as_another_user_and_opens_it_never() {
    let sandbox = sandbox();
    let look = "stat -Lc '%F %a' /proc/self/fd/0; read -r a; echo \"$a\"; cat; \
                echo x 2>/dev/null >&0 || echo closed; ls -l /proc/self/fd/0";
    let job = reading(&sandbox, &format!("user={}", user()), look, b"one\ntwo\n");
    let log = bring_forward(&sandbox, "exec \"$@\"", &job);
    let path = job.file("stdin");
    assert!(log.starts_with("regular file 600\none\ntwo\nclosed\n"), "{log}");
    assert!(log.contains(&format!("0 -> {}\n", path.display())), "{log}");
    assert!(!path.exists(), "it is over");
    if !geteuid().is_root() {
        return;
    }
    let job = reading(&sandbox, "user=nobody", "cat /proc/self/fd/0; cat $OCTO_DIR/stdin", b"one");
    let log = bring_forward(&sandbox, "exec \"$@\"", &job);
    assert!(!log.contains("one"), "{log}");
}

/// What lies there by then is not what was asked for.
#[test]
fn an_input_that_was_swapped_is_no_input() {
    let sandbox = sandbox();
    let secret = sandbox.write("of-root", "secret of root\n");
    type Swap = fn(&std::path::Path, &std::path::Path);
    let swaps: [Swap; 4] = [
        |path, _| std::fs::write(path, "other").expect("write"),
        |_, _| {},
        |path, secret| std::os::unix::fs::symlink(secret, path).expect("a link"),
        |path, _| std::fs::create_dir(path).expect("a directory"),
    ];
    for (number, swap) in swaps.into_iter().enumerate() {
        let job = reading(&sandbox, &format!("user={}", user()), "cat; echo ran", b"asked for");
        std::fs::remove_file(job.file("stdin")).expect("removed");
        swap(&job.file("stdin"), &secret);
        let ours = sandbox.tool("octo-exec").arg("job").arg(job.path()).assert();
        drop(ours);
        assert_eq!(std::fs::read_to_string(job.file("log")).unwrap_or_default(), "", "{number}");
        let ended = job.end().expect("readable");
        assert!(ended.is_none_or(|end| end.kind.exit_status() != 0), "{number}");
        assert!(job.open("started").expect("readable").is_none(), "{number}");
    }
}
