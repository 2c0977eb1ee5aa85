//! octo-exec end: what files of --end say, for scripts.

use predicates::str::contains;
use rustix::fs::{CWD, Mode, mkfifoat};

#[test]
fn files_of_ends_are_a_line_each_and_a_damaged_one_is_none() {
    let sandbox = crate::sandbox();
    let id = "20260101T000000-abcdefghijklm";
    let ran = sandbox.path("-ran");
    let mut run = sandbox.tool("octo-exec");
    run.args(["run", "-j", id, "--end"]).arg(&ran).args(["-c", "exit 3"]).assert().code(3);
    let refused = sandbox.path("refused");
    let record = "target web1\nkind no\ncode 75\norigin tentacle\nstatus 75\nmessage a%09b%1B\n";
    std::fs::write(&refused, record).expect("write");
    let end = |files: &[&str]| {
        let mut end = sandbox.tool("octo-exec");
        end.current_dir(sandbox.path("")).args(["end", "--"]).args(files).assert()
    };
    let lines =
        format!("exit\t3\t3\t{id}\t-\nnone\t-\t1\t-\tnot begun\nno\t75\t75\t-\ta\\tb\\x1b\n");
    end(&["-ran", "absent", "refused"]).success().stdout(lines).stderr("");

    std::fs::write(sandbox.path("damaged"), "kind exit\ncode 0\nstatus").expect("write");
    std::fs::write(sandbox.path("two"), record.repeat(2)).expect("write");
    let damaged = end(&["-ran", "damaged"]).code(65).stdout("");
    damaged.stderr(contains("octo-exec: damaged: line 3 is not of the form"));
    end(&["two"]).code(65).stdout("").stderr(contains("two: holds more than one end"));
    end(&["."]).code(65).stdout("");
    // Nobody writes to it.
    mkfifoat(CWD, sandbox.path("pipe"), Mode::from_raw_mode(0o600)).expect("mkfifo");
    end(&["pipe"]).code(65).stdout("").stderr(contains("pipe: is not a regular file"));
    end(&["-ran", ""]).code(64).stdout("");
    end(&[]).code(64).stdout("");
}
