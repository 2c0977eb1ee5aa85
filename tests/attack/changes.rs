//! What a held deployment would change is seen as its user alone, and of the package that is
//! approved, whatever a listener or a job has put in their place.

use crate::separated::{Separated, job_id, separated};
use crate::support::{NOBODY, set_mode, stdout_of, wait_for};
use crate::tar::{archive, file};
use crate::victims::SECRET;
use octo_core::tentacle::changes::{Changes, Compared};
use octo_core::tentacle::spec::{Script, Spec};
use octo_core::tentacle::statement::Asks;
use octo_core::{Digest, JobId};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

/// BASE/shop with a release, all of it the job's user's.
fn released(here: &Separated) -> PathBuf {
    let base = here.sandbox.path("srv");
    let release = base.join("shop/releases/1.0");
    std::fs::create_dir_all(&release).expect("mkdir");
    std::fs::write(release.join("same"), "x").expect("write");
    std::fs::write(base.join("shop/journal"), "x").expect("write");
    symlink("releases/1.0", base.join("shop/current")).expect("symlink");
    for path in [base.join("shop"), base.join("shop/releases"), release.clone()] {
        chown(&path, Some(here.user.uid), Some(here.user.gid)).expect("chown");
    }
    let options = format!("ci user={} hold set=OCTO_BASE={}", here.user.name, base.display());
    here.trust(&[(&here.ci, &options)]);
    release
}

/// The listener has received these bytes by this name, of `ci`.
fn lays(here: &Separated, digest: &Digest, bytes: &[u8]) {
    let packages = here.places.listen().join("packages");
    std::fs::create_dir_all(&packages).expect("mkdir");
    chown(&packages, Some(NOBODY), Some(NOBODY)).expect("chown");
    for (name, bytes) in [(digest.to_string(), bytes), (format!("{digest}.by"), &b"ci\n"[..])] {
        std::fs::write(packages.join(&name), bytes).expect("write");
        chown(packages.join(&name), Some(NOBODY), Some(NOBODY)).expect("chown");
    }
}

fn hold(here: &Separated, package: &Digest) -> JobId {
    let (job, script) = (job_id(), b"exit 1\n");
    let name = "octo-release".to_string();
    let mut spec = Spec::of(Script::Sent { digest: Digest::of(script), name });
    spec.package = Some((*package, "shop-2.0.tar".into()));
    spec.arguments = vec![b"deploy".to_vec()];
    let spec = spec.encode();
    let statement = here.ci.statement(here.tentacle, &job, Asks::Request(Digest::of(&spec)));
    let mut parts = here.ci.sign(statement.encode(), &spec);
    parts.script = script.to_vec();
    here.spool(job.as_str(), &parts.bytes());
    here.ring();
    job
}

fn outcome(here: &Separated, job: &JobId) -> Result<Compared, String> {
    let path = here.job(job).file("changes");
    wait_for("what it would change", || path.exists());
    Changes::parse(&std::fs::read(path).expect("read")).expect("of the form").outcome
}

#[test]
fn what_would_change_is_seen_as_the_jobs_user_and_of_what_is_approved() {
    let test = "what_would_change_is_seen_as_the_jobs_user_and_of_what_is_approved";
    let Some(here) = separated(test) else { return };
    let release = released(&here);
    let tell = here.sandbox.write("tell", "#!/bin/sh\nid -u >>\"${0%/*}/told\"\n");
    set_mode(&tell, 0o755);
    here.write_config("octo-exec", &format!("notify={}\n", tell.display()));
    // Files of root's in the places of hooks: by a name of the user's own, and by a link.
    let secret = here.sandbox.write("secret", SECRET);
    set_mode(&secret, 0o600);
    std::fs::hard_link(&secret, release.join("Deploy.sh")).expect("link");
    symlink(&secret, release.join("PostDeploy.sh")).expect("symlink");
    let hooks = [file("Deploy.sh", "new"), file("PostDeploy.sh", "new"), file("same", "x")];
    let package = archive(&hooks);
    let digest = Digest::of(&package);
    lays(&here, &digest, &package);
    let job = hold(&here, &digest);
    let compared = outcome(&here, &job).expect("compared");
    assert_eq!((compared.counts.changed, compared.counts.same), (2, 1), "{compared:?}");
    // Whatever is in the place of the release's, what would run is shown.
    let shown = vec![b"@@ -0,0 +1,1 @@".to_vec(), b"+new".to_vec()];
    assert!(compared.texts.iter().all(|text| text.lines == Ok(shown.clone())), "{compared:?}");
    assert_eq!(compared.notes.iter().filter(|note| note.contains("is shown")).count(), 2);
    let record = here.job(&job).file("changes");
    let found = record.metadata().expect("stat");
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (0, NOBODY, 0o640));
    let shown =
        |job: &JobId| stdout_of(here.sandbox.tool("octo-exec").args(["show", job.as_str()]));
    let (text, said) = (std::fs::read_to_string(&record).expect("read"), shown(&job));
    assert!(!text.contains(SECRET) && !said.contains(SECRET), "{text}{said}");
    assert!(said.contains("2 changed, 1 the same"), "{said}");
    // Nothing is taken over, run or written for it.
    assert!(!here.places.packages().join(digest.to_string()).exists());
    let held = here.job(&job);
    assert!(!held.file("started").exists() && !held.file("work").exists());
    let told = here.sandbox.path("told");
    wait_for("its notification", || std::fs::read_to_string(&told).is_ok_and(|it| it == "0\n"));
    // The listener has other bytes by that name by now: who approves is not shown those.
    lays(&here, &digest, &archive(&[file("harmless", "")]));
    let why = outcome(&here, &hold(&here, &digest)).expect_err("others");
    assert_eq!(why, "the bytes of the package there are others than its sha256 says");
    // A way to a file of root's is no package.
    std::fs::remove_file(here.places.listen().join(format!("packages/{digest}"))).expect("remove");
    symlink(&secret, here.places.listen().join(format!("packages/{digest}"))).expect("symlink");
    assert!(outcome(&here, &hold(&here, &digest)).is_err());
    // Nor is what lies elsewhere a release.
    let current = Path::new(&release).join("../../current");
    std::fs::remove_file(&current).expect("remove");
    symlink("/etc", &current).expect("symlink");
    let other = archive(&[file("hostname", "x")]);
    let digest = Digest::of(&other);
    lays(&here, &digest, &other);
    let why = outcome(&here, &hold(&here, &digest)).expect_err("astray");
    assert!(why.ends_with("current: leads to no release of it"), "{why}");
}
