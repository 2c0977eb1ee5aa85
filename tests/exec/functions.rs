//! `octo-exec functions`: what hooks in bash find of Octopus's functions.

use crate::sandbox;
use crate::support::{Sandbox, stdout_of};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

/// Runs this by a bash below one that has read the functions, as a hook is run.
fn hook(sandbox: &Sandbox, script: &str) -> Command {
    let functions = stdout_of(sandbox.tool("octo-exec").arg("functions"));
    sandbox.write("functions", functions);
    sandbox.write("hook", script);
    let tool = sandbox.tool("octo-exec");
    let mut command = Command::new("bash");
    for (name, value) in tool.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env("OCTO_EXEC", sandbox.program("octo-exec")).current_dir(sandbox.path(""));
    command.args(["-euo", "pipefail", "-c", "source ./functions; bash -euo pipefail ./hook"]);
    command
}

#[test]
fn a_variable_is_found_by_its_name_there() {
    let sandbox = sandbox();
    let script = "
        printf '[%s]' \"$(get_octopusvariable 'Db.Host')\" \"$(get_octopusvariable Url)\" \\
          \"$(get_octopusvariable 'Größe[1]')\" \"$(get_octopusvariable --no.such)\" \\
          \"$(get_octopusvariable)\" \"$(get_octopusvariable Octopus.Release.Number)\"
        get_octopusvariable Lines";
    let mut command = hook(&sandbox, script);
    command.env("Db_Host", "db 1").env("Url", "http://#{Db.Host}").env("Gr__e_1_", "x");
    command
        .env("OCTO_VERSION", "1.4")
        .env("Lines", "a\n\n")
        .assert()
        .success()
        .stderr("")
        .stdout("[db 1][http://db 1][x][][][1.4]a\n\n");
    let mut command = hook(&sandbox, "x=$(get_octopusvariable A); echo \"$x not reached\"");
    let failed = command.env("A", "#{B}").env("B", "#{A}").assert().code(65).stdout("");
    failed.stderr(contains("A → B → A"));
}

#[test]
fn values_and_files_are_handed_back() {
    let sandbox = sandbox();
    let functions = stdout_of(sandbox.tool("octo-exec").arg("functions"));
    sandbox.write("functions", functions);
    let script = "#!/bin/bash
        set -eu
        source \"$1\"
        printf data >report
        bash -euc '
          set_octopusvariable Web.Größe \"1 = 2\"
          set_octopusvariable Pass \"x $TOKEN\"
          new_octopusartifact report
          new_octopusartifact report other.txt
          new_octopusartifact \"$OCTO_ARTIFACTS/other.txt\"'";
    let path = sandbox.write("script", script);
    let secrets = sandbox.write("secrets", "TOKEN=s3cret-value\n");
    crate::support::set_mode(&secrets, 0o600);
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "--outputs", "values", "-S"]).arg(secrets).arg(path);
    command.arg(sandbox.path("functions")).assert().success().stderr("").stdout("");
    let values = std::fs::read_to_string(sandbox.path("values")).expect("values");
    assert_eq!(values, "Web_Gr__e=1 = 2\nPass=x ********\n");
    let job = std::fs::read_dir(sandbox.state("jobs")).expect("jobs").flatten().next();
    let kept = job.expect("a job").path().join("artifacts");
    for name in ["report", "other.txt"] {
        assert_eq!(std::fs::read(kept.join(name)).expect(name), b"data");
    }
}

#[test]
fn what_can_not_be_handed_back_is_refused() {
    let sandbox = sandbox();
    for (call, said) in [
        ("set_octopusvariable A s3cret -sensitive", "A: -sensitive: what is handed back is shown"),
        ("set_octopusvariable A $'s3cret\\nb'", "A: a value that is handed back has one line"),
        ("set_octopusvariable releases /srv", "releases: octo-release itself hands that back"),
        ("set_octopusvariable version 5", "version: octo-release itself hands that back"),
        ("set_octopusvariable 1A x", "1A: no name of a variable"),
        ("set_octopusvariable", "set_octopusvariable: : no name of a variable"),
        ("new_octopusartifact none", "none: no such file"),
        ("new_octopusartifact d", "d: no such file"),
        ("new_octopusartifact hook ../x", "hook: ../x: not the name of a file"),
        ("new_octopusartifact hook d", "hook: d: a directory has this name"),
        ("new_octopusartifact", "new_octopusartifact: : no such file"),
    ] {
        std::fs::create_dir_all(sandbox.path("d/d")).expect("mkdir");
        let mut command = hook(&sandbox, &format!("{call}; echo not reached"));
        command.env("OCTO_OUTPUT", "output").env("OCTO_ARTIFACTS", "d");
        let refused = command.assert().code(1).stdout("");
        refused.stderr(contains(said).and(contains("s3cret").not()));
    }
    assert!(!sandbox.path("output").exists());
}

#[test]
fn by_hand_nothing_is_handed_back_and_the_hook_goes_on() {
    let sandbox = sandbox();
    let script = "set_octopusvariable A 1; new_octopusartifact hook; write_verbose v
        write_highlight '*  h'; write_wait w; write_warning 'low disk'; update_progress 50 half
        fail_step 'no licence'; echo not reached";
    let failed = hook(&sandbox, script).assert().code(1).stdout("v\n*  h\nw\n50% half\n");
    failed.stderr(
        "set_octopusvariable: A: no job, nobody to hand it back to\n\
         new_octopusartifact: hook: no job, nobody to hand it back to\n\
         warning: low disk\nno licence\n",
    );
    hook(&sandbox, "fail_step").assert().code(1).stdout("").stderr("");
}
