//! What octo-exec itself puts into a job's environment.

use crate::sandbox;
use crate::support::{mode_of, set_mode};
use predicates::prelude::*;
use predicates::str::contains;

#[test]
fn a_job_is_told_which_octo_exec_runs_it_and_what_is_secret() {
    let sandbox = sandbox();
    let program = sandbox.program("octo-exec").canonicalize().expect("it is there");
    let link = sandbox.path("link");
    std::os::unix::fs::symlink(&program, &link).expect("symlink");
    let secrets = sandbox.write("secrets", "TOKEN=s3cret-value\nDb_Password=hunter22\n");
    set_mode(&secrets, 0o600);
    let mut command = assert_cmd::Command::new(link);
    command.env("OCTO_STATE", sandbox.state("")).env("OCTO_CONFIG", sandbox.config(""));
    command.args(["run", "-e", "A=1", "-S"]).arg(secrets).args([
        "-c",
        "echo \"$OCTO_EXEC:$OCTO_SECRETS:$OCTO_VARIABLES\"; \"$OCTO_EXEC\" --version",
    ]);
    let version = env!("CARGO_PKG_VERSION");
    let wanted = format!(
        "{}:Db_Password TOKEN:A Db_Password TOKEN\nocto-exec {version}\n",
        program.display()
    );
    command.assert().success().stdout(wanted);
    for name in ["OCTO_EXEC", "OCTO_SECRETS"] {
        let mut command = sandbox.tool("octo-exec");
        let refused = command.args(["run", "-e", &format!("{name}=x"), "-c", "true"]).assert();
        refused.code(77).stderr(contains(name).and(contains("octo's own")));
    }
}

#[test]
fn what_a_job_fills_a_secret_into_is_private() {
    let sandbox = sandbox();
    let secrets = sandbox.write("secrets", "TOKEN=s3cret-value\n");
    set_mode(&secrets, 0o600);
    let release = sandbox.path("release").display().to_string();
    for (name, text) in [("private", "#{Url}"), ("open", "#{A}")] {
        set_mode(&sandbox.write(&format!("release/{name}"), text), 0o644);
    }
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-e", "A=1", "-e", "Url=u:#{TOKEN}", "-S"]).arg(secrets);
    let script = format!("cd {release} && \"$OCTO_EXEC\" substitute private open");
    command.args(["-c", &script]).assert().success().stdout("").stderr("");
    let read = |name: &str| std::fs::read(sandbox.path("release").join(name)).expect(name);
    assert_eq!((read("private"), read("open")), (b"u:s3cret-value".to_vec(), b"1".to_vec()));
    let mode = |name: &str| mode_of(&sandbox.path("release").join(name));
    assert_eq!((mode("private"), mode("open")), (0o640, 0o644));
}
