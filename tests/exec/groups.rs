//! octo-exec: a job's processes, in a cgroup of their own and without one: how they end,
//! and what of them stays.

use crate::jobs::{end, own_user, submit, trust};
use crate::sandbox;
use crate::support::{Sandbox, impossible, kill_session_of, needs, wait_for};
use assert_cmd::Command;
use octo_core::JobId;
use octo_core::base::encoding::encode;
use octo_core::base::record::Record;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Has each cgroup2 taken away from the program that it becomes.
const WITHOUT: &str = r#"
    awk '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") print $5 }' \
        /proc/self/mountinfo | while read -r point; do umount -l "$point" || exit 99; done
    exec "$@""#;

/// octo-exec run, with the cgroups that this machine has, or with none.
fn octo_exec(sandbox: &Sandbox, has_cgroups: bool) -> Command {
    let own = sandbox.tool("octo-exec");
    if has_cgroups {
        return own;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", WITHOUT, "sh"]).arg(own.get_program()).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(own.get_current_dir().expect("a directory"));
    command
}

/// With cgroups, and without, where they can be taken away.
fn ways(test: &str) -> Vec<bool> {
    let apart = Command::new("unshare").args(["--mount", "true"]).output();
    match apart.is_ok_and(|output| output.status.success()) {
        true => vec![true, false],
        false => {
            impossible(test, "no mounts of its own");
            vec![true]
        }
    }
}

fn job(sandbox: &Sandbox) -> PathBuf {
    let entries = fs::read_dir(sandbox.state("jobs")).expect("jobs");
    let mut jobs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    jobs.retain(|path| path.join("spec").exists());
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.remove(0)
}

fn record(job: &Path, name: &str) -> Record {
    Record::parse(&fs::read(job.join(name)).expect(name)).expect("a record")
}

/// The cgroup that the record names; the record says why there is none.
fn group(job: &Path, has_cgroups: bool) -> Option<PathBuf> {
    let started = record(job, "started");
    let group = started.first("cgroup").map(PathBuf::from);
    assert_eq!(group.is_none(), started.first("no-cgroup").is_some(), "{started:?}");
    assert!(has_cgroups || group.is_none(), "{started:?}");
    group
}

fn is_free(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// A chain of processes: each link makes the next in a session of its own and ends. All of
/// them hold this lock.
const CHAIN: &str = "use POSIX; until (-e $ARGV[0]) \
    { my $p = fork; POSIX::_exit(0) if $p; POSIX::setsid() } POSIX::_exit(0)";

/// Three such chains, whose script says `ready` and waits.
fn chains(lock: &Path) -> String {
    let chain = format!("perl -e '{CHAIN}' {}.over 9<\"$lock\" &\n", lock.display());
    format!(
        "lock={}; exec 9<$lock; flock -s 9\n{}exec 9<&-; : > ready; sleep 600",
        lock.display(),
        chain.repeat(3).replace("9<\"$lock\"", "9<&9")
    )
}

/// Without a cgroup they may get away, but not unseen.
#[test]
fn chains_of_processes_die_with_their_job_or_it_is_said() {
    let test = "chains_of_processes_die_with_their_job_or_it_is_said";
    if !needs(test, "perl") || !needs(test, "flock") {
        return;
    }
    let long = std::env::var_os("OCTO_TEST_LONG").is_some();
    for has_cgroups in ways(test) {
        for _ in 0..if long { 20 } else { 2 } {
            // The limit counts from before it has begun.
            let within = |limit: &&str| {
                let sandbox = sandbox();
                let lock = sandbox.write("held", "");
                let ends = Ends(lock.clone());
                let script = chains(&lock);
                let mut command = octo_exec(&sandbox, has_cgroups);
                command.args(["run", "-T", limit, "-k", "1s", "-c", &script]).assert().code(124);
                let has_begun = job(&sandbox).join("work/ready").exists();
                has_begun.then_some((sandbox, lock, ends))
            };
            let tried = ["1s", "4s", "16s", "64s"].iter().find_map(within);
            let (sandbox, lock, _ends) = tried.expect("one that has begun");
            let job = job(&sandbox);
            let end = record(&job, "end");
            match group(&job, has_cgroups) {
                Some(group) => {
                    assert!(is_free(&lock), "{end:?}");
                    assert!(!group.exists() && end.first("stray").is_none(), "{end:?}");
                }
                None => {
                    let said = end.first("stray").is_some()
                        || end.first("reason").is_some_and(|reason| reason.contains("live on"));
                    assert!(said || is_free(&lock), "{end:?}");
                    end_chains(&lock);
                }
            }
        }
    }
}

/// Ends those that got away, also where a test fails: beside all others they would go on.
struct Ends(PathBuf);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = fs::write(format!("{}.over", self.0.display()), "");
    }
}

