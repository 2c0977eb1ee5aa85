//! Many at once: jobs, followers, connections, and what they cost.

use crate::listener::{Pusher, Side, Tentacle, job_id, own_user};
use crate::support::{can_trace, figures, impossible, wait_for};
use assert_cmd::cargo::cargo_bin;
use rustix::process::{Pid, Resource, getrlimit};

#[test]
fn many_jobs_at_once_each_with_its_own_code() {
    let (here, ci) = (Side::new(cargo_bin!("octo-listen")), Side::new(cargo_bin!("octo-listen")));
    here.trust(&[(&ci, &format!("ci {} max-jobs=300", own_user()))]);
    let tentacle = Tentacle::start(&here);
    std::thread::scope(|scope| {
        let mut all = Vec::new();
        let many = if std::env::var_os("OCTO_TEST_LONG").is_some() { 200 } else { 80 };
        for code in 0..many {
            let (tentacle, ci): (&Tentacle, &Side) = (&tentacle, &ci);
            all.push(scope.spawn(move || {
                let id = job_id();
                let text = format!("sleep 1; echo {code}; exit {code}");
                let mut pusher = accepted(tentacle, ci, &id, &text);
                let followed = pusher.follow(&id);
                assert_eq!(followed.out, format!("{code}\n").as_bytes());
                assert_eq!((followed.kind.as_str(), followed.code), ("exit", code));
            }));
        }
        for one in all {
            one.join().expect("a job");
        }
    });
}

/// Asks until there is a place: where few files may be open, there are fewer than that.
fn accepted(tentacle: &Tentacle, side: &Side, id: &str, text: &str) -> Pusher {
    let mut accepted = None;
    wait_for("a place", || {
        // Of so many in the handshake at once, those of one address lose their places;
        // and who is turned away may not have asked yet.
        let Ok(mut pusher) = tentacle.connect(side) else { return false };
        match pusher.try_run(id, text) {
            Ok(reply) if reply.word() == "ok" => accepted = Some(pusher),
            Ok(reply) => assert_eq!(reply.text("code"), Some("busy"), "{reply:?}"),
            Err(_) => {}
        }
        accepted.is_some()
    });
    accepted.expect("it was waited for")
}

/// More than a user has inotify instances. Each once took one of them, and those who found
/// none looked 20 times a second.
const FOLLOWERS: usize = 200;

/// What a follower may cost at most, in KiB. Unoptimised code needs more of the stack.
const EACH: u64 = if cfg!(debug_assertions) { 88 } else { 56 };

#[test]
fn silent_followers_cost_nothing_but_some_memory() {
    let test = "silent_followers_cost_nothing_but_some_memory";
    let wanted = 6 * (FOLLOWERS as u64 + 50);
    if getrlimit(Resource::Nofile).current.is_some_and(|current| current < wanted) {
        return impossible(test, "too few descriptors");
    }
    let (here, ci) = (Side::new(cargo_bin!("octo-listen")), Side::new(cargo_bin!("octo-listen")));
    here.trust(&[(&ci, &format!("ci {}", own_user()))]);
    let mut tentacle = Tentacle::start(&here);
    let id = job_id();
    let go = here.sandbox.path("go");
    let text = format!("until test -e {}; do sleep 0.2; done; echo over", go.display());
    accepted(&tentacle, &ci, &id, &text);
    let follow = || {
        let mut pusher = tentacle.connect(&ci).expect("connected");
        pusher.yes(&format!("follow job={id}"), b"");
        loop {
            let state = pusher.reply().expect("a state");
            if state.text("is") == Some("running") {
                return pusher;
            }
        }
    };
    // What the first ones bring about is for all of them.
    let mut followers: Vec<Pusher> = (0..20).map(|_| follow()).collect();
    let before = memory_of(tentacle.pid());
    followers.extend((0..FOLLOWERS).map(|_| follow()));
    let each = memory_of(tentacle.pid()).saturating_sub(before) / FOLLOWERS as u64;
    figures(format_args!("{each} KiB a follower"));
    assert!(each <= EACH, "{each} KiB a follower");
    if can_trace(test) {
        // A timer would ring six times for each.
        let calls = calls_within(tentacle.pid(), "0.3");
        figures(format_args!("{calls} system calls"));
        assert!(calls < FOLLOWERS, "{calls} system calls of {FOLLOWERS} who wait for nothing");
    }
    assert!(!tentacle.log().contains("no inotify watch"), "{}", tentacle.log());
    std::fs::write(go, "").expect("write");
    for mut follower in followers {
        let output = follower.reply().expect("output");
        assert_eq!((output.word(), follower.body(&output)), ("out", b"over\n".to_vec()));
        assert_eq!(follower.reply().expect("an end").word(), "end");
    }
}

/// The memory that is this process's alone, in KiB.
fn memory_of(process: Pid) -> u64 {
    let map = format!("/proc/{}/smaps_rollup", process.as_raw_pid());
    let map = std::fs::read_to_string(map).expect("a map");
    let dirty = map.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let dirty = dirty.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
    dirty.expect("a number")
}

/// How many system calls a process begins within so many seconds.
fn calls_within(process: Pid, seconds: &str) -> usize {
    let pid = process.as_raw_pid().to_string();
    let mut strace = std::process::Command::new("timeout");
    strace.args(["-s", "INT", seconds, "strace", "-f", "-qq", "-p", &pid]);
    let output = strace.output().expect("strace");
    let text = String::from_utf8_lossy(&output.stderr);
    // Those that were begun before are no calls of this time.
    let is_new = |line: &&str| line.contains('(') && !line.contains("<unfinished");
    text.lines().filter(is_new).count()
}
