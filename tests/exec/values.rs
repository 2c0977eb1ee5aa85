//! What a script hands back by the file of OCTO_OUTPUT: which of it, masked, and what stays.

use crate::run::job_of;
use crate::sandbox;
use crate::support::{kill_session_of, set_mode, wait_for};
use std::process::Stdio;

/// Nor does one whose octo-exec was killed, and whose values nobody has masked.
#[test]
fn a_lost_job_leaves_no_unmasked_values() {
    let sandbox = sandbox();
    let file = sandbox.write("secrets", "TOKEN=s3cret-value\n");
    set_mode(&file, 0o600);
    let mut command = std::process::Command::new(sandbox.program("octo-exec"));
    command.arg("--config").arg(sandbox.config("")).arg("--state").arg(sandbox.state(""));
    command.args(["run", "-S"]).arg(&file);
    command.args(["-c", "echo T=$TOKEN >>$OCTO_OUTPUT; : >done; exec sleep 600"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let jobs = sandbox.state("jobs");
    let is_done = || std::fs::read_dir(&jobs).is_ok_and(|mut all| all.next().is_some());
    wait_for("its value", || is_done() && job_of(&sandbox).join("work/done").exists());
    let job = job_of(&sandbox);
    assert_eq!(std::fs::read_to_string(job.join("values")).expect("values"), "T=s3cret-value\n");
    kill_session_of(&job);
    child.wait().expect("wait");
    wait_for("its end", || {
        sandbox.tool("octo-exec").arg("start").assert().success();
        job.join("end").exists()
    });
    assert!(std::fs::read_to_string(job.join("end")).expect("end").starts_with("kind lost\n"));
    assert!(!job.join("values").exists());
}

#[test]
fn values_come_back_and_bad_ones_are_named() {
    let sandbox = sandbox();
    let outputs = sandbox.path("outputs");
    let end = sandbox.path("end");
    let script = "printf 'VERSION=1.4\\nnot a value\\nURL=http://x/?a=b' >>$OCTO_OUTPUT; echo hi >$OCTO_ARTIFACTS/a.txt";
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "--outputs"]).arg(&outputs).arg("--end").arg(&end).args(["-c", script]);
    command.assert().success();
    assert_eq!(
        std::fs::read_to_string(&outputs).expect("outputs"),
        "VERSION=1.4\nURL=http://x/?a=b\n"
    );
    let record = std::fs::read_to_string(&end).expect("end");
    assert!(record.contains("line%202"), "{record}");
    assert_eq!(std::fs::read(job_of(&sandbox).join("artifacts/a.txt")).expect("artifact"), b"hi\n");
}

/// People feed them on to programs, which would obey the one and show the other.
#[test]
fn values_that_programs_would_obey_are_dropped_and_named() {
    let sandbox = sandbox();
    let script = r#"printf 'A=1\nPATH=/tmp\nBASH_ENV=x\nB=\033[2J\nC=x\r\nA=2\n' >>$OCTO_OUTPUT"#;
    let line = ["run", "--outputs", "outputs", "--end", "end", "-c", script];
    sandbox.tool("octo-exec").args(line).assert().success();
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).expect(name);
    assert_eq!(read("outputs"), "A=2\n");
    let end = read("end").replace("%20", " ");
    assert!(end.contains("its values: variables BASH_ENV, PATH are refused"), "{end}");
    assert!(end.contains("a control character in B, C\n"), "{end}");
}

#[test]
fn values_behind_a_link_are_not_read() {
    let sandbox = sandbox();
    let outputs = sandbox.path("outputs");
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "--outputs"]).arg(&outputs);
    command.args(["-c", "rm $OCTO_OUTPUT; ln -s /etc/passwd $OCTO_OUTPUT"]).assert().success();
    assert_eq!(std::fs::read_to_string(&outputs).expect("outputs"), "");
}