fn end_chains(lock: &Path) {
    drop(Ends(lock.to_path_buf()));
    wait_for("the end of the chains", || is_free(lock));
}

#[test]
fn what_a_killed_supervisor_leaves_dies_as_one() {
    let test = "what_a_killed_supervisor_leaves_dies_as_one";
    if !needs(test, "perl") || !needs(test, "flock") {
        return;
    }
    let sandbox = sandbox();
    let lock = sandbox.write("held", "");
    let _ends = Ends(lock.clone());
    let program = octo_exec(&sandbox, true);
    let mut child = std::process::Command::new(program.get_program());
    child.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = child.args(["run", "-c", &chains(&lock)]).spawn().expect("spawn");
    wait_for("a job", || {
        let jobs = fs::read_dir(sandbox.state("jobs")).into_iter().flatten().flatten();
        jobs.map(|entry| entry.path().join("work/ready")).any(|ready| ready.exists())
    });
    let job = job(&sandbox);
    kill_session_of(&job);
    assert_eq!(child.wait().expect("wait").code(), Some(71));
    let end = record(&job, "end");
    match group(&job, true) {
        Some(group) => assert!(is_free(&lock) && !group.exists(), "{end:?}"),
        None => end_chains(&lock),
    }
}

/// What runs at that moment is asked to end, once; what it starts then lives out the grace.
#[test]
fn a_script_cleans_up_by_programs_of_its_own() {
    for has_cgroups in ways("a_script_cleans_up_by_programs_of_its_own") {
        let script = "
            (trap 'echo side >>asked; exit' TERM; : > side; while :; do sleep 0.05; done) &
            setsid sh -c 'trap \"echo apart >>asked; exit\" TERM; : > apart; while :; do sleep 0.05; done' &
            clean() { for part in 1 2 3; do sh -c 'sleep 0.3'; echo $part >>cleaned; done; exit 5; }
            trap clean TERM
            while ! [ -e side ] || ! [ -e apart ]; do sleep 0.02; done
            : > ready
            while :; do sleep 0.05; done";
        // The limit counts from before it has begun.
        let within = |limit: &&str| {
            let sandbox = sandbox();
            let mut command = octo_exec(&sandbox, has_cgroups);
            command.args(["run", "-T", limit, "-k", "60s", "-c", script]).assert().code(124);
            job(&sandbox).join("work/ready").exists().then_some(sandbox)
        };
        let tried = ["1s", "4s", "16s", "64s"].iter().find_map(within);
        let sandbox = tried.expect("one that has begun");
        let job = job(&sandbox);
        group(&job, has_cgroups);
        let read = |name: &str| fs::read_to_string(job.join("work").join(name)).unwrap_or_default();
        assert_eq!(read("cleaned"), "1\n2\n3\n");
        let mut asked: Vec<String> = read("asked").lines().map(str::to_string).collect();
        asked.sort();
        assert_eq!(asked, ["apart", "side"]);
    }
}

