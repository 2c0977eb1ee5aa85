//! Questions of scripts: one form of each answer, under the name of who asks.

use crate::support::{Sandbox, mode_of, set_mode};
use crate::tentacle::Octopus;
use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, starts_with};

const SOME: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn sandbox() -> Sandbox {
    Sandbox::new(cargo_bin!("octo-push"))
}

/// `octo-push plumb` with these words.
fn plumb(sandbox: &Sandbox, words: &[&str]) -> Command {
    let mut command = sandbox.tool("octo-push");
    command.arg("plumb").args(words);
    command
}

#[test]
fn places_are_those_of_every_tool() {
    let sandbox = sandbox();
    let here = sandbox.path("").display().to_string();
    let here = here.trim_end_matches('/');
    plumb(&sandbox, &["places"])
        .assert()
        .success()
        .stdout(format!("{here}/config\n{here}/state\n"));
    let mut command = sandbox.tool("octo-push");
    command.args(["--config", "/c", "--state=s", "plumb", "places"]);
    command.assert().success().stdout(format!("/c\n{here}/s\n"));
    plumb(&sandbox, &["places", "--config", "a\nb"]).assert().code(78).stdout("");
    plumb(&sandbox, &["--config", "/c", "places", "--config", "/d"]).assert().code(64);
    for option in ["--config", "--state"] {
        let empty = format!("{option}: its value is empty");
        let mut command = sandbox.tool("octo-push");
        command.args([&format!("{option}="), "-a", "targets"]);
        command.assert().code(64).stderr(contains(&empty));
        plumb(&sandbox, &["places", option, ""]).assert().code(64).stderr(contains(&empty));
    }
    // Nothing of it is made by being asked for.
    assert!(!sandbox.path("config").exists() && !sandbox.path("state").exists());
}

#[test]
fn what_is_not_there_is_not_offered() {
    let sandbox = sandbox();
    plumb(&sandbox, &["offers"]).assert().code(64).stderr(contains("an argument is missing"));
    plumb(&sandbox, &["offers", "COLOUR"]).assert().code(64).stderr(contains("none of APP, "));
    plumb(&sandbox, &["offers", "TARGET", "JOB"]).assert().success().stdout("").stderr("");
}

#[test]
fn messages_are_under_the_name_of_who_asks() {
    let sandbox = sandbox();
    let mut asked =
        plumb(&sandbox, &["--as", "octo-deploy", "values", "--", "--wait", "TIME", "soon"]);
    asked.assert().code(64).stdout("").stderr(
        "octo-deploy: --wait soon: not a time such as 30s, 5m, 1h or 2d\n\
         octo-deploy: hint: octo-deploy --help\n",
    );
    let words = ["values", "--", "--wait", "TIME", "5m", "app", "APP", "shop"];
    plumb(&sandbox, &words).assert().success().stdout("300\nshop\n");
    plumb(&sandbox, &words[..7]).assert().code(64);
    plumb(&sandbox, &["values", "--", "x", "COLOUR", "red"]).assert().code(64);
    plumb(&sandbox, &["valeus"]).assert().code(64).stderr(contains("values is one"));
    plumb(&sandbox, &[]).assert().code(64).stderr(contains("places, hosts, "));
    plumb(&sandbox, &["--help"]).assert().success().stdout(contains("variables TARGET..."));
}

#[test]
fn the_name_of_who_asks_drives_no_terminal() {
    let said = plumb(&sandbox(), &["--as", "\x1b[31mx", "nope"]).assert().code(64);
    let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
    assert!(said.contains("--as \\x1b[31mx: not ") && !said.contains('\x1b'), "{said}");
}

