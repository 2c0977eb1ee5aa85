//! An octopus and its tentacles on this machine: identities made, thumbprints
//! exchanged, listeners running.

use crate::support::Sandbox;
use assert_cmd::Command;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// An octopus: a sandbox with an identity, and a targets file that grows.
pub(crate) struct Octopus {
    /// Its directories.
    pub(crate) sandbox: Sandbox,
    /// Its thumbprint.
    pub(crate) thumbprint: String,
    targets: String,
}

/// A tentacle; its listener is killed when this goes.
pub(crate) struct Tentacle {
    /// Its name in the targets file.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: String,
    /// Its thumbprint.
    pub(crate) thumbprint: String,
    /// Its CONFIG.
    pub(crate) config: PathBuf,
    /// Its STATE.
    pub(crate) state: PathBuf,
    program: PathBuf,
    child: Option<Child>,
}

impl Octopus {
    /// `program` is the binary under test, as for [`Sandbox::new`].
    pub(crate) fn new(program: &Path) -> Octopus {
        let sandbox = Sandbox::new(program);
        sandbox.tool("octo-keys").arg("new").assert().success();
        let thumbprint = thumbprint_of(&sandbox, &sandbox.config("identity.pem"));
        let octopus = Octopus { sandbox, thumbprint, targets: String::new() };
        octopus.write_targets();
        octopus
    }

    /// An octopus and a tentacle called web1 that trusts it in everything.
    pub(crate) fn with_one(program: &Path) -> (Octopus, Tentacle) {
        let mut octopus = Octopus::new(program);
        let tentacle = octopus.tentacle("web1", "web");
        (octopus, tentacle)
    }

    /// A running tentacle that trusts this octopus in everything, in the targets
    /// file with these tags.
    pub(crate) fn tentacle(&mut self, name: &str, tags: &str) -> Tentacle {
        let mut tentacle = self.stranger(name);
        tentacle.trust(&self.sandbox, &self.thumbprint, "allow=any");
        tentacle.start();
        self.add_target(&tentacle.line(tags));
        tentacle
    }

    /// A tentacle that trusts nobody and does not run.
    pub(crate) fn stranger(&self, name: &str) -> Tentacle {
        let config = self.sandbox.path(name).join("config");
        let state = self.sandbox.path(name).join("state");
        let keys = |arguments: &[&str]| {
            let mut command = self.sandbox.tool("octo-keys");
            command.arg("--config").arg(&config).arg("--state").arg(&state).args(arguments);
            command
        };
        keys(&["new"]).assert().success();
        std::fs::write(config.join("trusted"), "").expect("write");
        crate::support::set_mode(&config.join("trusted"), 0o644);
        Tentacle {
            name: name.to_string(),
            address: String::new(),
            thumbprint: thumbprint_of(&self.sandbox, &config.join("identity.pem")),
            config,
            state,
            program: self.sandbox.program("octo-listen"),
            child: None,
        }
    }

    /// Adds a line to the targets file.
    pub(crate) fn add_target(&mut self, line: &str) {
        self.targets.push_str(line);
        self.targets.push('\n');
        self.write_targets();
    }

    /// Writes the targets file anew.
    pub(crate) fn set_targets(&mut self, text: &str) {
        self.targets = text.to_string();
        self.write_targets();
    }

    fn write_targets(&self) {
        let path = self.sandbox.write("config/targets", &self.targets);
        crate::support::set_mode(&path, 0o644);
    }

    /// octo-push with these arguments.
    pub(crate) fn push(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.tool("octo-push");
        command.args(arguments);
        command
    }

    /// The same as a command of std, to be started and left alone.
    pub(crate) fn start(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(self.sandbox.program("octo-push"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.sandbox.path(""))
            .env("OCTO_CONFIG", self.sandbox.path("config"))
            .env("OCTO_STATE", self.sandbox.path("state"))
            .current_dir(self.sandbox.path(""))
            .stdin(Stdio::null());
        command
    }
}

impl Tentacle {
    /// Its line in a targets file.
    pub(crate) fn line(&self, tags: &str) -> String {
        self.line_at(&self.address, tags)
    }

    /// The same at another address, a proxy's perhaps.
    pub(crate) fn line_at(&self, address: &str, tags: &str) -> String {
        format!("{} {address} {} {tags}", self.name, self.thumbprint)
    }

    /// Lets a pusher in, with these options; as root its jobs run as root.
    pub(crate) fn trust(&self, sandbox: &Sandbox, thumbprint: &str, options: &str) {
        let root = std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m));
        let user = if matches!(root, Ok(0)) { "user=root " } else { "" };
        sandbox
            .tool("octo-keys")
            .arg("--config")
            .arg(&self.config)
            .args(["trust", "-o", &format!("{user}{options}"), thumbprint, "octopus"])
            .assert()
            .success();
    }

    /// Writes its trust file anew.
    pub(crate) fn set_trusted(&self, text: &str) {
        std::fs::write(self.config.join("trusted"), text).expect("write");
    }

    /// Starts its listener, where it listened before if it did.
    pub(crate) fn start(&mut self) {
        let listen = match self.address.as_str() {
            "" => format!("{}:0", crate::support::loopback_apart()),
            address => address.to_string(),
        };
        self.start_at(&listen);
    }

    /// Starts its listener at this address.
    pub(crate) fn start_at(&mut self, listen: &str) {
        let errors = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.config.join("listen.log"))
            .expect("a log");
        let mut child = std::process::Command::new(&self.program)
            .arg("--config")
            .arg(&self.config)
            .arg("--state")
            .arg(&self.state)
            .args(["-v", "-l", listen])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &self.state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("octo-listen starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening ").unwrap_or_else(|| {
            panic!("{line:?}; {}", self.log());
        });
        self.address = address.trim().to_string();
        self.child = Some(child);
    }

    /// Its listener is this program from now on.
    pub(crate) fn use_program(&mut self, program: &Path) {
        self.program = program.to_path_buf();
    }

    /// Kills its listener with -9; what runs goes on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
    }

    /// The process id of its listener.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What its listener said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.config.join("listen.log")).unwrap_or_default()
    }

    /// The directories of its jobs.
    pub(crate) fn jobs(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.state.join("jobs")) else { return Vec::new() };
        entries.flatten().map(|e| e.path()).filter(|path| path.join("spec").exists()).collect()
    }
}

impl Drop for Tentacle {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn thumbprint_of(sandbox: &Sandbox, identity: &Path) -> String {
    let shown = crate::support::stdout_of(sandbox.tool("octo-keys").arg("show").arg(identity));
    let is_thumbprint =
        |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    shown.split_ascii_whitespace().find(is_thumbprint).expect("a thumbprint").to_string()
}
