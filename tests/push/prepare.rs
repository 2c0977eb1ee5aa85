//! `run --prepare`: where a job would be accepted, its package is put, over one connection, and
//! nothing runs.

use crate::fault_proxy::{Direction, FaultProxy, Faults, Plan};
use crate::support::random::Random;
use crate::support::stdout_of;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use predicates::prelude::*;
use predicates::str::contains;
use std::path::PathBuf;

/// web1, which lets nobody set B, and web2, each behind a proxy; a package of 3 MiB.
struct Scene {
    octopus: Octopus,
    tentacles: [Tentacle; 2],
    proxies: [FaultProxy; 2],
    package: Vec<u8>,
}

fn scene() -> Scene {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let tentacles = [("web1", "env=A"), ("web2", "")].map(|(name, options)| {
        let mut tentacle = octopus.stranger(name);
        tentacle.trust(&octopus.sandbox, &octopus.thumbprint, options);
        tentacle.start();
        tentacle
    });
    let proxies = tentacles.each_ref().map(|tentacle| FaultProxy::start(&tentacle.address));
    for (tentacle, proxy) in tentacles.iter().zip(&proxies) {
        octopus.add_target(&tentacle.line_at(&proxy.address.to_string(), "web"));
    }
    let package = Random(1).bytes(3 << 20);
    octopus.sandbox.write("shop-1.tar", &package);
    octopus.sandbox.write("s.sh", "#!/bin/sh\necho ran\n");
    Scene { octopus, tentacles, proxies, package }
}

impl Scene {
    fn object(&self, number: usize, bytes: &[u8]) -> PathBuf {
        self.tentacles[number].state.join("packages").join(Digest::of(bytes).to_string())
    }

    fn connections(&self) -> [u64; 2] {
        self.proxies.each_ref().map(FaultProxy::accepted)
    }

    fn ran_nothing(&self) -> bool {
        self.tentacles.iter().all(|tentacle| tentacle.jobs().is_empty())
    }
}

const JOB: &str = "20260101T000000-aaaaaaaaaaaaa";
const PREPARE: [&str; 5] = ["-v", "-a", "run", "--prepare", "-p"];

