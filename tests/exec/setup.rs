//! octo-exec setup: STATE as the table says, made anew or of an older version's.

use crate::jobs::places;
use crate::sandbox;
use crate::support::{NOBODY, Sandbox, can_trace, is_root, set_mode};
use octo_core::Digest;
use octo_core::base::digest::Hasher;
use octo_core::tentacle::job::{EndKind, JobDirectory, is_pruned};
use octo_core::{JobId, Thumbprint};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const OVER: &str = "20260131T120000-aaaaaaaaaaaaa";
const NEVER: &str = "20260131T120001-aaaaaaaaaaaaa";
const LOST: &str = "20260131T120002-aaaaaaaaaaaaa";
const BY_HAND: &str = "20260131T120003-aaaaaaaaaaaaa";
const TAKEN: &str = "20260131T120004-aaaaaaaaaaaaa";
const PRUNED: &str = "20250131T120004-aaaaaaaaaaaaa";

pub(crate) fn setup(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut command = sandbox.tool("octo-exec");
    let assert = command.arg("setup").args(arguments).assert().success();
    String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8")
}

/// Silent and 0.
pub(crate) fn is_sound(sandbox: &Sandbox, says: &str) {
    sandbox.write("config/trusted", "# nobody\n");
    set_mode(&sandbox.config("trusted"), 0o644);
    let assert = sandbox.tool("octo-keys").args(["check", "-v"]).assert().success();
    let said = String::from_utf8(assert.get_output().stderr.clone()).expect("UTF-8");
    let line = format!("{}: sound: {says}\n", sandbox.state("").display());
    assert!(
        said.replace("state/:", "state:").contains(&line.replace("state/:", "state:")),
        "{said}"
    );
}