/// It is over when its script is, and what it has started serves on: also when it prints.
#[test]
fn a_daemon_goes_on_printing_after_its_job() {
    for has_cgroups in ways("a_daemon_goes_on_printing_after_its_job") {
        let sandbox = sandbox();
        let pipe = sandbox.path("requests");
        let answers = sandbox.path("answers");
        // Each of them prints more than a pipe holds, all together.
        let script = format!(
            "mkfifo {pipe}
            server() {{ while read -r line; do printf '%8000s' $line || exit; printf '%8000s' x >&2 || exit
                echo $line >>{answers}; done; }}
            server <>{pipe} &
            (setsid sleep 600 </dev/null >/dev/null 2>&1 &)
            echo up",
            pipe = pipe.display(),
            answers = answers.display()
        );
        let mut command = octo_exec(&sandbox, has_cgroups);
        let output = command.args(["run", "-c", &script]).output().expect("run");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(output.stdout, b"up\n");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("what it prints from now on is not kept"), "{told}");
        let job = job(&sandbox);
        let end = record(&job, "end");
        let group = group(&job, has_cgroups);
        let daemon = end.first("daemon").expect("the one that is silent").to_string();
        assert!(daemon.ends_with(" sleep"), "{end:?}");
        assert!(end.first("stray").is_some_and(|stray| stray.ends_with(" sh")), "{end:?}");
        // Another job's end is none of theirs.
        octo_exec(&sandbox, has_cgroups)
            .args(["run", "-T", "1s", "-k", "1s", "-c", "sleep 600 & sleep 600"])
            .assert()
            .code(124);
        let mut requests = OpenOptions::new().write(true).open(&pipe).expect("open");
        for number in 0..40 {
            requests.write_all(format!("{number}\n").as_bytes()).expect("write");
        }
        let count = || fs::read_to_string(&answers).unwrap_or_default().lines().count();
        wait_for("forty answers", || count() == 40);
        let pid = |named: &str| named.split(' ').next().expect("a pid").to_string();
        for process in [pid(&daemon), pid(end.first("stray").expect("seen"))] {
            assert!(Path::new("/proc").join(&process).exists(), "{process}");
            let _ = Command::new("kill").args(["-9", &process]).ok();
        }
        // Its cgroup goes when somebody looks, and not before.
        if let Some(group) = group {
            assert!(group.exists());
        }
    }
}

/// A limit that can't hold here is said in the record; one that can, the kernel has.
#[test]
fn limits_hold_or_the_record_says_which_do_not() {
    let sandbox = sandbox();
    let limit = |limits: &str| trust(&sandbox, &format!("user={} {limits}", own_user()));
    limit("memory=48M cpu=50% tasks=40");
    let job = submit(&sandbox, "command true\n");
    let started = record(job.path(), "started");
    let grant = record(job.path(), "grant");
    let granted = ["memory", "cpu", "tasks"].map(|option| grant.first(option));
    assert_eq!(granted, [Some("48M"), Some("50%"), Some("40")]);
    let without: Vec<String> = started
        .all("unlimited")
        .map(|values| String::from_utf8_lossy(&values.concat()).into_owned())
        .collect();
    let said = |option: &str| without.iter().any(|said| said.starts_with(&format!("{option}: ")));
    // Nothing else is in the way of a job that has limits.
    assert_eq!(end(&job).0, "exit");
    if started.first("cgroup").is_none() {
        assert_eq!(without.len(), 3, "{started:?}");
    }
    let run = |script: &str| submit(&sandbox, &format!("command {}\n", encode(script.as_bytes())));
    if said("tasks") {
        impossible("limits_hold_or_the_record_says_which_do_not", &without.join(", "));
    } else {
        let job = run("for n in $(seq 100); do sleep 600 & done; wait");
        assert_ne!(end(&job).0, "timeout");
        let log = fs::read_to_string(job.file("log")).expect("log");
        assert!(log.to_lowercase().contains("fork"), "{log}");
        let record = job.end().expect("readable").expect("an end");
        let left = record.strays.len() + record.daemons.len();
        assert!((1..40).contains(&left), "{record:?}");
        for process in record.strays.iter().chain(&record.daemons) {
            let pid = process.split(' ').next().expect("a pid");
            let _ = Command::new("kill").args(["-9", pid]).ok();
        }
    }
    if !said("memory") {
        // The shell could tell of it, and ends as well.
        let hog = r#"awk 'BEGIN { for (;;) all[n++] = sprintf("%2000s", n) }'; echo lived on"#;
        let job = run(hog);
        let (kind, code, reason) = end(&job);
        assert_eq!((kind.as_str(), code), ("signal", 9), "{reason}");
        assert!(reason.contains("oom: its 48.0 MiB of memory were used up"), "{reason}");
        assert_eq!(fs::read(job.file("log")).expect("log"), b"");
    }
}