#[test]
fn who_would_refuse_the_job_gets_no_package_and_nothing_runs() {
    let scene = scene();
    let prepare = [&PREPARE[..], &["shop-1.tar", "-e", "B=1", "s.sh"]].concat();
    scene
        .octopus
        .push(&prepare)
        .assert()
        .code(77)
        .stdout("")
        .stderr(contains("web1: denied: octopus may not set B"))
        .stderr(contains("hint: -e: B\n"))
        .stderr(contains("web2: would be accepted, shop-1.tar put, 3.0 MiB"));
    assert!(scene.ran_nothing());
    assert_eq!(scene.connections(), [1, 1]);
    assert!(!scene.object(0, &scene.package).exists());
    assert!(std::fs::read(scene.object(1, &scene.package)).expect("it is there") == scene.package);
    // Not a byte of it was sent, nor was it offered.
    assert!(scene.proxies[0].wait_closed(Direction::Up).0 < 10_000);
    let audit = std::fs::read_to_string(scene.tentacles[0].state.join("listen/audit.log"));
    assert!(!audit.expect("its audit log").contains(" put "));
    // In the journal it is a put.
    let journal = stdout_of(&mut scene.octopus.push(&["journal", "web2"]));
    assert!(journal.contains(" put "), "{journal}");
    assert!(!journal.contains(" run "), "{journal}");

    // As the pusher sees a put: what is there already, and in JSON.
    let accepted = [&PREPARE[..], &["shop-1.tar", "-e", "A=1", "s.sh"]].concat();
    let there = "web2: would be accepted, shop-1.tar was there";
    scene.octopus.push(&accepted).assert().success().stderr(contains(there));
    std::fs::remove_file(scene.object(1, &scene.package)).expect("removed");
    let json = ["-t", "web2", "--json", "run", "--prepare", "-p", "shop-1.tar", "s.sh"];
    let said = stdout_of(&mut scene.octopus.push(&json));
    assert!(said.contains(r#""size":3145728,"wire":3"#), "{said}");
    assert!(scene.ran_nothing());
    // What only octo-exec can say is said when it runs.
    let run = ["-t", "web2", "run", "-p", "shop-1.tar", "s.sh"];
    scene.octopus.push(&run).assert().success().stdout("ran\n");
}

#[test]
fn a_put_that_breaks_off_goes_on_and_is_asked_about_again() {
    let scene = scene();
    let up = Faults { cut_at: Some(2 << 20), ..Faults::default() };
    scene.proxies[1].next(Plan { up, down: Faults::default() });
    let prepare = ["-v", "-t", "web2", "run", "--prepare", "-p", "shop-1.tar", "s.sh"];
    scene
        .octopus
        .push(&prepare)
        .assert()
        .success()
        .stderr(contains("web2: would be accepted, shop-1.tar put"));
    assert_eq!(scene.connections(), [0, 2]);
    assert!(std::fs::read(scene.object(1, &scene.package)).expect("it is there") == scene.package);
    // It went on where it was.
    let passed = scene.proxies[1].wait_closed(Direction::Up).0;
    assert!(passed < (3 << 20) + (1 << 20), "{passed}");

    // Of the next version its difference is sent.
    let mut next = scene.package.clone();
    next[1 << 20..][..100].fill(0);
    scene.octopus.sandbox.write("new/shop-2.tar", &next);
    let patch = ["--patch-from", "shop-1.tar", "new/shop-2.tar", "s.sh"];
    let words = [&["-t", "web2", "run", "--prepare", "-p", patch[2]], &patch[..2], &patch[3..]];
    scene.octopus.push(&words.concat()).assert().success();
    assert!(scene.proxies[1].wait_closed(Direction::Up).0 < passed + 10_000);
    assert!(std::fs::read(scene.object(1, &next)).expect("it is there") == next);
}

#[test]
fn what_can_not_be_prepared_is_told() {
    let scene = scene();
    let prepare = |more: &[&str]| {
        scene.octopus.push(&[&["-v", "-a", "run", "--prepare"], more].concat()).assert()
    };
    for (more, said) in [
        (&["-c", "true"][..], "--prepare puts a package: -p says which"),
        (&["-p", "shop-1.tar", "--ask", "-c", "true"], "--ask and --prepare can't stand together"),
        (&["-p", "shop-1.tar", "-D", "-c", "true"], "--prepare and --detach can't"),
        (&["-p", "shop-1.tar", "-j", JOB, "-c", "true"], "--prepare and --job can't"),
        (&["-p", "shop-1.tar", "--end", "f", "-c", "true"], "--prepare and --end can't"),
        (&["-p", "shop-1.tar", "-g", "-c", "true"], "--prepare and --gather can't"),
        (&["-p", "shop-1.tar", "--label", "a=b", "-c", "true"], "--prepare and --label can't"),
        (
            &["-p", "shop-1.tar", "--batch", "1", "-c", "true"],
            "--prepare runs nothing: there are no",
        ),
    ] {
        prepare(more).code(64).stderr(contains(said));
    }
    prepare(&["-p", "no-such-file", "-c", "true"]).code(65).stderr(contains("no-such-file"));
    prepare(&["-p", "shop-1.tar", "no-such-script"]).code(65).stderr(contains("no-such-script"));
    let digest = Digest::of(&scene.package).to_string();
    prepare(&["-n", "-p", "shop-1.tar", "-c", "true"])
        .success()
        .stdout(contains(format!("ask, then put shop-1.tar {digest}\n")));
    assert_eq!(scene.connections(), [0, 0]);
    // One whose sha256 was said is not put, and that it is there nobody claims.
    prepare(&["-p", &digest, "-c", "true"])
        .success()
        .stderr(contains("web1: would be accepted\n").and(contains("was there").not()));
    let journal = stdout_of(&mut scene.octopus.push(&["journal"]));
    assert_eq!(journal, "");
    let mut scene = scene;
    scene.octopus.set_targets(&scene.tentacles[0].line_at("127.0.0.1:1", "web"));
    let unreachable = [&PREPARE[..], &["shop-1.tar", "s.sh"]].concat();
    scene.octopus.push(&unreachable).assert().code(69);
    assert!(scene.ran_nothing());
}
