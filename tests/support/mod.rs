//! What the end-to-end tests share: a directory of their own with a scrubbed
//! environment, and the programs beside the one under test.

// Each test program uses its own part of this; a skipped test says so.
#![allow(dead_code, clippy::print_stderr)]

pub(crate) mod needs;
pub(crate) mod random;

use assert_cmd::Command;
use needs::SYSTEM_PATH;
pub(crate) use needs::needs;
use rustix::process::{Pid, Signal};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A user without privileges or a home, on any Linux.
pub(crate) const NOBODY: u32 = 65534;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An address that nobody else has: a port that is let go there is taken by no other test
/// before it is listened on again.
pub(crate) fn loopback_apart() -> Ipv4Addr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Neither the first nor the last of the network, which are nobody's.
    let given = 1 + GIVEN.fetch_add(1, Ordering::Relaxed) % 62;
    // Processes whose numbers are equal below 2^18 don't run at the same time.
    let host = (std::process::id() << 6 | given) & 0xff_ffff;
    Ipv4Addr::from_bits((127 << 24) | host)
}

/// A home, a configuration and a state directory, gone after the test.
pub(crate) struct Sandbox {
    top: TempDir,
    programs: PathBuf,
}

impl Sandbox {
    /// `program` is the binary under test: `cargo_bin!("octo-…")`; its siblings
    /// are taken from beside it.
    pub(crate) fn new(program: &Path) -> Sandbox {
        let top = TempDir::new().expect("a temporary directory");
        set_mode(top.path(), 0o755);
        let programs = program.parent().expect("a directory").to_path_buf();
        Sandbox { top, programs }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// A path in CONFIG.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.path("config").join(name)
    }

    /// A path in STATE.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.path("state").join(name)
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
        std::fs::write(&path, contents).expect("write");
        path
    }

    /// A program of ours, with nothing of the caller's environment.
    pub(crate) fn tool(&self, name: &str) -> Command {
        self.scrubbed(Command::new(self.program(name)))
    }

    /// The same as another user; only for root.
    pub(crate) fn tool_as(&self, uid: u32, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={uid}"))
            .arg("--clear-groups")
            .arg(self.program(name));
        self.scrubbed(command)
    }

    /// Where a program of ours is.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let path = self.programs.join(name);
        assert!(path.exists(), "{} is missing: cargo build --workspace", path.display());
        path
    }

    fn scrubbed(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .env("HOME", self.top.path())
            .env("OCTO_CONFIG", self.path("config"))
            .env("OCTO_STATE", self.path("state"))
            .env("TZ", "UTC")
            .current_dir(self.top.path());
        command
    }
}

/// Is this root? Tests that need another user skip, visibly, where it isn't.
pub(crate) fn is_root(test: &str) -> bool {
    let root = std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m));
    let root = root.expect("/proc is mounted") == 0;
    if !root {
        impossible(test, "needs root");
    }
    root
}

/// Is there strace, and may it trace?
pub(crate) fn can_trace(test: &str) -> bool {
    if !needs(test, "strace") {
        return false;
    }
    let traced = std::process::Command::new("strace").args(["-qq", "true"]).output();
    let may = traced.is_ok_and(|output| output.status.success());
    if !may {
        impossible(test, "may not trace");
    }
    may
}

/// May it also send signals at a system call? One that is killed there says nothing.
pub(crate) fn can_inject(test: &str) -> bool {
    use std::os::unix::process::ExitStatusExt;
    if !can_trace(test) {
        return false;
    }
    let probed = std::process::Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=kill:signal=KILL:when=1"])
        .args(["sh", "-c", "kill -0 $$; echo alive"])
        .output()
        .expect("strace");
    // As what it ran, strace ends by that signal.
    let may = probed.status.signal() == Some(9) && probed.stdout.is_empty();
    if !may {
        impossible(test, "strace sends no signals");
    }
    may
}

/// Says that this kernel, or what this user may do, forbids a test or a part of it.
pub(crate) fn impossible(test: &str, why: &str) {
    eprintln!("not possible here: {test}: {why}");
}

/// Says what was measured; no test depends on it.
pub(crate) fn figures(text: std::fmt::Arguments<'_>) {
    eprintln!("{text}");
}

/// Copies a program that is to run, by a child: a process that another thread starts
/// meanwhile would hold a descriptor of ours open for writing, and what is written can't run.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg(from).arg(to).status().expect("cp");
    assert!(status.success(), "cp {} {}", from.display(), to.display());
}

/// chmod.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

/// The mode's twelve bits.
pub(crate) fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().expect("stat").permissions().mode() & 0o7777
}

/// What a program printed.
pub(crate) fn stdout_of(command: &mut Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).expect("UTF-8")
}

/// Who runs this job, by its `started`: the leader of its session.
pub(crate) fn session_of(job: &Path) -> Option<Pid> {
    let started = std::fs::read_to_string(job.join("started")).ok()?;
    let session = started.lines().find_map(|line| line.strip_prefix("session "))?;
    Pid::from_raw(session.parse().ok()?)
}

/// kill -9 of whoever runs this job.
pub(crate) fn kill_session_of(job: &Path) {
    let session = session_of(job).expect("a session");
    rustix::process::kill_process(session, Signal::KILL).expect("kill");
}

/// The most memory that a process ever had, in KiB.
pub(crate) fn peak_of(process: Pid) -> Option<u64> {
    let status = format!("/proc/{}/status", process.as_raw_pid());
    let status = std::fs::read_to_string(status).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse().ok()
}

/// Waits until something is so.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} never happened");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A small file system, unmounted in the end: its directory, which may be moved meanwhile.
pub(crate) struct SmallDisk(std::fs::File);

impl SmallDisk {
    /// Mounts one here, if that may be; `size` is a word of tmpfs(5).
    pub(crate) fn mount(path: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir_all(path).expect("mkdir");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0711"), "tmpfs"]).arg(path);
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then(|| SmallDisk(std::fs::File::open(path).expect("it is there")))
    }

    fn path(&self) -> PathBuf {
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&self.0);
        std::fs::read_link(format!("/proc/self/fd/{descriptor}")).expect("/proc is mounted")
    }

    /// Leaves so much room, until the file is removed.
    pub(crate) fn fill_but(&self, room: u64) -> PathBuf {
        use std::io::Write;
        let path = self.path().join("filled");
        let mut file = std::fs::File::create(&path).expect("create");
        while file.write_all(&[1; 4096]).is_ok() {}
        let length = file.metadata().expect("stat").len();
        file.set_len(length - room).expect("shortened");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still runs there keeps it no longer than it lives.
        let _ = Command::new("umount").arg("-l").arg(self.path()).ok();
    }
}
