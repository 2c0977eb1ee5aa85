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
/// the name of a scope that failed until somebody says [`forget`].
pub(super) fn was_out_of_memory(scope: &str) -> bool {
    let until = Instant::now() + ASKED;
    loop {
        let Ok(said) = systemctl(&["show", "--property", "ActiveState,Result", scope]).output()
        else {
            return false;
        };
        match ended_by(&String::from_utf8_lossy(&said.stdout)) {
            Some(result) => return result == "oom-kill",
            // Its last process is dead: systemd hears of that in a moment.
            None if Instant::now() >= until => return false,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// How a scope ended, by what `systemctl show` says of it; `None` while it has not.
fn ended_by(said: &str) -> Option<&str> {
    let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    matches!(value("ActiveState")?, "failed" | "inactive").then(|| value("Result").unwrap_or(""))
}

/// Has systemd give up the name of one that failed: each would be kept until the next boot.
pub(super) fn forget(scope: &str) {
    let _ = systemctl(&["reset-failed", scope]).stdout(Stdio::null()).status();
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
    fn a_scope_that_failed_says_by_what_and_one_that_lives_says_nothing() {
        for (state, result, ended) in [
            ("failed", "oom-kill", Some("oom-kill")),
            ("failed", "timeout", Some("timeout")),
            ("inactive", "success", Some("success")),
            ("active", "success", None),
            // Others of it are still being ended.
            ("deactivating", "oom-kill", None),
        ] {
            let (state, result) = (format!("ActiveState={state}\n"), format!("Result={result}\n"));
            for said in [[&*state, &*result].concat(), [&*result, &*state].concat()] {
                assert_eq!(ended_by(&said), ended, "{said}");
            }
        }
        assert_eq!((ended_by(""), ended_by("Result=oom-kill\n")), (None, None));
        assert_eq!(ended_by("ActiveState=inactive\n"), Some(""));
    }

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
