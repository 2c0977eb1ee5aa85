//! `octo-exec serve` as a service of systemd's.

use crate::support::{PATIENCE, Sandbox};
use assert_cmd::cargo::cargo_bin;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

#[test]
fn it_is_ready_when_the_doorbell_is_there() {
    let sandbox = Sandbox::new(cargo_bin!("octo-exec"));
    let path = sandbox.path("notify");
    let socket = UnixDatagram::bind(&path).expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let serve = || {
        let ours = sandbox.tool("octo-exec");
        let mut command = Command::new(ours.get_program());
        command.arg("serve").env_clear().env("NOTIFY_SOCKET", &path);
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("it starts")
    };
    let mut serving = serve();
    let mut told = [0; 64];
    let count = socket.recv(&mut told).expect("a message");
    assert_eq!(&told[..count], b"READY=1\nSTATUS=serving");
    assert!(sandbox.state("doorbell").exists());

    // Another one can't serve the same, and says nothing of the kind.
    let other = serve().wait_with_output().expect("wait");
    let said = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(75), "{said}");
    let lock = sandbox.state("locks/.serve");
    assert!(said.contains(&format!("hint: fuser -v {}\n", lock.display())), "{said}");
    assert!(lock.exists());
    socket.set_nonblocking(true).expect("no waiting");
    assert!(socket.recv(&mut told).is_err());
    serving.kill().expect("kill");
    serving.wait().expect("wait");
}
