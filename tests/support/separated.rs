//! A tentacle of two users: octo-exec serve as root, the listener as nobody. For root.

use crate::support::{loopback_apart, set_mode};
use crate::tentacle::{Octopus, Tentacle};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The options of an octopus whose jobs run as somebody without privileges.
pub(crate) const LINE: &str = "allow=any user=daemon";

/// Both sides of it, killed with this.
pub(crate) struct Separated {
    pub(crate) tentacle: Tentacle,
    pub(crate) serving: Child,
    pub(crate) listening: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Separated {
    /// Starts both; the trust file has this line of the octopus'.
    pub(crate) fn start(octopus: &mut Octopus, options: &str) -> Separated {
        let tentacle = octopus.stranger("web1");
        tentacle.set_trusted(&format!("{} octopus {options}\n", octopus.thumbprint));
        set_mode(&tentacle.config, 0o755);
        set_mode(tentacle.config.parent().expect("a directory"), 0o755);
        let (serving, _) = start(octopus, &tentacle, "octo-exec", &["serve"], &[]);
        let listen = ["-l", &format!("{}:0", loopback_apart()), "-u", "nobody"];
        let (listening, said) = start(octopus, &tentacle, "octo-listen", &listen, &[]);
        let address = said.strip_prefix("listening ").expect("an address").to_string();
        octopus.add_target(&tentacle.line_at(&address, "web"));
        Separated { tentacle, serving, listening, address }
    }

    /// kill -9 of the privileged side, and a new one.
    pub(crate) fn restart_serve(&mut self, octopus: &Octopus) {
        self.restart_serve_with(octopus, &[]);
    }

    /// The same with these variables, each as `NAME=VALUE`.
    pub(crate) fn restart_serve_with(&mut self, octopus: &Octopus, variables: &[&str]) {
        self.end_serve();
        self.serving = start(octopus, &self.tentacle, "octo-exec", &["serve"], variables).0;
    }

    /// kill -9 of the privileged side.
    pub(crate) fn end_serve(&mut self) {
        end(&mut self.serving);
    }

    /// Stops the privileged side, or lets it go on.
    pub(crate) fn signal_serve(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.serving), signal).expect("kill");
    }

    /// kill -9 of the listener.
    pub(crate) fn end_listener(&mut self) {
        end(&mut self.listening);
    }

    /// kill -9 of the listener, and a new one in its place.
    pub(crate) fn restart_listener(&mut self, octopus: &Octopus) {
        self.end_listener();
        let listen = ["-l", &self.address, "-u", "nobody"];
        let (listening, said) = start(octopus, &self.tentacle, "octo-listen", &listen, &[]);
        assert!(said.starts_with("listening "), "{said}: {}", self.logs());
        self.listening = listening;
    }

    /// The directory of a job.
    pub(crate) fn job(&self, id: &str) -> PathBuf {
        self.tentacle.state.join("jobs").join(id)
    }

    /// The names in its spool, temporary ones as well.
    pub(crate) fn spooled(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.tentacle.state.join("spool")).expect("a spool");
        entries.flatten().map(|e| e.file_name().into_string().expect("UTF-8")).collect()
    }

    /// What both have said on standard error.
    pub(crate) fn logs(&self) -> String {
        let read = |tool| std::fs::read_to_string(self.tentacle.config.join(tool)).expect("a log");
        [read("octo-exec.log"), read("octo-listen.log")].concat()
    }
}

impl Drop for Separated {
    fn drop(&mut self) {
        end(&mut self.serving);
        end(&mut self.listening);
    }
}

/// A job id of its own for each call.
pub(crate) fn job_id() -> String {
    octo_core::JobId::generate().expect("random bytes").to_string()
}

/// A directory in which jobs leave a line each time they run.
pub(crate) fn marks(octopus: &Octopus) -> PathBuf {
    let marks = octopus.sandbox.path("marks");
    std::fs::create_dir(&marks).expect("mkdir");
    set_mode(&marks, 0o777);
    marks
}

/// How often the one that leaves this ran.
pub(crate) fn runs(mark: &Path) -> usize {
    std::fs::read_to_string(mark).unwrap_or_default().lines().count()
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Starts a tool of the tentacle's as root; the first line that it prints.
fn start(
    octopus: &Octopus,
    tentacle: &Tentacle,
    tool: &str,
    arguments: &[&str],
    variables: &[&str],
) -> (Child, String) {
    let log = tentacle.config.join(format!("{tool}.log"));
    let log = File::options().create(true).append(true).open(log).expect("a log");
    let mut child = Command::new(octopus.sandbox.program(tool))
        .arg("--config")
        .arg(&tentacle.config)
        .arg("--state")
        .arg(&tentacle.state)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(variables.iter().filter_map(|variable| variable.split_once('=')))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("standard output");
    BufReader::new(output).read_line(&mut line).expect("a line");
    (child, line.trim_end().to_string())
}
