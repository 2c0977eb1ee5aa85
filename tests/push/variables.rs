//! What may be said to a script: all variables that are refused are told at once, with
//! where they were said, and nothing is sent before.

use crate::support::set_mode;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;

/// web1 with the installed script `show`, which prints its environment, and these options.
fn installed(options: &str) -> (Octopus, Tentacle) {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let script = octopus.sandbox.write("scripts/show", "#!/bin/sh\nenv\n");
    set_mode(&script, 0o755);
    octopus.sandbox.write("package.tar", vec![7; 100_000]);
    let mut web1 = octopus.stranger("web1");
    let scripts = octopus.sandbox.path("scripts");
    let options = options.replace("SCRIPTS", &format!("scripts={}", scripts.display()));
    web1.trust(&octopus.sandbox, &octopus.thumbprint, &options);
    web1.start();
    octopus.add_target(&web1.line("web"));
    (octopus, web1)
}

/// Did the tentacle ever hear of a package?
fn put_begun(web1: &Tentacle) -> bool {
    let audit = std::fs::read_to_string(web1.state.join("listen/audit.log")).unwrap_or_default();
    audit.lines().any(|line| line.contains(" put "))
}

#[test]
fn npm_is_not_told_what_to_run_in_any_case() {
    for options in ["SCRIPTS", "SCRIPTS env=*", "SCRIPTS env=npm_*", ""] {
        let (octopus, web1) = installed(options);
        for name in ["npm_config_node_options", "NPM_CONFIG_NODE_OPTIONS", "Node_Options"] {
            let given = format!("{name}=--require x");
            let what: &[&str] =
                if options.is_empty() { &["-c", "env"] } else { &["--name", "show"] };
            let run = [&["-t", "web1", "run", "-p", "package.tar", "-e", &given], what].concat();
            let said = format!("-e: variable {name} is refused: ");
            octopus.push(&run).assert().code(77).stdout("").stderr(contains(said));
        }
        assert!(!put_begun(&web1) && web1.jobs().is_empty(), "{options}");
    }
}

#[test]
fn what_only_an_application_reads_is_permitted() {
    let given = ["NODE_ENV=production", "GIT_COMMIT=0f", "DOTNET_ENVIRONMENT=Staging", "LANG=C"];
    for (options, what) in [("", ["-c", "env"]), ("SCRIPTS env=*", ["--name", "show"])] {
        let (octopus, _web1) = installed(options);
        let mut push = octopus.push(&["-t", "web1", "run"]);
        push.args(given.iter().flat_map(|variable| ["-e", *variable]));
        let all = given.iter().fold(predicate::always().boxed(), |all, line| {
            all.and(contains(format!("{line}\n"))).boxed()
        });
        push.args(what).assert().success().stdout(all);
    }
}

#[test]
fn all_that_no_pusher_may_set_are_told_at_once() {
    let (octopus, web1) = installed("");
    octopus.sandbox.write("all.env", "# x\nA=1\nhttps_proxy=hunter2\n");
    octopus.sandbox.write("web1.env", b"B=1\0GIT_SSH=hunter2\0");
    let secrets = octopus.sandbox.write("secrets", "TOKEN=1\nPIP_INDEX_URL=hunter2\n");
    set_mode(&secrets, 0o600);
    let run = [
        "-t",
        "web1",
        "run",
        "-p",
        "package.tar",
        "-e",
        "PATH=hunter2",
        "-E",
        "all.env",
        "-E",
        "%n.env",
        "-S",
        "secrets",
        "no-such-script",
    ];
    let names = "variables PATH, https_proxy, GIT_SSH, PIP_INDEX_URL are refused";
    let told =
        ["-e: PATH: ", "all.env:3: https_proxy: ", "web1.env:2: GIT_SSH: ", "secrets:2: PIP_"];
    let assert = octopus.push(&run).assert().code(77).stderr(contains(names));
    let assert = told.iter().fold(assert, |assert, place| assert.stderr(contains(*place)));
    assert.stderr(contains("hunter2").not());
    // By hand as well.
    let by_hand =
        octopus.sandbox.tool("octo-exec").args(["run", "-E", "all.env", "-c", "true"]).assert();
    by_hand.code(77).stderr(contains("all.env:3: variable https_proxy is refused: "));
    assert!(!put_begun(&web1) && web1.jobs().is_empty());
}

