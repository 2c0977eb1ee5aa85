//! Every option of the trust file, over the wire: what the pusher may do, what it
//! is told otherwise, and with which exit status.

use crate::support::{is_root, set_mode, stdout_of, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

/// Options of the line; what is asked; exit status; a part of what is said.
type Row<'a> = (&'a str, &'a [&'a str], i32, &'a str);

fn side() -> (Octopus, Tentacle, &'static str) {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    // As root a line must name the user of its jobs; else it can be ours alone.
    let user = if rustix::process::geteuid().is_root() { "user=root" } else { "" };
    (octopus, web1, user)
}

fn trust(octopus: &Octopus, web1: &Tentacle, options: &str) {
    web1.set_trusted(&format!("{} ci {options}\n", octopus.thumbprint));
}

/// Asks each of these and compares; standard output and error are looked at together.
fn ask(octopus: &Octopus, web1: &Tentacle, user: &str, rows: &[Row<'_>]) {
    for (options, asked, code, said) in rows {
        trust(octopus, web1, &format!("{user} {options}"));
        let arguments = [&["-t", "web1"], *asked].concat();
        let output = octopus.push(&arguments).output().expect("octo-push");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(*code), "{options}: {asked:?}: {text}");
        assert!(text.contains(said), "{options}: {asked:?}: '{said}' is not in: {text}");
    }
}

#[test]
fn who_and_which_verbs() {
    let (octopus, web1, user) = side();
    octopus.sandbox.write("file", "x");
    let run: &[&str] = &["run", "-c", "echo ran"];
    let put: &[&str] = &["put", "file"];
    ask(
        &octopus,
        &web1,
        user,
        &[
            ("from=127.0.0.0/8", run, 0, "ran"),
            ("from=10.0.0.0/8", run, 77, "doesn't trust this identity"),
            ("from=10.0.0.0/8", &["status"], 77, "doesn't trust this identity"),
            ("expires=2090-01-01", run, 0, "ran"),
            ("expires=2020-01-01", run, 77, "doesn't trust this identity"),
            ("expires=2020-01-01", put, 77, "doesn't trust this identity"),
            ("", &["status"], 0, "version"),
            ("allow=run", &["status"], 77, "denied: "),
            ("allow=run", put, 77, "denied: "),
            ("allow=run", run, 0, "ran"),
            ("allow=put", run, 77, "denied: "),
            ("allow=put", &["jobs"], 77, "denied: "),
            ("allow=put", put, 0, ""),
            ("allow=status", &["scripts"], 77, "denied: "),
            ("allow=any", &["jobs"], 0, ""),
        ],
    );
}

#[test]
fn which_variables() {
    let (octopus, web1, user) = side();
    let script = octopus.sandbox.write("scripts/hello", "echo \"hello $1 $SHOP\"\n");
    set_mode(&script, 0o755);
    let scripts = format!("scripts={}", octopus.sandbox.path("scripts").display());
    let (greeted, listed) = (format!("{scripts} set=SHOP=berlin"), format!("{scripts} env=SHOP"));
    ask(
        &octopus,
        &web1,
        user,
        &[
            (&greeted, &["run", "--name", "hello", "x"], 0, "hello x berlin"),
            (&greeted, &["run", "-e", "SHOP=rome", "--name", "hello", "x"], 77, "set= of its line"),
            (&scripts, &["run", "-e", "SHOP=rome", "--name", "hello", "x"], 77, "without env="),
            (&listed, &["run", "-e", "SHOP=rome", "--name", "hello", "x"], 0, "hello x rome"),
            ("set=SHOP=berlin", &["run", "-c", "echo $SHOP"], 0, "berlin"),
            (
                "set=SHOP=berlin",
                &["run", "-e", "SHOP=rome", "-c", "echo $SHOP"],
                77,
                "not set SHOP",
            ),
        ],
    );
}

