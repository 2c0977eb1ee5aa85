//! A listener without privileges: CONFIG/start has sudo start octo-exec, and jobs
//! run as the user of their trust line, whoever listens.

use crate::support::{NOBODY, copy_program, impossible, is_root, needs, set_mode};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::str::contains;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A listener that is killed with the test.
struct Listener(Child);

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sudo_starts_jobs_as_another_user_for_a_listener_without_privileges() {
    let test = "sudo_starts_jobs_as_another_user_for_a_listener_without_privileges";
    if !is_root(test) || !needs(test, "sudo") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let tentacle = octopus.stranger("web1");
    let thumbprint = octopus.thumbprint.clone();
    let line = |options: &str| format!("{thumbprint} octopus allow=any {options}\n");
    tentacle.set_trusted(&line("user=daemon"));
    let Some((listener, address)) = listen(&octopus, &tentacle) else {
        return impossible(test, "no mounts of its own");
    };
    octopus.add_target(&tentacle.line_at(&address, "web"));

    let run = |command: &str| octopus.push(&["-t", "web1", "run", "-c", command]);
    run("id -un; id -Gn").assert().success().stdout("daemon\ndaemon\n");
    // It was started by root, and still gains nothing: nor does it reach its record.
    run("grep NoNewPrivs /proc/self/status").assert().stdout("NoNewPrivs:\t1\n");
    let tries = "cd .. && for f in spec grant started lock log new; do
        { echo x >>\"$f\"; } 2>/dev/null && echo \"wrote $f\"; cat \"$f\" 2>/dev/null; done; true";
    run(tries).assert().success().stdout("");
    let status = std::fs::read_to_string(format!("/proc/{}/status", listener.0.id()));
    let uids = format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n");
    assert!(status.expect("status").contains(&uids));
    let jobs = std::fs::read_dir(tentacle.state.join("jobs")).expect("jobs").flatten();
    let mut count = 0;
    for job in jobs.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let metadata = job.metadata().expect("stat");
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o1771), "{}", job.display());
        count += 1;
    }
    assert_eq!(count, 3);

    // The listener may ask for the end of what it may not touch.
    let id = "20260101T000000-aaaaaaaaaaaaa";
    let detached = ["-t", "web1", "run", "-D", "-j", id, "-c", "sleep 300"];
    octopus.push(&detached).assert().success();
    octopus.push(&["-t", "web1", "cancel", id]).assert().success();
    octopus.push(&["-t", "web1", "follow", id]).assert().code(130).stderr(contains("cancelled"));

    // Who decides is the trust file, not who listens.
    tentacle.set_trusted(&line("user=no-such-user"));
    run("true").assert().failure().stderr(contains("no-such-user"));
    tentacle.set_trusted(&line("user=root"));
    run("id -un").assert().success().stdout("root\n");
}

/// Starts the listener as nobody, with a sudoers file that only it sees.
fn listen(octopus: &Octopus, tentacle: &Tentacle) -> Option<(Listener, String)> {
    let sandbox = &octopus.sandbox;
    let octo_exec = sandbox.program("octo-exec");
    // A copy, as the tree may lie where nobody can reach it.
    let octo_listen = sandbox.path("octo-listen");
    copy_program(&sandbox.program("octo-listen"), &octo_listen);
    let rule = format!("nobody ALL=(root) NOPASSWD: {}\n", octo_exec.display());
    set_mode(&sandbox.write("sudoers.d/octo", rule), 0o440);
    let (config, state) = (&tentacle.config, &tentacle.state);
    let start = format!(
        "/usr/bin/sudo -n {} --config {} --state {} job\n",
        octo_exec.display(),
        config.display(),
        state.display()
    );
    std::fs::write(config.join("start"), start).expect("write");
    set_mode(&config.join("start"), 0o644);
    std::fs::create_dir_all(state).expect("mkdir");
    set_mode(config, 0o755);
    set_mode(config.parent().expect("a directory"), 0o755);
    for path in [state.as_path(), &config.join("identity.pem")] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    }

    let script = "mount --bind \"$1\" /etc/sudoers.d && shift &&
        setpriv --reuid=65534 --regid=65534 --clear-groups sudo -n -l >/dev/null &&
        exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \"$@\"";
    let mut child = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(sandbox.path("sudoers.d"))
        .arg(&octo_listen)
        .arg("--config")
        .arg(config)
        .arg("--state")
        .arg(state)
        .args(["-l", "127.0.0.1:0"])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log(config))
        .spawn()
        .ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    let listener = Listener(child);
    Some((listener, line.trim_end().strip_prefix("listening ")?.to_string()))
}

fn log(config: &Path) -> std::fs::File {
    std::fs::File::create(config.join("listen.log")).expect("a log")
}
