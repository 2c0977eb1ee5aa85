//! octo-push with what people push: the project's own programs, somebody else's
//! package, odd names, scripts of every kind.

use crate::support::{PATIENCE, impossible, needs, set_mode};
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use predicates::str::contains;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn our_own_programs_packed_are_unpacked_and_run() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let tools = ["octo-exec", "octo-keys", "octo-listen", "octo-push"];
    // Those that ship, where they have been built; else those under test.
    let debug = cargo_bin!("octo-push").parent().expect("a directory").to_path_buf();
    let release = debug.with_file_name("release");
    let whole = tools.iter().all(|tool| release.join(tool).exists());
    let programs = if whole { release } else { debug };
    let package = octopus.sandbox.path("octo-0.1.0.tar.gz");
    tar(&["-C", path(&programs), "-czf", path(&package)], &tools);

    octopus.sandbox.write(
        "install.sh",
        "set -eu\ntar -xzf \"$OCTO_PACKAGE\"\nfor tool in octo-*; do ./$tool --version; done\n\
         echo \"$OCTO_PACKAGE_NAME $OCTO_PACKAGE_SHA256\"\n",
    );
    let version = env!("CARGO_PKG_VERSION");
    let mut said: String = tools.iter().map(|tool| format!("{tool} {version}\n")).collect();
    let bytes = std::fs::read(&package).expect("the package");
    said += &format!("octo-0.1.0.tar.gz {}\n", octo_core::Digest::of(&bytes));
    let run = ["-t", "web1", "run", "-p", path(&package), "install.sh"];
    octopus.push(&run).assert().success().stdout(said);
}

#[test]
fn somebody_elses_package_arrives_as_it_is() {
    let Some(package) = a_crate() else {
        return impossible(
            "somebody_elses_package_arrives_as_it_is",
            "no package in cargo's cache",
        );
    };
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let listed = Command::new("tar").arg("-tzf").arg(&package).output().expect("tar");
    let run = ["-t", "web1", "run", "-p", path(&package)];
    let list = [&run[..], &["-c", "tar -tzf \"$OCTO_PACKAGE\""]].concat();
    octopus.push(&list).assert().success().stdout(listed.stdout);
    let read =
        [&run[..], &["-c", "tar -xOzf \"$OCTO_PACKAGE\" --wildcards '*/Cargo.toml'"]].concat();
    octopus.push(&read).assert().success().stdout(contains("name = \"getopts\""));
}

#[test]
fn names_are_any_that_a_file_can_have() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    for name in ["with space", "-dash", "new\nline", "é ü 漢", "it's \"q\" $(id) *", "%41"] {
        octopus.sandbox.write(name, name);
        let here = format!("./{name}");
        let command = "cat \"$OCTO_PACKAGE\"; printf \"|%s|\" \"$OCTO_PACKAGE_NAME\" \"$@\"";
        let run = ["-t", "web1", "run", "-p", &here, "-c", command, "--", name];
        octopus.push(&run).assert().success().stdout(format!("{name}|{name}||{name}|"));
        octopus.sandbox.write(name, "printf \"script:%s\" \"$1\"");
        let script = ["-t", "web1", "run", &here, name];
        octopus.push(&script).assert().success().stdout(format!("script:{name}"));
    }
}

#[test]
fn scripts_need_neither_a_first_line_nor_a_mode() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    for (name, text, code, said) in [
        ("no-shebang", "echo plain \"$1\"; exit 4", 4, "plain a b\n"),
        ("shell", "#!/bin/sh\necho shell \"$1\"; exit 5", 5, "shell a b\n"),
        ("empty", "", 0, ""),
    ] {
        let script = octopus.sandbox.write(name, text);
        set_mode(&script, 0o600);
        octopus.push(&["-t", "web1", "run", name, "a b"]).assert().code(code).stdout(said);
    }
    // From standard input, with a program's own bytes as the rest.
    let mut command = octopus.push(&["-t", "web1", "run", "-", "a b"]);
    command.write_stdin("#!/bin/sh\necho input \"$1\"\n").assert().success().stdout("input a b\n");
    if !needs("scripts_need_neither_a_first_line_nor_a_mode", "python3") {
        return;
    }
    octopus.sandbox.write("python", "#!/usr/bin/env python3\nimport sys\nsys.exit(sys.argv[1])\n");
    let run = octopus.push(&["-t", "web1", "run", "python", "said by é"]).assert();
    run.code(1).stderr(contains("said by é"));
}

/// A package of somebody else's that is on every machine that built this one.
fn a_crate() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let entries = |directory: &Path| std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries(&cargo.join("registry/cache")).flat_map(|registry| entries(&registry.path())).find_map(
        |entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            (name.starts_with("getopts-") && name.ends_with(".crate")).then(|| entry.path())
        },
    )
}

fn tar(options: &[&str], members: &[&str]) {
    let status = Command::new("tar").args(options).args(members).status().expect("tar");
    assert!(status.success());
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Each file is read once, so that it may be a pipe; also one that a target has of its own.
#[test]
fn files_of_variables_may_be_pipes() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let pipes = ["all.env", "web1.env"].map(|name| octopus.sandbox.path(name));
    let writers = pipes.map(|pipe| {
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600))
            .expect("mkfifo");
        std::thread::spawn(move || std::fs::write(pipe, "A=1\n").expect("write"))
    });
    octopus
        .push(&["-a", "run", "-E", "all.env", "-S", "%n.env", "-n", "-c", "true"])
        .timeout(PATIENCE)
        .assert()
        .code(65)
        .stderr(contains("A: is both a secret and a plain variable"));
    for writer in writers {
        writer.join().expect("read once");
    }
    let pipe = octopus.sandbox.path("web1.env");
    let writer = std::thread::spawn(move || std::fs::write(pipe, "A=2\n").expect("write"));
    octopus
        .push(&["-a", "run", "-E", "%n.env", "-c", "echo $A"])
        .timeout(PATIENCE)
        .assert()
        .success()
        .stdout("2\n");
    writer.join().expect("read once");
}