#[test]
fn what_runs_and_when() {
    let (octopus, web1, user) = side();
    let scripts = octopus.sandbox.path("scripts");
    let script = octopus.sandbox.write("scripts/hello", "echo \"hello $1 $SHOP\"\n");
    set_mode(&script, 0o755);
    octopus.sandbox.write("sent", "echo sent\n");
    let scripts = format!("scripts={}", scripts.display());
    // A window that is never open now: a minute of a day that doesn't begin meanwhile.
    let now = jiff::Zoned::now();
    let day = now.tomorrow().and_then(|day| day.tomorrow());
    let day = day.expect("a day").strftime("%a").to_string();
    let closed = format!("window=\"{day} 00:00-00:01\"");
    let run: &[&str] = &["run", "-c", "echo ran"];
    ask(
        &octopus,
        &web1,
        user,
        &[
            (&scripts, run, 77, "installed scripts only"),
            (&scripts, &["run", "sent"], 77, "installed scripts only"),
            (&scripts, &["run", "--name", "hello", "a b;c"], 0, "hello a b;c "),
            (&scripts, &["run", "--name", "../sent"], 64, ""),
            (&scripts, &["run", "--name", "missing"], 65, "missing"),
            (&scripts, &["scripts"], 0, "hello"),
            ("", &["run", "--name", "hello"], 77, "denied: "),
            ("window=00:00-24:00", run, 0, "ran"),
            (&closed, run, 75, "opens"),
            (&closed, &["status"], 0, "version"),
            ("hold", &["run", "-D", "-c", "echo ran"], 0, ""),
            ("", &["run", "-c", "grep NoNewPrivs /proc/self/status"], 0, "NoNewPrivs:\t1"),
        ],
    );
    if is_root("what_runs_and_when") {
        let privileges: &[&str] = &["run", "-c", "grep NoNewPrivs /proc/self/status; id -un"];
        ask(
            &octopus,
            &web1,
            "",
            &[
                ("", run, 77, "needs user="),
                ("user=nobody", privileges, 0, "NoNewPrivs:\t1\nnobody"),
                ("user=nobody sudo", privileges, 0, "NoNewPrivs:\t0\nnobody"),
                ("user=nobody", &["run", "-c", "cat /etc/shadow"], 1, "ermission denied"),
            ],
        );
        // Where root's umask made what leads to STATE, only root gets there.
        let above = web1.state.parent().expect("a directory");
        set_mode(above, 0o700);
        let hint = format!("hint: {0} keeps this job's user out: chmod o+x {0}", above.display());
        let run: &[&str] = &["run", "-c", "true"];
        ask(&octopus, &web1, "", &[("user=nobody", run, 2, &hint), ("user=root", run, 0, "")]);
        set_mode(above, 0o711);
        ask(&octopus, &web1, "", &[("user=nobody", run, 0, "")]);
    }
}

#[test]
fn how_much_and_how_long() {
    let (octopus, web1, user) = side();
    octopus.sandbox.write("small", vec![b's'; 1000]);
    octopus.sandbox.write("large", vec![b'l'; 2000]);
    let holder = "20260101T000000-bbbbbbbbbbbbb";
    trust(&octopus, &web1, &format!("{user} allow=any"));
    let held = octopus.sandbox.path("held");
    let script = format!("touch {}; sleep 300", held.display());
    let hold = ["-t", "web1", "run", "-D", "-j", holder, "-L", "db", "-c", &script];
    octopus.push(&hold).assert().success();
    wait_for("the lock is held", || held.exists());
    let run: &[&str] = &["run", "-c", "echo ran"];
    ask(
        &octopus,
        &web1,
        user,
        &[
            ("max-size=1000", &["put", "small"], 0, ""),
            ("max-size=1000", &["put", "large"], 77, "more than ci may send at once"),
            ("max-store=9K", &["put", "large"], 77, "octo-exec prune"),
            ("max-store=1M", &["put", "large"], 0, ""),
            ("locks=web", &["run", "-L", "db", "-c", "echo ran"], 77, "may not take the lock db"),
            ("locks=web", &["run", "-L", "web", "-c", "echo ran"], 0, "ran"),
            ("max-wait=1s", &["run", "-L", "db", "-W", "1h", "-c", "echo ran"], 75, holder),
            ("max-jobs=1", &["-w", "10s", "run", "-c", "echo ran"], 75, "1 jobs under way"),
            ("max-jobs=2", run, 0, "ran"),
            ("max-log=1K", &["run", "-c", "seq 1000"], 0, "\n10\n"),
            ("timeout=1s", &["run", "-T", "1h", "-k", "1s", "-c", "sleep 60"], 124, "time limit"),
            ("timeout=1s", &["run", "-k", "1s", "-c", "sleep 60"], 124, "time limit"),
        ],
    );
    trust(&octopus, &web1, &format!("{user} max-log=1K"));
    let long = octopus.push(&["-t", "web1", "run", "-c", "seq 1000"]).output().expect("run");
    assert!(long.stdout.len() <= 1024 + 200, "{} bytes", long.stdout.len());
    assert_eq!(long.status.code(), Some(0));
    trust(&octopus, &web1, &format!("{user} allow=any"));
    octopus.push(&["-t", "web1", "cancel", holder]).assert().success();
}

