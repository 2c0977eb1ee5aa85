//! A scope of systemd: a cgroup, with limits, for a program (systemd-run(1)). Beneath its
//! units controllers are systemd's: what others set there it takes back, and a unit in
//! which they are enabled can't be started again while a job of it runs.

use super::limits::properties;
use octo_core::base::error::describe;
use octo_core::base::users::PATH;
use octo_core::trust::Resources;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long systemd may take to make one.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long systemd may take to notice that a scope is empty.
const ASKED: Duration = Duration::from_secs(2);
/// All of it ends at once: which of its processes the kernel chose would be chance, and by
/// default systemd would send the others TERM and wait.
const OUT_OF_MEMORY: &str = "OOMPolicy=kill";

/// The scope of this name, as systemd spells it.
pub(super) fn name(name: &str) -> String {
    format!("{name}.scope")
}

/// Starts the command in a scope of this name, which has that directory.
///
/// # Errors
/// Why not, in words: nothing was started then.
pub(super) fn start(
    mount: &Path,
    command: &Command,
    spawn: impl Fn(Command) -> io::Result<Child>,
    scope: &str,
    resources: Resources,
) -> Result<(Child, PathBuf), String> {
    // sd_booted(3)
    if !Path::new("/run/systemd/system").is_dir() {
        return Err("its unit is of a systemd that can't be seen here".into());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("systemd makes a scope with limits for root alone".into());
    }
    // Only where a scope has no such property yet: another try for another reason would find
    // the name taken.
    let first = run(mount, around(command, scope, resources, &[OUT_OF_MEMORY]), &spawn, scope);
    match first {
        Err(why) if why.contains("OOMPolicy") => {
            run(mount, around(command, scope, resources, &[]), &spawn, scope)
        }
        other => other,
    }
}

/// Starts systemd-run, and waits until it is in the scope, where it becomes its command.
fn run(
    mount: &Path,
    systemd_run: Command,
    spawn: impl Fn(Command) -> io::Result<Child>,
    scope: &str,
) -> Result<(Child, PathBuf), String> {
    let started = spawn(systemd_run);
    let mut child = started.map_err(|error| format!("systemd-run: {}", describe(&error)))?;
    let own = PathBuf::from(format!("/proc/{}/cgroup", child.id()));
    let until = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(directory) = beneath(mount, &own, scope) {
            return Ok((child, directory));
        }
        let is_over = !matches!(child.try_wait(), Ok(None));
        if is_over || Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(why(child.stderr.take().filter(|_| is_over)));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The same command, but by way of systemd.
fn around(command: &Command, scope: &str, resources: Resources, more: &[&str]) -> Command {
    let mut run = Command::new("systemd-run");
    run.env_clear().env("PATH", PATH);
    run.args(["--scope", "--quiet", "--unit"]).arg(scope);
    for property in properties(resources).iter().map(String::as_str).chain(more.iter().copied()) {
        run.arg("--property").arg(property);
    }
    run.arg("--").arg(command.get_program()).args(command.get_args());
    command.get_current_dir().into_iter().for_each(|directory| _ = run.current_dir(directory));
    run
}

/// The cgroup of the process of this /proc/PID/cgroup, if that is the scope.
fn beneath(mount: &Path, own: &Path, scope: &str) -> Option<PathBuf> {
    let text = fs::read_to_string(own).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let is_scope = Path::new(path).file_name() == Some(OsStr::new(scope));
    is_scope.then(|| mount.join(path))
}

fn why(errors: Option<impl Read>) -> String {
    let mut text = Vec::new();
    let _ = errors.map(|errors| errors.take(1000).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    match text.trim() {
        "" => "systemd-run made no scope".into(),
        said => format!("systemd-run: {}", said.replace('\n', "; ")),
    }
}

/// Nothing limits it any more; systemd keeps that until the next boot.
pub(super) fn lift(scope: &str) {
    let lifted = ["MemoryMax=infinity", "MemorySwapMax=infinity", "TasksMax=infinity", "CPUQuota="];
    let mut command = systemctl(&["set-property", "--runtime", scope]);
    let _ = command.args(lifted).stdout(Stdio::null()).status();
}

/// Did it end because its memory was used up? The cgroup is gone by then; systemd keeps
/// the name of a scope that failed until somebody has asked.
pub(super) fn was_out_of_memory(scope: &str) -> bool {
    let until = Instant::now() + ASKED;
    loop {
        let properties = ["show", "--property", "ActiveState,Result", "--value", scope];
        let Ok(said) = systemctl(&properties).output() else { return false };
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let is = |word: &str| said.lines().any(|line| line == word);
        if is("failed") {
            let _ = systemctl(&["reset-failed", scope]).stdout(Stdio::null()).status();
            return is("oom-kill");
        }
        // Its last process is dead: systemd hears of that in a moment.
        if is("inactive") || Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn systemctl(words: &[&str]) -> Command {
    let mut command = Command::new("systemctl");
    command.env_clear().env("PATH", PATH).args(words).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_properties_of_the_scope() {
        let mut own = Command::new("/usr/bin/octo-exec");
        own.arg("enter").current_dir("/work");
        let all = Resources { memory: Some(1 << 20), cpu: Some(50), tasks: Some(7) };
        let around = around(&own, "octo-x-7.scope", all, &[OUT_OF_MEMORY]);
        let words: Vec<&OsStr> = around.get_args().collect();
        let wanted = "--scope --quiet --unit octo-x-7.scope \
            --property MemoryMax=1048576 --property MemorySwapMax=0 --property CPUQuota=50% \
            --property TasksMax=7 --property OOMPolicy=kill -- /usr/bin/octo-exec enter";
        assert_eq!(words, wanted.split_whitespace().collect::<Vec<_>>());
        assert_eq!(around.get_current_dir(), Some(Path::new("/work")));
        assert_eq!(properties(Resources::default()), [""; 0]);
    }
}