#[test]
fn how_an_application_is_deployed_is_believed_of_nobody_else() {
    let sandbox = sandbox();
    let file = sandbox.write("shop", "batch=20%\nskip-deployed\n");
    set_mode(&file, 0o644);
    let asked = |mode| {
        set_mode(&file, mode);
        plumb(&sandbox, &["settings", "shop", "shop@prod"]).assert()
    };
    asked(0o644).success().stdout("shop, line 1\tbatch\t=20%\nshop, line 2\tskip-deployed\n");
    asked(0o664).code(78).stdout("").stderr(contains("is writable by its group"));
    asked(0o646).code(78).stdout("").stderr(contains("is writable by others"));
    sandbox.write("shop@prod", "\nbatch\t=1\n");
    set_mode(&sandbox.path("shop@prod"), 0o644);
    asked(0o644).code(78).stdout("").stderr(contains("shop@prod, line 2: has a control"));
}

#[test]
fn an_id_is_another_each_time() {
    let sandbox = sandbox();
    let id = || {
        let said = plumb(&sandbox, &["job"]).assert().success();
        String::from_utf8_lossy(&said.get_output().stdout).into_owned()
    };
    let (one, other) = (id(), id());
    assert!(one.len() == 30 && one.ends_with('\n') && one != other, "{one}{other}");
}

#[test]
fn a_package_is_read_off_its_name() {
    let sandbox = sandbox();
    sandbox.write("web-shop-1.4.tar.gz", "hello");
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let file = "./web-shop-1.4.tar.gz";
    plumb(&sandbox, &["package", file]).assert().success().stdout("web-shop\n1.4\n");
    plumb(&sandbox, &["package", "--sha256", file])
        .assert()
        .success()
        .stdout(format!("web-shop\n1.4\n{digest}\n"));
    plumb(&sandbox, &["package", "none-1.0.tar"]).assert().code(65).stdout("");
    plumb(&sandbox, &["package", "."]).assert().code(65);
    assert!(!sandbox.path("state").exists());
}

#[test]
fn hosts_have_neither_port_nor_brackets() {
    let sandbox = sandbox();
    sandbox.write("config/targets", format!("a [::1]:9 {SOME}\nb web.example:9 {}\n", other()));
    set_mode(&sandbox.path("config"), 0o755);
    plumb(&sandbox, &["hosts", "b", "a"]).assert().success().stdout("web.example\n::1\n");
    plumb(&sandbox, &["hosts", "c"]).assert().code(65).stderr(contains("no target has this name"));
}

#[test]
fn variables_are_written_for_their_owner_alone() {
    let sandbox = sandbox();
    sandbox.write("config/targets", format!("a h {SOME} web\n"));
    sandbox.write("config/vars/tag/web", "A=one\ntwo\n\0");
    let old = sandbox.write("into/a.env", "older and much longer than what is written now");
    set_mode(&old, 0o644);
    let mut asked = plumb(&sandbox, &["variables", "--into", "into", "a"]);
    asked.assert().success().stdout("");
    // With its origin, which messages of run name.
    let place = sandbox.path("config/vars/tag/web");
    let written = format!("#line 1 {}\0A=one\ntwo\n\0", place.display());
    assert_eq!(std::fs::read_to_string(&old).expect("read"), written);
    assert_eq!(mode_of(&old), 0o600);
    assert_eq!(std::fs::read(sandbox.path("into/a.secrets")).expect("read"), b"");
    plumb(&sandbox, &["variables", "--into", "nowhere", "a"]).assert().code(73);
    let form = |form| plumb(&sandbox, &["variables", "--form", form, "a"]).assert();
    form("env").success().stdout("A=one\ntwo\n\0");
    form("shown").code(64).stderr(contains("--form shown: not env or secrets"));
}