/// From cron it would be an hour of silence.
#[test]
fn who_waits_for_a_lock_is_told_though_it_is_quiet() {
    let (octopus, web1, user) = side();
    trust(&octopus, &web1, &format!("{user} allow=any"));
    let holder = "20260101T000000-bbbbbbbbbbbbb";
    let held = octopus.sandbox.path("held");
    let script = format!("touch {}; exec sleep 300", held.display());
    let hold = ["-t", "web1", "run", "-D", "-j", holder, "-L", "db", "-c", &script];
    octopus.push(&hold).assert().success();
    wait_for("the lock is held", || held.exists());
    let mut waits = octopus.start(&["-q", "-t", "web1", "run", "-L", "db", "-W", "1h", "-c", ":"]);
    let mut waits = waits.stderr(Stdio::piped()).spawn().expect("starts");
    let mut told = BufReader::new(waits.stderr.take().expect("a pipe")).lines();
    let first = told.next().expect("told").expect("a line");
    assert!(first.starts_with("octo-push: web1: waits for a lock, held by "), "{first}");
    octopus.push(&["-t", "web1", "cancel", holder]).assert().success();
    assert!(waits.wait().expect("ends").success());
    assert_eq!(told.map_while(Result::ok).collect::<Vec<_>>(), Vec::<String>::new());
}

/// Who approves sees what it is before he reads a script.
#[test]
fn what_is_held_is_named_with_its_application() {
    let (octopus, web1, user) = side();
    trust(&octopus, &web1, &format!("{user} hold"));
    let lines: String = (0..100).map(|number| format!("echo {number}\n")).collect();
    octopus.sandbox.write("octo-release", lines);
    octopus.sandbox.write("shop-1.5.tar", "a package");
    let runs: [&[&str]; 4] = [
        &["-p", "shop-1.5.tar", "octo-release", "deploy", "--over", "1.4#1"],
        &["octo-release", "--complete", "rollback", "shop", "x y\u{1b}[31m"],
        &["octo-release", "--environment", "rollback", "deploy", "shop"],
        &["-c", "true"],
    ];
    for run in runs {
        octopus.push(&[&["-t", "web1", "run", "-D"], run].concat()).assert().success();
    }
    let mut list = octopus.sandbox.tool("octo-exec");
    list.arg("--config").arg(&web1.config).arg("--state").arg(&web1.state);
    let shown = stdout_of(list.args(["list", "--held"]));
    let sha256 = octo_core::Digest::of(b"a package");
    for said in [
        "    application deploy shop 1.5, by the script that was sent\n".to_string(),
        "    arguments deploy --over '1.4#1'\n".to_string(),
        format!("    package {sha256} shop-1.5.tar\n"),
        "    application rollback shop, by the script that was sent\n".to_string(),
        "    arguments --complete rollback shop $'x y\\033[31m'\n".to_string(),
        "more lines: octo-exec show 2".to_string(),
    ] {
        assert!(shown.contains(&said), "{said}\n{shown}");
    }
    // An option's value is no verb, whatever it looks like.
    assert_eq!(shown.matches("    application ").count(), 2, "{shown}");
    assert!(!shown.contains("echo 99"), "{shown}");
}

