//! What a held deployment would change, as who approves it sees it.

use crate::jobs::{Draft, own_user, trust};
use crate::sandbox;
use crate::support::{Sandbox, stdout_of, wait_for};
use crate::tar::{Entry, directory, file, symlink};
use octo_core::tentacle::changes::Changes;
use octo_core::tentacle::job::JobDirectory;
use octo_core::{Digest, PusherName};
use std::path::{Path, PathBuf};

/// octo-release, as a pusher would send it.
fn octo_release() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/octo-release")
}

/// A target whose jobs of the pusher wait, and where they deploy to.
struct Target {
    sandbox: Sandbox,
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

    fn own() -> Target {
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
    let entries = first.iter().chain(more).map(Entry::bytes);
    [entries.collect::<Vec<_>>().concat(), vec![0; 1024]].concat()
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
