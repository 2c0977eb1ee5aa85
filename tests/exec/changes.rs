//! What a held deployment would change, as who approves it sees it.

use crate::jobs::{Draft, own_user, trust};
use crate::sandbox;
use crate::support::{Sandbox, needs, set_mode, stdout_of, wait_for};
use crate::tar::{Entry, archive, directory, file, symlink};
use octo_core::tentacle::changes::{Changes, MAXIMUM_LISTED};
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::{Digest, PusherName};
use std::path::{Path, PathBuf};

/// octo-release, as a pusher would send it.
fn octo_release() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/octo-release")
}

/// A target whose jobs of the pusher wait, and where they deploy to.
pub(crate) struct Target {
    pub(crate) sandbox: Sandbox,
    base: PathBuf,
}

impl Target {
    fn new(options: &str) -> Target {
        let sandbox = sandbox();
        let base = sandbox.path("srv");
        std::fs::create_dir(&base).expect("mkdir");
        trust(&sandbox, &format!("hold set=OCTO_BASE={} {options}", base.display()));
        Target { sandbox, base }
    }

    pub(crate) fn own() -> Target {
        Target::new(&format!("user={}", own_user()))
    }

    /// Puts a package into the store, as if the pusher had.
    fn put(&self, version: &str, bytes: &[u8]) -> Digest {
        let path = self.sandbox.write(&format!("shop-{version}.tar"), bytes);
        let mut add = self.sandbox.tool("octo-exec");
        let said = stdout_of(add.arg("add").arg(&path));
        let digest = Digest::parse(said.split_ascii_whitespace().next().expect("a sha256"));
        let digest = digest.expect("a sha256");
        let name = PusherName::parse("ci").expect("a name");
        let by = self.sandbox.state(&format!("packages/{digest}.by"));
        std::fs::write(by, format!("{name}\n")).expect("write");
        digest
    }

    /// A deployment that is held.
    fn hold(&self, version: &str, bytes: &[u8]) -> JobDirectory {
        let digest = self.put(version, bytes);
        self.job(&format!("package {digest} shop-{version}.tar\narg deploy\n"))
    }

    fn job(&self, rest: &str) -> JobDirectory {
        let script = std::fs::read(octo_release()).expect("the script");
        let spec = format!("script {} octo-release\n{rest}", Digest::of(&script));
        let draft = Draft { script: Some(&script), ..Draft::pushed(&spec) };
        let job = draft.publish(&self.sandbox);
        self.sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
        job
    }

    fn deploy(&self, version: &str, bytes: &[u8]) {
        let job = self.hold(version, bytes);
        self.sandbox.tool("octo-exec").args(["approve", job.id().as_str()]).assert().success();
        wait_for("its end", || job.end().expect("readable").is_some());
        let log = std::fs::read_to_string(job.file("log")).unwrap_or_default();
        let end = job.end().expect("readable").expect("an end");
        assert_eq!(end.kind.code(), 0, "{end:?}: {log}");
    }

    fn shown(&self, job: &JobDirectory) -> String {
        stdout_of(self.sandbox.tool("octo-exec").args(["show", job.id().as_str()]))
    }
}

/// The record, once octo-exec has written it behind the hold.
fn changes(job: &JobDirectory) -> Changes {
    wait_for("what it would change", || job.file("changes").exists());
    let bytes = std::fs::read(job.file("changes")).expect("read");
    Changes::parse(&bytes).expect("of the form")
}

fn release(hook: &str, more: &[Entry]) -> Vec<u8> {
    let first = [
        directory("app"),
        file("app/same", "as it was"),
        file("Deploy.sh", hook).mode(0o755),
        file("octo.conf", "shared=log/\nsubstitute=app.ini\n"),
        file("app.ini", "x=#{OCTO_APP}\n"),
    ];
    let mut bytes: Vec<u8> = first.iter().chain(more).flat_map(Entry::bytes).collect();
    bytes.extend([0; 1024]);
    bytes
}