#[test]
fn what_is_held_is_shown_beside_what_was_approved() {
    let (octopus, web1, user) = side();
    trust(&octopus, &web1, &format!("{user} hold"));
    let here = |arguments: &[&str]| {
        let mut command = octopus.sandbox.tool("octo-exec");
        command.arg("--config").arg(&web1.config).arg("--state").arg(&web1.state).args(arguments);
        command
    };
    // The later id is approved first: ids are their pusher's word.
    let (later, earlier, third) =
        ("20990101T000000-aaaaaaaaaaaaa", "20260101T000000-aaaaaaaaaaaaa", "20260101T000000-b");
    let third = format!("{third}bbbbbbbbbbbb");
    for (id, text) in [(later, "echo one\n"), (earlier, "echo two\n"), (&third, "echo three\n")] {
        octopus.sandbox.write("deploy.sh", text);
        octopus.push(&["-t", "web1", "run", "-D", "-j", id, "deploy.sh"]).assert().success();
        let mut follower = octopus.start(&["-q", "-t", "web1", "follow", id]);
        let mut follower = follower.stderr(Stdio::piped()).spawn().expect("starts");
        let mut told = BufReader::new(follower.stderr.take().expect("a pipe")).lines();
        let approves = |line: String| line.contains(&format!("octo-exec approve {id}"));
        assert!(told.by_ref().map_while(Result::ok).any(approves), "{id}: not told");
        let shown = stdout_of(&mut here(&["list", "--held"]));
        let expected = match text {
            "echo one\n" => "+echo one",
            "echo two\n" => "-echo one\n      +echo two",
            _ => "-echo two\n      +echo three",
        };
        assert!(shown.contains(expected), "{shown}");
        if id != third {
            here(&["approve", id]).assert().success();
            let left: Vec<String> = told.map_while(Result::ok).collect();
            assert!(follower.wait().expect("wait").success(), "{left:?}");
            // The next approval is of another second.
            let at = std::fs::read_to_string(web1.state.join("jobs").join(id).join("approved"));
            let at = at
                .expect("approved")
                .lines()
                .find_map(|l| Some(l.strip_prefix("operator ")?.split_once(' ')?.1.to_string()));
            while octo_core::base::cli::utc_now() == at.clone().expect("a time").replace("%3A", ":")
            {
                std::thread::sleep(Duration::from_millis(20));
            }
        } else {
            here(&["deny", id, "not on a Friday"]).assert().success();
            assert!(told.map_while(Result::ok).any(|line| line.contains("not on a Friday")));
            assert_eq!(follower.wait().expect("wait").code(), Some(77));
        }
    }
    // A command is shown to its last line, whatever it begins with.
    let command = format!("true {}\nrm -rf /srv/\u{1b}[2J", " ".repeat(100));
    octopus.push(&["-t", "web1", "run", "-D", "-c", &command]).assert().success();
    wait_for("the command is held", || {
        stdout_of(&mut here(&["list", "--held"])).contains("digest ")
    });
    let shown = stdout_of(&mut here(&["list", "--held"]));
    assert!(shown.contains("rm -rf /srv/\\x1b[2J"), "{shown}");
}

/// One request of each verb is asked over the wire and of `octo-keys explain`,
/// under lines of all kinds: what explain denies never passes.
#[test]
fn what_explain_denies_never_passes() {
    let (octopus, web1, user) = side();
    octopus.sandbox.write("file", "x");
    let mut random = crate::support::random::Random(7);
    let options: [&[&str]; 4] = [
        &["", "from=127.0.0.1", "from=10.0.0.0/8"],
        &["", "expires=2090-01-01", "expires=2020-01-01"],
        &["", "allow=status", "allow=put", "allow=run", "allow=any"],
        &["", "scripts=/usr/bin", "window=00:00-24:00", "max-jobs=9"],
    ];
    let verbs: [(&str, &[&str]); 5] = [
        ("status", &["status"]),
        ("put", &["put", "file"]),
        ("run", &["run", "-c", "true"]),
        ("jobs", &["jobs"]),
        ("scripts", &["scripts"]),
    ];
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..30 {
        let mut lines = String::new();
        for _ in 0..=random.below(2) {
            let words: Vec<&str> = options.iter().map(|choices| random.of(choices)).collect();
            lines += &format!("{} ci {user} {}\n", octopus.thumbprint, words.join(" "));
        }
        web1.set_trusted(&lines);
        let (verb, words) = random.of(&verbs);
        let mut explain = octopus.sandbox.tool("octo-keys");
        explain.arg("--config").arg(&web1.config);
        explain.args(["explain", &octopus.thumbprint, "127.0.0.1", verb]);
        let explained = explain.output().expect("octo-keys");
        let asked = octopus.push(&[&["-t", "web1"], words].concat()).output().expect("octo-push");
        let said = String::from_utf8_lossy(&asked.stderr);
        match (explained.status.success(), asked.status.success()) {
            (false, true) => panic!("{verb} passed under\n{lines}{explained:?}"),
            (_, true) => passed += 1,
            (_, false) => {
                refused += 1;
                assert!([Some(75), Some(77)].contains(&asked.status.code()), "{lines}{said}");
            }
        }
    }
    assert!(passed >= 5 && refused >= 5, "{passed} passed, {refused} refused");
}