/// The cgroup of a job whose daemon has died since is removed by the next one. Neither is
/// one in which somebody lives, nor one that is being made.
#[test]
fn a_cgroup_that_is_left_over_is_removed() {
    let sandbox = sandbox();
    octo_exec(&sandbox, true).args(["run", "-c", "true"]).assert().success();
    let ended = job(&sandbox);
    let Some(group) = group(&ended, true) else {
        return impossible("a_cgroup_that_is_left_over_is_removed", "no cgroups");
    };
    let id = ended.file_name().expect("a name").to_string_lossy().into_owned();
    let mut lives = std::process::Command::new("sleep").arg("600").spawn().expect("sleep");
    let make = |process: u32, inhabitant: Option<u32>, date: &str| {
        let path = group.with_file_name(format!("octo-{id}-{process}"));
        fs::create_dir(&path).expect("mkdir");
        // Before it is old: other tests look as well.
        let moved = |pid: u32| fs::write(path.join("cgroup.procs"), pid.to_string());
        inhabitant.map_or(Ok(()), moved).expect("moved");
        let _ = Command::new("touch").args(["-d", date]).arg(&path).ok();
        path
    };
    let own = std::process::id();
    let (old, new) = (make(own, None, "2 hours ago"), make(own + 1, None, "now"));
    let inhabited = make(own + 2, Some(lives.id()), "2 hours ago");
    octo_exec(&sandbox, true).args(["run", "-c", "true"]).assert().success();
    assert!(!old.exists() && new.exists() && inhabited.exists());
    assert!(lives.try_wait().expect("wait").is_none());
    lives.kill().expect("kill");
    lives.wait().expect("wait");
    for left in [new, inhabited] {
        // Whoever looks there meanwhile removes them as well.
        wait_for("an empty cgroup", || fs::remove_dir(&left).is_ok() || !left.exists());
    }
}

/// A rollout has one id on all of its targets, which may be tentacles of one machine.
#[test]
fn jobs_of_one_id_in_two_states_end_apart() {
    let sandbox = sandbox();
    let id = JobId::generate().expect("an id").to_string();
    let begin = |state: &str, script: &str| {
        let own = octo_exec(&sandbox, true);
        let mut command = std::process::Command::new(own.get_program());
        command.env_clear().envs(own.get_envs().filter_map(|(name, v)| Some((name, v?))));
        command.env("OCTO_STATE", sandbox.path(state)).args(["run", "-j", &id, "-c", script]);
        command.spawn().expect("spawn")
    };
    let waits = ": > ready; while [ ! -e go ]; do sleep 0.02; done; exit 7";
    let mut first = begin("one", waits);
    let work = |state: &str| sandbox.path(state).join("jobs").join(&id).join("work");
    wait_for("the first", || work("one").join("ready").exists());
    let mut second = begin("two", "exit 8");
    assert_eq!(second.wait().expect("wait").code(), Some(8));
    // What is left of one whose octo-exec was killed is not the other.
    let mut third = begin("three", waits);
    wait_for("the third", || work("three").join("ready").exists());
    kill_session_of(&sandbox.path("three").join("jobs").join(&id));
    assert_eq!(third.wait().expect("wait").code(), Some(71));
    fs::write(work("one").join("go"), "").expect("write");
    assert_eq!(first.wait().expect("wait").code(), Some(7));
}