#[test]
fn who_approves_a_deployment_sees_what_it_would_change() {
    let target = Target::own();
    let one = release(
        "#!/bin/sh\necho one\n",
        &[file("app/run", "x").mode(0o644), file("app/gone", "12345"), symlink("link", "app/same")],
    );
    let job = target.hold("1.0", &one);
    let first = target.shown(&job);
    assert!(first.contains("beside nothing released there yet: 8 added, 0 removed"), "{first}");
    assert!(first.contains("    +echo one\n"), "{first}");
    target.deploy("1.0", &one);
    let two = release(
        "#!/bin/sh\necho two\techo\n",
        &[
            file("app/run", "xyz").mode(0o755),
            file("app/a new one", "1234567"),
            symlink("link", "app/run"),
        ],
    );
    let job = target.hold("2.0", &two);
    let seen = changes(&job).outcome.expect("compared");
    assert_eq!(seen.current.expect("a release").number, Some(1));
    let shown = target.shown(&job);
    let sha256 = Digest::of(&one).to_string();
    for line in [
        &format!(
            "shop 2.0 in {} beside release 1.0#1 of {}: 1 added, 1 removed, 3 changed, 3 the same\n",
            target.base.display(),
            &sha256[..16]
        ),
        "  changed app/run: file 0755 3 bytes, was file 0644 1 byte\n",
        "  changed link: link to app/run, was link to app/same\n",
        "  removed app/gone: file 0644 5 bytes\n",
        "  added   'app/a new one': file 0644 7 bytes\n",
        "  Deploy.sh, beside that of 1.0:\n",
        "    -echo one\n    +echo two\techo\n",
        "  not compared, as values were filled in when it was deployed: app.ini\n",
        "  the target's own word, computed there at ",
        "nothing of the package was run\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
    let listed = stdout_of(target.sandbox.tool("octo-exec").args(["list", "--held"]));
    assert!(listed.contains("1 added, 1 removed, 3 changed, 3 the same\n"), "{listed}");
    assert!(listed.contains("  differs, and runs or steers: Deploy.sh\n"), "{listed}");
    assert!(!listed.contains("app/gone"), "{listed}");
    // Another release is current by now, and who approves sees the difference to that one.
    let three = release("#!/bin/sh\necho three\n", &[]);
    target.deploy("3.0", &three);
    let shown = target.shown(&job);
    assert!(shown.contains("beside release 3.0#2") && shown.contains("-echo three\n"), "{shown}");
    assert_eq!(changes(&job).outcome.expect("compared").current.expect("one").number, Some(2));
}

/// A target where `octo-release` finds a release that nobody deployed, as a job may leave it.
fn released(target: &Target, files: &[(&str, &str)]) -> PathBuf {
    let shop = target.base.join("shop");
    for (name, text) in files {
        let path = shop.join("releases/1.0").join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
        std::fs::write(path, text).expect("write");
    }
    std::os::unix::fs::symlink("releases/1.0", shop.join("current")).expect("symlink");
    std::fs::write(shop.join("journal"), "x").expect("write");
    shop
}

/// Without a manifest its files are read; whatever they are called drives no terminal.
#[test]
fn names_in_a_release_drive_no_terminal_and_look_like_no_line_of_ours() {
    let target = Target::own();
    let evil = "a\x1b[2J\n  removed b";
    released(&target, &[(evil, "x"), ("same", "as it was"), ("b: file 0644", "x")]);
    let job = target.hold("2.0", &archive(&[file("same", "as it was"), file("octo.conf", "")]));
    let shown = target.shown(&job);
    for line in [
        "1 added, 2 removed, 0 changed, 1 the same\n",
        "  removed $'a\\033[2J\\n  removed b': file 0644 1 byte\n",
        "  removed 'b: file 0644': file 0644 1 byte\n",
        "  the release has no manifest: its files were read\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
    assert!(!shown.contains('\x1b'), "{shown}");
}

#[test]
fn what_cant_be_compared_says_why_and_is_held_all_the_same() {
    let target = Target::own();
    let shop = released(&target, &[("same", "x")]);
    let good = archive(&[file("same", "x")]);
    let twice = archive(&[file("same", "x"), file("same", "y")]);
    let said = |job: &JobDirectory, why: &str| {
        let failed = changes(job).outcome.expect_err(why);
        assert!(failed.contains(why), "{failed}");
        let shown = target.shown(job);
        assert!(shown.contains("what it would change is not known: "), "{shown}");
        assert!(shown.contains("octo-exec approve "), "{shown}");
    };
    said(&target.hold("2.0", &twice), "the package: same: is in it twice");
    said(&target.hold("2.0", &[b'x'; 1024]), "is no archive of tar");
    let cut = &good[..good.len() - 512];
    said(&target.hold("2.0", cut), "the package: ");
    let digest = target.put("2.0", &good);
    said(&target.job(&format!("package {digest} shop-2.0.tar\narg -x\narg deploy\n")), "none of");
    // Its bytes are others by now: what would be shown is not what is approved.
    std::fs::write(
        target.sandbox.state(&format!("packages/{digest}")),
        archive(&[file("evil", "")]),
    )
    .expect("write");
    let job = target.job(&format!("package {digest} shop-2.0.tar\narg deploy\n"));
    said(&job, "are others than its sha256 says");
    // Nor is anything read that a job has put in the place of its release.
    std::fs::remove_file(shop.join("current")).expect("remove");
    std::os::unix::fs::symlink("/etc", shop.join("current")).expect("symlink");
    let job = target.hold("3.0", &archive(&[file("hosts", "x")]));
    said(&job, "current: leads to no release of it");
    assert!(!target.shown(&job).contains("passwd"));
}

/// Through the pipe as from a file, whatever a package is compressed with.
#[test]
fn a_package_may_be_compressed() {
    let target = Target::own();
    released(&target, &[("same", "x")]);
    let plain = archive(&[file("same", "x"), file("new", "y".repeat(300_000))]);
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        if !needs("a_package_may_be_compressed", program) {
            continue;
        }
        let compressed = std::process::Command::new(program)
            .arg("-c")
            .stdin(std::fs::File::open(target.sandbox.write("plain", &plain)).expect("open"))
            .output()
            .expect("it runs");
        let digest = target.put("2.0", &compressed.stdout);
        let job = target.job(&format!("package {digest} shop-2.0.tar.{ending}\narg deploy\n"));
        let counts = changes(&job).outcome.expect("compared").counts;
        assert_eq!((counts.added, counts.changed, counts.same), (1, 0, 1), "{program}");
    }
}

/// A hook into which a secret was filled stays where it is; the package's is shown whole.
#[test]
fn values_that_were_filled_into_a_hook_are_not_shown() {
    let target = Target::own();
    let conf = ("octo.conf", "substitute=Deploy.sh\n");
    released(&target, &[conf, ("Deploy.sh", "login hunter2\n"), ("same", "x")]);
    let hook = file("Deploy.sh", "login #{TOKEN}\nevil\n");
    let job = target.hold("2.0", &archive(&[hook, file(conf.0, conf.1), file("same", "x")]));
    let shown = target.shown(&job);
    assert!(shown.contains("+login #{TOKEN}\n    +evil\n"), "{shown}");
    assert!(
        shown.contains("  Deploy.sh: values were filled into that of the release, so"),
        "{shown}"
    );
    let record = std::fs::read_to_string(job.file("changes")).expect("read");
    assert!(!record.contains("hunter2") && !shown.contains("hunter2"), "{record}");
}

/// Whatever a package holds: the record is bounded, and says how much more there is.
#[test]
fn a_package_of_thousands_of_files_is_counted_and_a_part_of_it_listed() {
    // As many as octo-release permits take nine seconds of a processor here.
    let all = if std::env::var_os("OCTO_TEST_LONG").is_some() { 200_000 } else { 20_000 };
    let target = Target::own();
    released(&target, &[("same", "x"), ("gone", "y"), ("zz", "before")]);
    let mut bytes = Vec::with_capacity((all + 2) << 9);
    let mut entry = |entry: &Entry| bytes.extend(entry.bytes());
    for name in 0..all - 3 {
        entry(&file(format!("a/{name}"), ""));
    }
    entry(&file("same", "x"));
    entry(&file("zz", "after"));
    bytes.extend([0; 1024]);
    let job = target.hold("2.0", &bytes);
    let counted = changes(&job).outcome.expect("compared");
    let counts = counted.counts;
    assert_eq!(
        (counts.added, counts.removed, counts.changed, counts.same),
        (all as u64 - 2, 1, 1, 1)
    );
    assert_eq!(counted.entries.len(), MAXIMUM_LISTED);
    let shown = target.shown(&job);
    assert!(shown.contains("  changed zz: file 0644 5 bytes, was file 0644 6 bytes\n"), "{shown}");
    assert!(shown.contains("  removed gone: file 0644 1 byte\n"), "{shown}");
    let more = format!("  and more, not listed: {} added\n", all - 1000);
    assert!(shown.contains(&more), "{shown}");
}

#[test]
fn changes_of_another_hold_or_deployment_are_computed_anew() {
    let target = Target::own();
    let job = target.hold("2.0", &archive(&[file("same", "x")]));
    let right = changes(&job);
    assert_eq!(right.held, Some(Digest::of(&std::fs::read(job.file("held")).expect("held"))));
    for late in [
        Changes { held: Some(Digest::of(b"former")), ..right.clone() },
        Changes { base: "/elsewhere".into(), ..right.clone() },
        Changes { package: Digest::of(b"another"), ..right.clone() },
    ] {
        std::fs::write(job.file("changes"), late.encode()).expect("write");
        target.sandbox.tool("octo-exec").arg("announce").arg(job.id().as_str()).assert().success();
        assert_eq!(Changes { at: right.at.clone(), ..changes(&job) }, right);
    }
}

/// Sets notify= to a program that runs this.
pub(crate) fn notify(target: &Target, script: &str) {
    let tell = target.sandbox.write("tell", format!("#!/bin/sh\n{script}\n"));
    set_mode(&tell, 0o755);
    let line = format!("# who approves\nnotify={} \"one word\"\n", tell.display());
    let settings = target.sandbox.write("config/octo-exec", line);
    set_mode(&settings, 0o644);
}

#[test]
fn an_approver_is_told_once_of_each_hold() {
    let target = Target::own();
    let told = target.sandbox.path("told");
    notify(&target, &format!("{{ echo \"$@\"; env | grep -v ^PWD=; cat; }} >>{}", told.display()));
    let digest = target.put("2.0", &archive(&[file("same", "x")]));
    let job = target.job(&format!("package {digest} shop-2.0.tar\narg deploy\n"));
    let id = job.id().as_str();
    wait_for("the mark", || job.file("notified").exists());
    for _ in 0..2 {
        target.sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
        target.sandbox.tool("octo-exec").args(["announce", id]).assert().success();
    }
    let text = std::fs::read_to_string(&told).expect("told");
    for line in [
        format!("one word {id}\n"),
        format!("OCTO_JOB={id}\n"),
        format!("job {id}\npusher ci\nby me@laptop\nruns octo-release\narguments deploy\n"),
        format!("package {digest} shop-2.0.tar\nexpires 20"),
        format!("look octo-exec show {id} here, or octo-push -a show {id}\n"),
    ] {
        assert_eq!(text.matches(&line).count(), 1, "{line}{text}");
    }
    assert!(!text.contains("HOME="), "{text}");
    // Who was late with a former hold has marked that one.
    let late = format!("at 2026-01-01T00:00:00Z\nheld {}\n", Digest::of(b"former"));
    std::fs::write(job.file("notified"), late).expect("write");
    for _ in 0..2 {
        target.sandbox.tool("octo-exec").args(["announce", id]).assert().success();
    }
    let count = || std::fs::read_to_string(&told).expect("told").matches("\nlook ").count();
    assert_eq!(count(), 2);
    // Another line of the trust file: what was approved is held anew, and that is told.
    let options = format!("user={} hold set=OCTO_BASE={}", own_user(), target.base.display());
    trust(&target.sandbox, &format!("{options} set=MORE=1"));
    target.sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    wait_for("that of the second", || count() == 3);
}

#[test]
fn a_program_that_fails_or_floods_is_a_line_in_the_log_and_changes_nothing() {
    let target = Target::own();
    let held = || {
        let spec = "command true\n";
        let job = Draft::pushed(spec).publish(&target.sandbox);
        let mut bring = target.sandbox.tool("octo-exec");
        let assert = bring.arg("job").arg(job.path()).assert().success();
        assert!(matches!(job.state().expect("a state"), State::Held));
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    };
    assert_eq!(held(), "");
    notify(&target, "printf 'no \\033[2J mail\\n' >&2; exit 3");
    let said = held();
    assert!(said.contains(": notify=: exit status: 3: no \\x1b[2J mail\n"), "{said}");
    notify(&target, "exec yes");
    let said = held();
    assert!(said.contains(": notify=: it printed more than 1048576 bytes, killed: y\n"), "{said}");
    set_mode(&target.sandbox.path("tell"), 0o777);
    assert!(held().contains("tell: is writable"), "others could have written it");
    target.sandbox.write("config/octo-exec", "notfy=/bin/true\n");
    assert!(held().contains("octo-exec:1: no such setting"));
}