#[test]
fn an_environment_is_a_word_of_the_lifecycle_or_a_file() {
    let sandbox = sandbox();
    let asked = |words: &[&str]| plumb(&sandbox, &[&["environment"], words].concat()).assert();
    asked(&[]).success().stdout("");
    asked(&["prod"]).code(65).stdout("").stderr(contains("prod: no such environment, there is no"));
    sandbox.write("config/vars/env/prod.secret", "");
    sandbox.write("config/vars/env/prod.secret~", "");
    sandbox.write("config/lifecycle", "# all\nshop test staging live\n* staging prod\n");
    asked(&[]).success().stdout("live\nprod\nstaging\ntest\n");
    asked(&["prod"]).success().stdout("prod\n");
    asked(&["prd"]).code(65).stdout("").stderr(
        starts_with("octo-push: prd: no such environment\n")
            .and(contains("hint: did you mean prod?\n")),
    );
    sandbox.write("config/vars/env/QA", "");
    asked(&["qa"]).code(65).stderr(contains("hint: did you mean QA?\n"));
    asked(&["../prod"]).code(64).stderr(contains("environment ../prod: not a name"));
    // Which one is before it says the line of the application alone.
    let through = |app, name| asked(&["--app", app, name]);
    through("shop", "live").success().stdout("live\nstaging\n");
    through("shop", "test").success().stdout("test\n\n");
    through("other", "prod").success().stdout("prod\nstaging\n");
    through("shop", "prod").code(65).stderr(contains("lifecycle: no environment prod for shop"));
    through("other", "prd").code(65).stderr(contains("did you mean prod?"));
    through("../x", "prod").code(64);
    asked(&["--app", "shop"]).code(64).stderr(contains("--app needs an environment"));
    sandbox.write("lines", "shop test\n");
    asked(&["--lifecycle", "lines", "--app", "other", "test"]).code(65).stderr(contains("or *"));
    asked(&["--lifecycle", "none", "test"]).code(78).stderr(contains("none: no such file"));
    asked(&["--vars", "none", "test"]).code(65).stderr(contains("none: not a directory"));
    sandbox.write("lines", "shop test\nshop live\n");
    let twice = asked(&["--lifecycle", "lines", "test"]);
    twice.code(78).stderr(contains("lines:2: shop stands there twice"));
}

/// No line of any file names the tentacle, nor does its trust file name us.
#[test]
fn the_thumbprint_of_what_answers() {
    let octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut web1 = octopus.stranger("web1");
    web1.start();
    let at = |words: &[&str]| {
        let mut command = octopus.push(&["plumb", "--as", "octo-enroll", "thumbprint"]);
        command.args(words).assert()
    };
    let seen = format!("{}\n", web1.thumbprint);
    at(&["web1", &web1.address]).success().stdout(seen.clone()).stderr("");
    // As the other verbs: by another identity, by another way.
    let identity = octopus.sandbox.config("identity.pem");
    let other = octopus.sandbox.path("other.pem");
    std::fs::rename(&identity, &other).expect("rename");
    at(&["web1", &web1.address]).code(78).stderr(contains("identity.pem"));
    let way = format!(
        "{} --config {} --state {} --stdio",
        octopus.sandbox.program("octo-listen").display(),
        web1.config.display(),
        web1.state.display()
    );
    let other = other.to_str().expect("UTF-8");
    at(&["-i", other, "-P", &way, "web1", "nowhere.invalid"]).success().stdout(seen);
    web1.kill();
    let address = web1.address.clone();
    at(&["-i", other, "-w", "5s", "web1", &address])
        .code(69)
        .stdout("")
        .stderr(contains(format!("octo-enroll: {address}: connection refused")));
    for words in [&["web1"][..], &["../web1", &address], &["web1", "a b"], &["-w", "x", "w", "h"]] {
        at(words).code(64).stdout("");
    }
    assert!(!octopus.sandbox.path("state").exists());
}

/// Another thumbprint.
fn other() -> String {
    SOME.replace('9', "8")
}

#[test]
fn a_share_is_counted_as_a_rollout_counts_it() {
    let sandbox = sandbox();
    for (words, expected) in [
        (["7", "at-most", "50%"], "3\n"),
        (["7", "at-least", "50%"], "4\n"),
        (["7", "at-most", "9"], "9\n"),
    ] {
        let mut command = plumb(&sandbox, &["share"]);
        command.args(words).assert().success().stdout(expected);
    }
    for words in [
        &["7", "at-most"][..],
        &["x", "at-most", "1"],
        &["7", "about", "1"],
        &["7", "at-most", "101%"],
    ] {
        plumb(&sandbox, &["share"]).args(words).assert().code(64).stdout("");
    }
}
