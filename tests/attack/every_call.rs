//! As the listener's user, behind every system call of octo-exec that names a path: each
//! component that is the listener's is swapped for a way to a victim.
//!
//! The short form takes some of the stops, each with another swap. OCTO_TEST_LONG=1 takes
//! them all, each with every swap of a component: see CONTRIBUTING.md.

use crate::separated::{Separated, injectable, job_id};
use crate::stopped::{Stop, run_stopped, stops};
use crate::support::{NOBODY, set_mode};
use crate::victims::{SECRET, Victims, assert_hidden_from_the_listener};
use octo_core::base::publish;
use octo_core::tentacle::spec::{LockRequest, Script, Spec};
use octo_core::{Digest, JobId, LockName};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

/// The short form of each test takes so many stops, and those that are near.
const SHORT: usize = 8;

/// The listener's user, as a shell that stays.
pub(crate) struct Shell {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Shell {
    pub(crate) fn new(here: &Separated) -> Shell {
        let mut shell = here.become_user(NOBODY);
        shell
            .arg("sh")
            .current_dir(&here.places.state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = shell.spawn().expect("setpriv");
        let stdin = child.stdin.take().expect("standard input");
        let stdout = BufReader::new(child.stdout.take().expect("standard output"));
        Shell { child, stdin, stdout }
    }

    /// Does this, whatever fails of it.
    pub(crate) fn does(&mut self, text: &str) {
        writeln!(self.stdin, "{{ {text}\n}} >/dev/null 2>&1; echo done").expect("a shell");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        assert_eq!(line, "done\n", "{text}");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ways to swap `$X`; `$V` is a directory of root's, `$S` and `$R` files of it.
static SWAPS: &[&str] = &[
    "mv $X $X.old; ln -s $V $X",
    "mv $X $X.old; ln -s $S $X",
    "mv $X $X.old; ln -s $R $X",
    "mv $X $X.old; mkdir $X; ln -s $S $X/$D; ln -s $S $X/$D.by",
    "mv $X $X.old; mkfifo $X",
    "mv $X $X.old; cp -r $X.old $X.new; mv $X.new $X; echo forged >>$X",
    "rm -rf $X",
    // By a second name, which root lays where the kernel forbids that.
    HARD,
];
/// Those that lead to what only root has.
static TO_ROOTS: &[&str] = &["rm -rf $X; ln -s $S $X", HARD];
const HARD: &str = "rm -rf $X; ln $R $X";

/// What the listener must not be able to do at all: tried at each stop.
const TRIES: &str = "mv -f jobs/$J jobs packages refused locks audit.log pruned doorbell spool
    ln -sfn $V jobs/$J; ln -sfn $R locks/Z; ln -sfn $S packages/$D; ln -sfn $R jobs/$J/log
    rm -rf jobs/$J packages/$D refused/$J; mv spool listen x";

/// One tentacle for many stops, each with a job and a package of its own.
struct Scene {
    here: Separated,
    victims: Victims,
    listener: Shell,
}

/// A job that is spooled, with its package.
struct Spooled {
    job: JobId,
    digest: Digest,
    /// A file of root's, in a directory of root's.
    kept: PathBuf,
    /// What would make it run is nowhere but there.
    lacks: Option<Lacks>,
}

/// What a listener doesn't have, and root keeps: the job must not run by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lacks {
    Entry,
    Package,
}

/// A swept component, and what is swept it for.
struct Sweep {
    test: &'static str,
    component: &'static str,
    lacks: Option<Lacks>,
    /// Which of the stops come first in the short form: others for each.
    offset: usize,
}

impl Scene {
    fn new(test: &str) -> Option<Scene> {
        let here = injectable(test)?;
        let victims = Victims::new(&here.sandbox);
        let listener = Shell::new(&here);
        Some(Scene { here, victims, listener })
    }

    fn spooled(&mut self, lacks: Option<Lacks>) -> Spooled {
        let here = &self.here;
        let job = job_id();
        let package = format!("packed for {job}\n");
        let digest = Digest::of(package.as_bytes());
        let mark = here.mark(&job).display().to_string();
        let text = format!("echo ran >>{mark}; cat \"$OCTO_PACKAGE\"");
        let mut spec = Spec::of(Script::Command(text));
        let name = LockName::parse("Z").expect("a name");
        spec.locks = vec![LockRequest { name, shared: false, wait: Duration::from_secs(60) }];
        spec.package = Some((digest, "p".into()));
        let mut entry = here.request(&job, &spec.encode());
        let kept = here.sandbox.write(&format!("kept/{job}/{digest}"), SECRET);
        for path in [kept.as_path(), publish::parent(&kept)] {
            set_mode(path, 0o700);
        }
        let mut object = package.clone();
        match lacks {
            Some(Lacks::Entry) => {
                std::fs::write(&kept, entry.bytes()).expect("write");
                entry.signature = vec![0; 64];
            }
            Some(Lacks::Package) => {
                std::fs::write(&kept, package).expect("write");
                object = object.to_uppercase();
            }
            None => {}
        }
        self.listener.does(&format!(
            "rm -rf spool/* listen/*; mkdir listen/packages; cd listen/packages
            printf '{object}' >{digest}; echo ci >{digest}.by; cd ../.."
        ));
        here.spool(job.as_str(), &entry.bytes());
        Spooled { job, digest, kept, lacks }
    }

    /// Stops there and swaps this; was it reached?
    fn attack(&mut self, sweep: &Sweep, swap: &str, stop: &Stop) -> bool {
        let component = sweep.component;
        let spooled = self.spooled(sweep.lacks);
        let Spooled { job, digest, kept, .. } = &spooled;
        let [v, s, r] = [publish::parent(kept), kept, &self.victims.readable()]
            .map(|path| path.display().to_string());
        let names = format!("J={job} D={digest} V={v} S={s} R={r}");
        let at = component.replace("$J", job.as_str()).replace("$D", &digest.to_string());
        let (here, listener) = (&self.here, &mut self.listener);
        let reached = run_stopped(here, &["take", job.as_str()], stop, || {
            listener.does(&format!("{names} X={at}; {swap}\n{TRIES}"));
            if swap == HARD {
                // It is there already where the kernel lets anybody link.
                let _ = std::fs::hard_link(kept, here.places.state.join(&at));
            }
        });
        let what = format!("{component}: {:?}: {swap}: {stop:?}", sweep.lacks);
        self.assert_sound(&spooled, &what);
        // Whoever calls it again starts no second one.
        self.here.take(job);
        self.assert_sound(&spooled, &what);
        reached
    }

    /// It ran once or not at all, the victims are as they were, and so is STATE.
    fn assert_sound(&self, spooled: &Spooled, what: &str) {
        let Spooled { job, digest, lacks, .. } = spooled;
        let here = &self.here;
        self.victims.assert_untouched();
        let runs = here.runs(job);
        let end = here.job(job).end().expect("readable");
        let refused = here.refused(job.as_str());
        let code = end.as_ref().map(|end| (end.kind.word(), end.kind.code()));
        match runs {
            0 => assert!(code.is_none_or(|(word, _)| word == "denied"), "{what}: {code:?}"),
            1 if lacks.is_some() => panic!("{what}: ran by what root keeps"),
            1 => assert_eq!((code, &refused), (Some(("exit", 0)), &None), "{what}"),
            more => panic!("{what}: ran {more} times"),
        }
        if runs == 1 {
            let log = std::fs::read_to_string(here.job(job).file("log")).expect("a log");
            assert_eq!(log, format!("packed for {job}\n"), "{what}");
        }
        let stored = here.places.packages().join(digest.to_string());
        if let Ok(bytes) = std::fs::read(stored) {
            assert_eq!(Digest::of(&bytes), *digest, "{what}");
        }
        for (name, owner) in [("jobs", 0), ("refused", 0), ("packages", 0), ("locks", 0)]
            .into_iter()
            .chain([("spool", NOBODY), ("listen", NOBODY)])
        {
            let path = here.places.state.join(name);
            let found = path.symlink_metadata().expect("stat");
            assert!(found.is_dir() && found.uid() == owner, "{what}: {name}");
            let below = std::fs::read_dir(&path).expect("read").flatten().map(|e| e.path());
            let foreign = |path: &PathBuf| {
                path.symlink_metadata()
                    .is_ok_and(|found| found.uid() != owner || found.is_symlink())
            };
            assert_eq!(below.filter(|_| owner == 0).find(foreign), None, "{what}");
        }
        let names = std::fs::read_dir(&here.places.state).expect("read").flatten();
        assert!(!names.into_iter().any(|entry| entry.file_name() == "x"), "{what}");
    }

    /// Nothing that the listener or a pusher can read has a byte of the victims.
    fn assert_hidden(&self) {
        assert_hidden_from_the_listener(&self.here);
        let log = std::fs::read_to_string(self.here.places.audit()).expect("a log");
        assert!(!log.contains(SECRET));
    }
}

/// Swaps this component behind each call.
fn sweep(sweep: &Sweep) {
    let test = sweep.test;
    let Some(mut scene) = Scene::new(test) else { return };
    // What the first of all makes, the others find.
    let made = scene.spooled(sweep.lacks);
    scene.here.take(&made.job);
    let first = scene.spooled(sweep.lacks);
    let named = format!(", \"{}", first.job);
    let near = ["state/spool", "state/listen", &named, "\"packages/"];
    let all = stops(&scene.here, &["take", first.job.as_str()], &near);
    scene.assert_sound(&first, "without an attack");
    assert_eq!(scene.here.runs(&first.job), usize::from(sweep.lacks.is_none()));
    assert!(all.len() > 50 && all.iter().any(|stop| stop.is_near), "{all:?}");
    let (mut tried, mut reached) = (0, 0);
    for (stop, swap) in attacks(sweep, &all) {
        tried += 1;
        reached += usize::from(scene.attack(sweep, swap, stop));
        if tried % 50 == 0 {
            scene.assert_hidden();
            // So many jobs would slow the store down.
            scene.here.prune_all();
        }
    }
    scene.assert_hidden();
    // Threads come to their calls in another order, now and then.
    assert!(reached * 10 > tried * 8, "{reached} of {tried} at {} stops", all.len());
}

/// Behind which call which swap: each behind each, or a few, and more of them where the
/// listener's own are looked at.
fn attacks<'a>(sweep: &Sweep, all: &'a [Stop]) -> Vec<(&'a Stop, &'static str)> {
    let swaps = if sweep.lacks.is_some() { TO_ROOTS } else { SWAPS };
    let is_long = std::env::var_os("OCTO_TEST_LONG").is_some();
    let step = all.len().div_ceil(SHORT);
    let mut found = Vec::new();
    let mut next = swaps.iter().cycle().skip(sweep.offset);
    for (index, stop) in all.iter().enumerate() {
        let count = match stop.is_near {
            _ if is_long => swaps.len(),
            true if sweep.lacks.is_some() => swaps.len(),
            true => 1,
            false => usize::from(index % step == sweep.offset % step),
        };
        found.extend(next.by_ref().take(count).map(|swap| (stop, *swap)));
    }
    found
}

#[test]
fn a_swapped_entry_reaches_no_victim() {
    let test = "a_swapped_entry_reaches_no_victim";
    sweep(&Sweep { test, component: "spool/$J", lacks: None, offset: 0 });
}

#[test]
fn a_swapped_directory_of_packages_reaches_no_victim() {
    let test = "a_swapped_directory_of_packages_reaches_no_victim";
    sweep(&Sweep { test, component: "listen/packages", lacks: None, offset: 1 });
}

#[test]
fn a_swapped_package_reaches_no_victim() {
    let test = "a_swapped_package_reaches_no_victim";
    sweep(&Sweep { test, component: "listen/packages/$D", lacks: None, offset: 2 });
}

#[test]
fn a_swapped_list_of_putters_reaches_no_victim() {
    let test = "a_swapped_list_of_putters_reaches_no_victim";
    sweep(&Sweep { test, component: "listen/packages/$D.by", lacks: None, offset: 3 });
}

/// Root may read it: octo-exec must not in the listener's stead.
#[test]
fn an_entry_that_only_root_has_is_read_through_no_swap() {
    let test = "an_entry_that_only_root_has_is_read_through_no_swap";
    sweep(&Sweep { test, component: "spool/$J", lacks: Some(Lacks::Entry), offset: 4 });
}

#[test]
fn a_package_that_only_root_has_is_read_through_no_swap() {
    let test = "a_package_that_only_root_has_is_read_through_no_swap";
    let (component, lacks) = ("listen/packages/$D", Some(Lacks::Package));
    sweep(&Sweep { test, component, lacks, offset: 5 });
}
