//! Tests with several processes: this test binary starts itself as a child
//! that appends and prints the heads it got.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stderr)] // what is skipped is said

use super::{Audit, Head, Proof};
use crate::base::paths::Places;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const STATE: &str = "OCTO_TEST_STATE";

#[test]
fn child() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let count: u64 = std::env::var("OCTO_TEST_COUNT").unwrap().parse().unwrap();
    let audit = at(Path::new(&state));
    // The harness keeps what is printed by print!, and prints more itself.
    let mut out = std::io::stdout().lock();
    for index in 0..count {
        match audit.append("e", &[("index", &index.to_string())]) {
            Ok(head) => writeln!(out, "\nhead {head}").unwrap(),
            Err(error) => {
                writeln!(out, "\nerror {} {error}", error.exit.code()).unwrap();
                break;
            }
        }
    }
}

fn at(state: &Path) -> Audit {
    Audit::of(
        crate::tentacle::layout::Side::Executor,
        &Places { config: "/none".into(), state: state.into() },
    )
}

fn command(prefix: &[&str], state: &Path, count: u64) -> Command {
    command_of(&std::env::current_exe().unwrap(), prefix, state, count)
}

fn command_of(binary: &Path, prefix: &[&str], state: &Path, count: u64) -> Command {
    let mut arguments = prefix.iter().map(|word| (*word).to_string()).collect::<Vec<_>>();
    arguments.push(binary.to_str().unwrap().into());
    arguments
        .extend(["--exact", "tentacle::audit::processes::child", "--nocapture"].map(String::from));
    let mut command = Command::new(&arguments[0]);
    command.args(&arguments[1..]).env(STATE, state).env("OCTO_TEST_COUNT", count.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn heads(text: &str) -> Vec<Head> {
    text.lines().filter_map(|line| Head::parse(line.strip_prefix("head ")?)).collect()
}

fn error(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("error "));
    line.unwrap_or_else(|| panic!("no error: {text}")).to_string()
}

#[test]
fn processes_that_are_killed_lose_no_line_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut given = Vec::new();
    for round in 0..10 {
        let mut children: Vec<_> =
            (0..3).map(|_| command(&["env"], directory.path(), 1 << 40).spawn().unwrap()).collect();
        for (index, child) in children.iter_mut().enumerate() {
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            // Each dies after another number of heads, in the middle of the next.
            let wanted = 1 + (round + 2 * index) % 6;
            let mut seen = 0;
            while seen < wanted {
                let line = lines.next().unwrap().unwrap();
                if let Some(head) = line.strip_prefix("head ") {
                    given.push(Head::parse(head).unwrap());
                    seen += 1;
                }
            }
            child.kill().unwrap();
            child.wait().unwrap();
            for line in lines.map_while(Result::ok) {
                given.extend(line.strip_prefix("head ").and_then(Head::parse));
            }
        }
    }
    let found = at(directory.path()).verify(&given).unwrap();
    assert_eq!(found.faults, vec![]);
    assert!(found.lines > given.len() as u64 && given.len() >= 30 * 3);
}

#[test]
fn a_full_disk_is_said_and_leaves_the_chain_whole() {
    let directory = tempfile::tempdir().unwrap();
    // A limit on a file's size fails as a full disk does, half way into a line.
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""];
    let output = command(&limited, directory.path(), 1000).output().unwrap();
    let said = error(&output);
    let path = directory.path().join("audit.log");
    assert!(said.starts_with(&format!("74 {}: can't write: ", path.display())), "{said}");
    let given = heads(&String::from_utf8_lossy(&output.stdout));
    let audit = at(directory.path());
    assert_eq!(audit.head().unwrap(), given.last().copied());
    audit.append("after", &[]).unwrap();
    let found = audit.verify(&given).unwrap();
    assert_eq!((found.faults, found.notes), (vec![], vec![]));
}

#[test]
fn to_the_log_of_a_state_its_owner_alone_appends() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not possible here: an audit log of two users: needs root");
        return;
    }
    // Where the build's directory is closed to others, a copy can be run.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = place.path().join("test");
    // By a child: a program that this process had open for writing can't run while another
    // thread's child holds that descriptor.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&binary).status();
    assert!(copied.unwrap().success());
    let nobody = |state: &Path, count| {
        let prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        command_of(&binary, &prefix, state, count).output().unwrap()
    };
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    chown(state, Some(65534), Some(65534)).unwrap();
    let refused = |error: &str| error.contains("belongs to uid 65534, not to uid 0");
    assert!(refused(&at(state).append("e", &[]).unwrap_err().message));
    let given = heads(&String::from_utf8_lossy(&nobody(state, 2).stdout));
    assert_eq!(given.len(), 2);
    assert!(refused(&at(state).append("e", &[]).unwrap_err().message));
    assert_eq!(at(state).verify(&given).unwrap().faults, vec![]);
    // A third user's file is none that root writes to.
    let directory = tempfile::tempdir().unwrap();
    let log = at(directory.path());
    log.append("e", &[]).unwrap();
    chown(directory.path().join("audit.log"), Some(1234), None).unwrap();
    let others = at(directory.path()).append("e", &[]).unwrap_err();
    assert!(others.message.contains("is owned by uid 1234"), "{others}");
    // Another user writes to none, and holds nobody up.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        let said = error(&nobody(directory.path(), 1));
        let refused = format!("78 {}: belongs to uid 0", directory.path().display());
        assert!(said.starts_with(&refused), "{said}");
        let head = at(directory.path()).append("e", &[]).unwrap();
        assert_eq!(at(directory.path()).proves(head).unwrap(), Proof::Holds);
    }
}