pub(crate) fn is(sandbox: &Sandbox, name: &str) -> (u32, u32, u32) {
    let metadata = sandbox.state(name).symlink_metadata().unwrap_or_else(|e| panic!("{name}: {e}"));
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

pub(crate) fn own() -> (u32, u32) {
    let own = std::fs::metadata("/proc/self").expect("/proc");
    (own.uid(), own.gid())
}

/// A STATE as the version before left it, all of it this user's.
struct Old {
    sandbox: Sandbox,
    object: Digest,
}

fn file(sandbox: &Sandbox, name: &str, contents: &str, mode: u32) -> PathBuf {
    let path = sandbox.write(&format!("state/{name}"), contents);
    set_mode(&path, mode);
    path
}

const FROZEN: &str = "until 2999-01-01T00:00:00Z\nby ann\nreason x\n";

fn job(sandbox: &Sandbox, id: &str, mode: u32, more: &[(&str, &str)]) {
    let thumbprint = Thumbprint::of_certificate(b"a pusher");
    let request = format!(
        "thumbprint {thumbprint}\nname ci\naddress 10.1.2.3\nby me@laptop\nreceived 2026-01-31T12:00:00Z\n"
    );
    file(sandbox, &format!("jobs/{id}/request"), &request, 0o640);
    file(sandbox, &format!("jobs/{id}/spec"), "command true\n", 0o640);
    file(sandbox, &format!("jobs/{id}/lock"), "", 0o640);
    for (name, contents) in more {
        file(sandbox, &format!("jobs/{id}/{name}"), contents, 0o640);
    }
    set_mode(&sandbox.state(&format!("jobs/{id}")), mode);
}

fn old() -> Old {
    let sandbox = sandbox();
    let mut hasher = Hasher::new();
    hasher.update(b"a package");
    let object = hasher.finish();
    let end = "kind exit\ncode 0\nat 2026-01-31T12:00:09Z\nlog 2\n";
    job(&sandbox, OVER, 0o750, &[("end", end), ("log", "x\n"), ("artifacts/a.txt", "made")]);
    set_mode(&sandbox.state(&format!("jobs/{OVER}/artifacts/a.txt")), 0o644);
    file(&sandbox, &format!("jobs/{OVER}/script"), "echo x\n", 0o640);
    std::fs::create_dir(sandbox.state(&format!("jobs/{OVER}/work"))).expect("mkdir");
    job(&sandbox, NEVER, 0o750, &[("secrets", "TOKEN")]);
    job(
        &sandbox,
        LOST,
        0o750,
        &[("started", "boot x\nsession 4\nticks 5\nat 2026-01-31T12:00:00Z\n")],
    );
    job(&sandbox, BY_HAND, 0o750, &[("end", end)]);
    file(
        &sandbox,
        &format!("jobs/{BY_HAND}/request"),
        "by root\nreceived 2026-01-31T12:00:00Z\n",
        0o640,
    );
    file(&sandbox, "jobs/pruned", &format!("{PRUNED}\n"), 0o644);
    file(&sandbox, &format!("packages/{object}"), "a package", 0o444);
    file(&sandbox, &format!("packages/{object}.by"), "ci\n", 0o644);
    file(&sandbox, &format!("packages/incoming/{object}.ci"), "a pa", 0o600);
    file(&sandbox, "packages/.lock", "", 0o600);
    file(&sandbox, "locks/backup", "", 0o644);
    file(&sandbox, "audit.log", "", 0o640);
    file(&sandbox, "listen.lock", "", 0o600);
    file(&sandbox, "freezes/shop", FROZEN, 0o644);
    for (name, mode) in [("", 0o711), ("jobs", 0o711), ("packages", 0o711), ("locks", 0o700)] {
        set_mode(&sandbox.state(name), mode);
    }
    Old { sandbox, object }
}

/// All of it becomes the listener's, as one without privileges had it.
fn give_all(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    if path.is_dir() {
        for entry in path.read_dir().expect("readable") {
            give_all(&entry.expect("readable").path());
        }
    }
}

/// As `give_all`, with a job that root had taken over.
fn old_of_listener() -> Old {
    let old = old();
    give_all(&old.sandbox.state(""));
    let end = "kind exit\ncode 3\nat 2026-01-31T12:00:09Z\nlog 0\n";
    job(&old.sandbox, TAKEN, 0o1771, &[("end", end)]);
    let path = old.sandbox.state(&format!("jobs/{TAKEN}"));
    for name in ["", "request", "spec", "lock", "end"] {
        chown(path.join(name), Some(0), Some(NOBODY)).expect("chown");
    }
    set_mode(&path, 0o1771);
    old
}

impl Old {
    fn job(&self, id: &str) -> JobDirectory {
        JobDirectory::of(&places(&self.sandbox), &JobId::parse(id).expect("an id"))
    }

    /// What holds afterwards, whoever listens.
    fn is_brought_over(&self) {
        let origin = self.job(OVER).origin().expect("an origin");
        let pusher = origin.pusher.expect("a pusher");
        assert_eq!((pusher.name.as_str(), origin.by.as_str()), ("ci", "me@laptop"));
        assert_eq!(origin.received, "2026-01-31T12:00:00Z");
        assert_eq!(self.job(BY_HAND).origin().expect("an origin").pusher, None);
        let end = self.job(NEVER).end().expect("readable").expect("an end");
        assert_eq!(end.kind, EndKind::Denied(77));
        assert!(end.reason.expect("a reason").contains("send it again"));
        assert!(!self.job(NEVER).file("secrets").exists());
        assert_eq!(self.job(LOST).state().expect("a state").word(), "lost");
        assert_eq!(std::fs::read(self.job(OVER).file("artifacts/a.txt")).expect("read"), b"made");
        assert_eq!(std::fs::read(self.job(OVER).file("log")).expect("read"), b"x\n");
        let places = places(&self.sandbox);
        assert!(is_pruned(&places, &JobId::parse(PRUNED).expect("an id")).expect("readable"));
        let day = places.pruned().join(&PRUNED[..8]);
        assert_eq!(std::fs::read_to_string(day).expect("read").lines().count(), 1);
        for gone in ["listen.lock", "jobs/pruned"] {
            assert!(!self.sandbox.state(gone).exists(), "{gone}");
        }
        let object = self.sandbox.state(&format!("packages/{}", self.object));
        assert_eq!(std::fs::read(object).expect("read"), b"a package");
        assert!(!self.job(OVER).file("request").exists());
        // One that was dropped would let through what is to wait.
        let frozen = self.sandbox.state("freezes/shop");
        assert_eq!(std::fs::read_to_string(frozen).expect("read"), FROZEN);
        // What is to be looked at can be: an end, a list.
        let list = self.sandbox.tool("octo-exec").arg("list").assert().success();
        let list = String::from_utf8(list.get_output().stdout.clone()).expect("UTF-8");
        assert!(list.lines().count() >= 4, "{list}");
    }

    fn is_of_two(&self) {
        let at = |name: &str| is(&self.sandbox, name);
        let in_job = |id: &str, name: &str| is(&self.sandbox, &format!("jobs/{id}/{name}"));
        assert_eq!(at(""), (0, 0, 0o711));
        assert_eq!(at("jobs"), (0, NOBODY, 0o751));
        for id in [OVER, NEVER, LOST, BY_HAND, TAKEN] {
            assert_eq!(in_job(id, ""), (0, NOBODY, 0o751), "{id}");
            assert_eq!(in_job(id, "spec"), (0, NOBODY, 0o640), "{id}");
            assert_eq!(in_job(id, "origin"), (0, NOBODY, 0o640), "{id}");
            let lock = in_job(id, "lock");
            assert_eq!((lock.0, lock.2), (0, 0o600), "{id}");
        }
        assert_eq!(in_job(OVER, "script").2, 0o440);
        assert_eq!(in_job(OVER, "artifacts"), (0, NOBODY, 0o750));
        assert_eq!(in_job(OVER, "artifacts/a.txt"), (0, NOBODY, 0o640));
        assert_eq!(in_job(OVER, "work").0, NOBODY);
        assert_eq!(at(&format!("packages/{}", self.object)).0, 0);
        assert_eq!(at(&format!("packages/{}.by", self.object)), (0, NOBODY, 0o640));
        assert_eq!(at("packages/incoming"), (0, at("packages/incoming").1, 0o700));
        assert_eq!(self.sandbox.state("packages/incoming").read_dir().expect("dir").count(), 0);
        assert_eq!((at("freezes"), at("freezes/shop")), ((0, NOBODY, 0o755), (0, NOBODY, 0o644)));
        assert_eq!(at("locks"), (0, 0, 0o700));
        assert_eq!(at("locks/backup").2, 0o600);
        assert_eq!(at("audit.log"), (0, NOBODY, 0o640));
        assert_eq!((at("spool"), at("listen")), ((NOBODY, NOBODY, 0o700), (NOBODY, NOBODY, 0o700)));
    }
}

#[test]
fn a_fresh_state_is_made_and_nothing_is_said_twice() {
    let sandbox = sandbox();
    let said = setup(&sandbox, &[]);
    for name in ["spool", "listen", "jobs", "refused", "releases", "freezes", "packages", "locks"] {
        assert!(said.contains(&format!("/state/{name}: made")), "{said}");
    }
    assert_eq!(is(&sandbox, "jobs"), (own().0, own().1, 0o751));
    assert_eq!(setup(&sandbox, &[]), "");
    is_sound(&sandbox, "one user");
    for (arguments, code) in [(vec!["x"], 64), (vec!["--listener", "no-such-user"], 78)] {
        sandbox.tool("octo-exec").arg("setup").args(&arguments).assert().code(code);
    }
}

#[test]
fn an_older_state_of_one_user_is_brought_over() {
    let old = old();
    let said = setup(&old.sandbox, &[]);
    assert!(said.contains(&format!("jobs/{NEVER}: ")) && said.contains("end denied"), "{said}");
    old.is_brought_over();
    assert_eq!(setup(&old.sandbox, &[]), "");
    is_sound(&old.sandbox, "one user");
    let (uid, gid) = own();
    assert_eq!(is(&old.sandbox, &format!("jobs/{OVER}/artifacts")), (uid, gid, 0o750));
    // What was sent in part and is this user's own goes on.
    let incoming = old.sandbox.state("packages/incoming");
    assert_eq!(incoming.read_dir().expect("dir").count(), 1);
}

#[test]
fn an_older_state_of_a_listener_becomes_roots() {
    if !is_root("an_older_state_of_a_listener_becomes_roots") {
        return;
    }
    let old = old_of_listener();
    // Nothing that it holds open is written to afterwards.
    let held = old.sandbox.state(&format!("packages/{}", old.object));
    let held = std::fs::File::open(held).expect("open");
    old.sandbox.tool("octo-exec").arg("setup").assert().code(78);
    setup(&old.sandbox, &["--listener", "nobody"]);
    old.is_brought_over();
    old.is_of_two();
    assert_eq!(held.metadata().expect("stat").nlink(), 0);
    assert_eq!(setup(&old.sandbox, &["--listener", "nobody"]), "");
    assert_eq!(setup(&old.sandbox, &[]), "");
    is_sound(&old.sandbox, "listener nobody");
    // And back: one user does all again.
    setup(&old.sandbox, &["--listener", "root"]);
    assert_eq!(setup(&old.sandbox, &[]), "");
    is_sound(&old.sandbox, "one user");
}

#[test]
fn links_and_files_that_a_listener_planted_gain_nothing() {
    if !is_root("links_and_files_that_a_listener_planted_gain_nothing") {
        return;
    }
    let old = old_of_listener();
    let secret = old.sandbox.write("secret", "of root's");
    set_mode(&secret, 0o600);
    let job = old.sandbox.state(&format!("jobs/{OVER}"));
    let plant = |name: &str| {
        let path = job.join(name);
        let _ = std::fs::remove_file(&path);
        path
    };
    symlink(&secret, plant("log")).expect("symlink");
    std::fs::hard_link(&secret, plant("index")).expect("link");
    symlink(old.sandbox.path(""), plant("values")).expect("symlink");
    // One of root's that lay where the listener could move it away, with one name.
    std::fs::write(plant("outputs"), "of root's, too").expect("write");
    set_mode(&job.join("outputs"), 0o600);
    // A statement that nobody verified, an approval that nobody gave.
    for name in ["request.sig", "approved"] {
        std::fs::write(plant(name), "forged").expect("write");
        chown(job.join(name), Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    std::fs::write(plant("held"), "x").expect("write");
    chown(job.join("held"), Some(NOBODY), Some(NOBODY)).expect("chown");
    let sparse = std::fs::File::create(plant("grant")).expect("create");
    sparse.set_len(1 << 40).expect("sparse");
    chown(job.join("grant"), Some(NOBODY), Some(NOBODY)).expect("chown");
    symlink(&secret, old.sandbox.state("audit.log.1")).expect("symlink");
    let bad = Digest::of(b"another");
    file(&old.sandbox, &format!("packages/{bad}"), "not that", 0o444);
    chown(old.sandbox.state(&format!("packages/{bad}")), Some(NOBODY), None).expect("chown");
    let said = setup(&old.sandbox, &["--listener", "nobody"]);
    for name in ["log", "index", "values", "outputs", "request.sig", "approved", "grant"] {
        assert!(!job.join(name).exists(), "{name}");
        assert!(said.contains(&format!("{name} removed: ")), "{name}: {said}");
    }
    assert_eq!(is(&old.sandbox, &format!("jobs/{OVER}/held")), (0, NOBODY, 0o640));
    assert!(!old.sandbox.state(&format!("packages/{bad}")).exists());
    let metadata = secret.metadata().expect("stat");
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (0, 0, 0o600));
    assert_eq!(std::fs::read(&secret).expect("read"), b"of root's");
    is_sound(&old.sandbox, "listener nobody");
    // A link in the place of a directory is not followed, and stays for somebody to look at.
    let old = old_of_listener();
    std::fs::remove_dir_all(old.sandbox.state("locks")).expect("remove");
    symlink(old.sandbox.path(""), old.sandbox.state("locks")).expect("symlink");
    old.sandbox.tool("octo-exec").args(["setup", "--listener", "nobody"]).assert().code(78);
    assert_eq!(old.sandbox.path("").metadata().expect("stat").uid(), 0);
}

#[test]
fn what_runs_by_the_older_version_comes_first() {
    let old = old();
    let lock = std::fs::File::open(old.sandbox.state("listen.lock")).expect("open");
    lock.lock().expect("lock");
    old.sandbox.tool("octo-exec").arg("setup").assert().code(75);
    drop(lock);
    let lock = std::fs::File::open(old.job(NEVER).file("lock")).expect("open");
    lock.lock().expect("lock");
    old.sandbox.tool("octo-exec").arg("setup").assert().code(75);
    assert!(!old.job(OVER).file("origin").exists(), "nothing was begun");
    drop(lock);
    setup(&old.sandbox, &[]);
    old.is_brought_over();
}

#[test]
fn killed_anywhere_it_is_called_again_and_all_is_right() {
    if !can_trace("killed_anywhere_it_is_called_again_and_all_is_right") {
        return;
    }
    let is_root = own().0 == 0;
    let mut points = 0;
    for call in ["fchmod", "fchown", "renameat", "unlinkat", "mkdirat", "write", "fsync"] {
        // Each third call of those of which there are many.
        for when in (1..).step_by(3) {
            let old = if is_root { old_of_listener() } else { old() };
            let listener: &[&str] = if is_root { &["--listener", "nobody"] } else { &[] };
            let log = old.sandbox.path("strace");
            let output = Command::new("strace")
                .args(["-qq", "-o"])
                .arg(&log)
                .args([
                    "-e",
                    &format!("inject={call}:signal=KILL:when={when}"),
                    "-e",
                    "signal=none",
                ])
                .arg(old.sandbox.program("octo-exec"))
                .args(["--config".as_ref(), old.sandbox.config("").as_os_str()])
                .args(["--state".as_ref(), old.sandbox.state("").as_os_str()])
                .arg("setup")
                .args(listener)
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .stdout(Stdio::null())
                .output()
                .expect("strace runs");
            if output.status.success() {
                break;
            }
            points += 1;
            setup(&old.sandbox, listener);
            old.is_brought_over();
            if is_root {
                old.is_of_two();
            }
            assert_eq!(setup(&old.sandbox, listener), "", "{call} {when}");
            is_sound(&old.sandbox, if is_root { "listener nobody" } else { "one user" });
        }
    }
    assert!(points > 15, "only {points} points");
}
