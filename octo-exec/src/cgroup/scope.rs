//! A scope of systemd: a cgroup, with limits, for a program (systemd-run(1)). Beneath its
//! units controllers are systemd's: what others set there it takes back, and a unit in
//! which they are enabled can't be started again while a job of it runs.

use super::Group;
use super::limits::put;
use octo_core::JobId;
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

/// The name of a job's scope.
pub(super) fn name(job: &JobId) -> String {
    format!("octo-{job}.scope")
}

/// Starts the command in a scope of this job.
///
/// # Errors
/// Why not, in words: nothing was started then.
pub(super) fn start(
    mount: &Path,
    command: &Command,
    spawn: impl Fn(Command) -> io::Result<Child>,
    job: &JobId,
    resources: Resources,
) -> Result<(Child, Group), String> {
    // sd_booted(3)
    if !Path::new("/run/systemd/system").is_dir() {
        return Err("its unit is of a systemd that can't be seen here".into());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("systemd makes a scope with limits for root alone".into());
    }
    let started = spawn(around(command, job, resources));
    let mut child = started.map_err(|error| format!("systemd-run: {}", describe(&error)))?;
    let own = PathBuf::from(format!("/proc/{}/cgroup", child.id()));
    let until = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(directory) = beneath(mount, &own, job) {
            // For this a scope has no property before version 253.
            let _ = put(&directory.join("memory.oom.group"), "1");
            return Ok((child, Group::of_scope(directory, job)));
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
fn around(command: &Command, job: &JobId, resources: Resources) -> Command {
    let mut run = Command::new("systemd-run");
    run.env_clear().env("PATH", PATH);
    run.args(["--scope", "--quiet", "--collect", "--unit"]).arg(name(job));
    for property in properties(resources) {
        run.arg("--property").arg(property);
    }
    run.arg("--").arg(command.get_program()).args(command.get_args());
    command.get_current_dir().into_iter().for_each(|directory| _ = run.current_dir(directory));
    run
}

fn properties(resources: Resources) -> Vec<String> {
    let Resources { memory, cpu, tasks } = resources;
    let memory = memory.map(|bytes| [format!("MemoryMax={bytes}"), "MemorySwapMax=0".into()]);
    let cpu = cpu.map(|percent| format!("CPUQuota={percent}%"));
    let tasks = tasks.map(|tasks| format!("TasksMax={tasks}"));
    memory.into_iter().flatten().chain(cpu).chain(tasks).collect()
}

/// The cgroup of the process of this /proc/PID/cgroup, if that is the scope.
fn beneath(mount: &Path, own: &Path, job: &JobId) -> Option<PathBuf> {
    let text = fs::read_to_string(own).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let is_scope = Path::new(path).file_name() == Some(OsStr::new(&name(job)));
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
    let mut command = Command::new("systemctl");
    command.env_clear().env("PATH", PATH).args(["set-property", "--runtime", scope]);
    command.args(["MemoryMax=infinity", "MemorySwapMax=infinity", "TasksMax=infinity"]);
    command.arg("CPUQuota=").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_properties_of_the_scope() {
        let job = JobId::parse("20260101T000000-abcdefghijklm").expect("an id");
        let mut own = Command::new("/usr/bin/octo-exec");
        own.arg("enter").current_dir("/work");
        let all = Resources { memory: Some(1 << 20), cpu: Some(50), tasks: Some(7) };
        let around = around(&own, &job, all);
        let words: Vec<&OsStr> = around.get_args().collect();
        let wanted = "--scope --quiet --collect --unit octo-20260101T000000-abcdefghijklm.scope \
            --property MemoryMax=1048576 --property MemorySwapMax=0 --property CPUQuota=50% \
            --property TasksMax=7 -- /usr/bin/octo-exec enter";
        assert_eq!(words, wanted.split_whitespace().collect::<Vec<_>>());
        assert_eq!(around.get_current_dir(), Some(Path::new("/work")));
        assert_eq!(properties(Resources::default()), [""; 0]);
    }
}