#[test]
fn all_that_a_line_does_not_permit_are_told_at_once_and_nothing_is_sent() {
    let (octopus, web1) = installed("env=APP_*,TOKEN set=MODE=x");
    octopus.sandbox.write("all.env", "APP_X=1\nOTHER=hunter2\n");
    let secrets =
        octopus.sandbox.write("secrets", "TOKEN=1\n#line 9 vars/common.secret\nPIN=hunter2\n");
    set_mode(&secrets, 0o600);
    let run =
        ["-t", "web1", "run", "-p", "package.tar", "-e", "ONE=1", "-e", "MODE=y", "-E", "all.env"];
    let with = |more: &[&'static str]| [&run[..], more, &["-c", "env"]].concat();
    let assert = octopus.push(&with(&["-S", "secrets"])).assert().code(77);
    let assert =
        assert.stderr(contains("denied: octopus may not set OTHER, ONE, PIN: env= of its line"));
    let assert = assert.stderr(contains("; octopus may not set MODE: set= of its line does"));
    let told = ["-e: ONE", "-e: MODE", "all.env:2: OTHER", "vars/common.secret:9: PIN"];
    let assert = told
        .iter()
        .fold(assert, |assert, place| assert.stderr(contains(format!("hint: {place}\n"))));
    assert.stderr(contains("hunter2").not());
    assert!(!put_begun(&web1) && web1.jobs().is_empty());
    // One that needs no package hears the same from the run itself.
    let plain = [&run[..3], &["-E", "all.env", "-c", "env"]].concat();
    octopus.push(&plain).assert().code(77).stderr(contains("hint: all.env:2: OTHER\n"));
    let many: String = (1..=30).map(|n| format!("V{n}=\n")).collect();
    octopus.sandbox.write("many.env", many);
    let run_many = [&run[..3], &["-E", "many.env", "-c", "env"]].concat();
    let many = octopus.push(&run_many).assert().code(77);
    let many = many.stderr(contains("V29, V30: env= of its line doesn't name them"));
    many.stderr(contains("hint: many.env:20: V20\nocto-push: hint: and 10 more\n"));
    // What the line permits passes, and its own variable arrives.
    octopus.sandbox.write("all.env", "APP_X=1\n");
    let secrets = octopus.sandbox.write("secrets", "TOKEN=1\n");
    set_mode(&secrets, 0o600);
    let run = [&run[..5], &["-E", "all.env", "-S", "secrets", "-c", "echo $APP_X $MODE"]].concat();
    octopus.push(&run).assert().success().stdout("1 x\n");
    assert!(put_begun(&web1));
}

#[test]
fn installed_scripts_are_given_variables_by_name_only() {
    let (octopus, web1) = installed("SCRIPTS");
    let run = ["-t", "web1", "run", "-p", "package.tar", "-e", "APP_X=1", "--name", "show"];
    let said = "octopus may not set APP_X: its line has scripts= without env=";
    octopus
        .push(&run)
        .assert()
        .code(77)
        .stderr(contains(said))
        .stderr(contains("hint: -e: APP_X\n"));
    assert!(!put_begun(&web1));
    let plain = ["-t", "web1", "run", "--name", "show"];
    octopus.push(&plain).assert().success();
}

/// Whatever would refuse the run is told before a byte of its package is sent.
#[test]
fn no_package_is_sent_for_a_run_that_would_be_refused() {
    for (options, what, code, said) in [
        ("SCRIPTS", &["-c", "true"][..], 77, "may run installed scripts only"),
        ("locks=db", &["-L", "web", "-c", "true"], 77, "may not take the lock web"),
        ("max-jobs=0", &["-c", "true"], 75, "has 0 jobs under way already"),
        ("allow=put", &["-c", "true"], 77, "may neither run scripts nor freeze applications"),
        // Enough for the package and its spec, and not for its script.
        ("max-size=100000", &["large.sh"], 77, "are more than octopus may send at once"),
    ] {
        let (octopus, web1) = installed(options);
        octopus.sandbox.write("large.sh", vec![b'#'; 200_000]);
        // One that is busy is asked again, as long as this.
        let run = [&["-w", "10", "-t", "web1", "run", "-p", "package.tar"], what].concat();
        octopus.push(&run).assert().code(code).stderr(contains(said));
        assert!(!put_begun(&web1), "{options}");
    }
}

#[test]
fn whether_a_run_would_be_accepted_can_be_asked_alone() {
    let (octopus, web1) = installed("env=A");
    let ask = ["-v", "-t", "web1", "run", "--ask"];
    let with = |more: &[&'static str]| octopus.push(&[&ask[..], more].concat()).assert();
    with(&["-e", "A=1", "-c", "true"]).success().stderr(contains("web1: would be accepted"));
    with(&["-p", "no-such-file", "-c", "true"]).success();
    with(&["-e", "A=1", "-e", "B=1", "-c", "true"]).code(77).stderr(contains("hint: -e: B\n"));
    for (more, said) in [
        (&["-D", "-c", "true"][..], "--ask and --detach can't stand together"),
        (&["--end", "f", "-c", "true"], "--ask and --end can't stand together"),
        (&["-g", "-c", "true"], "--ask and --gather can't stand together"),
        (&["--batch", "1", "-c", "true"], "--ask runs nothing: there are no batches"),
    ] {
        with(more).code(64).stderr(contains(said));
    }
    assert!(web1.jobs().is_empty() && !put_begun(&web1));
    octopus.push(&["journal"]).assert().stdout("");
}

/// A repeat is no new job: what the trust file says by now doesn't matter to it.
#[test]
fn a_job_that_is_there_is_attached_to_whatever_its_line_says_now() {
    let (octopus, web1) = installed("");
    let id = "20260101T000000-abcdefghijklm";
    let run = ["-t", "web1", "run", "-j", id, "-p", "package.tar", "-e", "A=1", "-c", "echo ran"];
    octopus.push(&run).assert().success().stdout("ran\n");
    let trusted = std::fs::read_to_string(web1.config.join("trusted")).expect("read");
    web1.set_trusted(&format!("{} env= max-jobs=0\n", trusted.trim_end()));
    octopus.push(&run).assert().success().stdout("ran\n");
    assert_eq!(web1.jobs().len(), 1);
}
