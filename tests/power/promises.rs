//! What a tentacle has promised, asked of a tree that a power cut left, and of what octo-exec
//! makes of it when the machine is up again.

use crate::recording::Cut;
use crate::support::{Sandbox, wait_for};
use crate::tree::Tree;
use octo_core::base::paths::Places;
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::{EndKind, JobDirectory, State, is_pruned};
use octo_core::tentacle::layout::Side;
use octo_core::tentacle::spool::Spool;
use octo_core::tentacle::statement::{Asks, Statement};
use octo_core::tentacle::store::Store;
use octo_core::{Digest, JobId, PusherName, Thumbprint};

/// What each job of the recordings prints.
pub(crate) const PRINTED: &str = "printed\n";

/// A command that leaves a line of its job, and prints.
pub(crate) fn marking(job: &JobId) -> String {
    format!("echo run >>../../../../marks/{job}; echo printed")
}

/// A tentacle that a power cut left so.
pub(crate) struct Left<'a> {
    sandbox: &'a Sandbox,
    directory: tempfile::TempDir,
    pub(crate) places: Places,
    cut: &'a Cut,
}

impl<'a> Left<'a> {
    pub(crate) fn build(sandbox: &'a Sandbox, cut: &'a Cut) -> Left<'a> {
        let directory = tempfile::tempdir().expect("a directory");
        crate::support::set_mode(directory.path(), 0o755);
        cut.tree.build(directory.path());
        let tentacle = directory.path().join("tent");
        let places = Places { config: tentacle.join("config"), state: tentacle.join("state") };
        Left { sandbox, directory, places, cut }
    }

    /// A tool of ours, for this tentacle.
    pub(crate) fn tool(&self, name: &str) -> assert_cmd::Command {
        let mut command = self.sandbox.tool(name);
        command.env("OCTO_CONFIG", &self.places.config).env("OCTO_STATE", &self.places.state);
        command
    }

    /// Was it told that this is done, of which the command line has these words?
    pub(crate) fn is_told(&self, words: &[&str]) -> bool {
        let has = |told: &String| words.iter().all(|word| told.contains(word));
        self.cut.told.iter().any(has)
    }

    /// The machine is up again: whatever waits is brought forward, and comes to its end.
    pub(crate) fn come_up(&self) {
        self.tool("octo-exec").arg("start").assert().success();
        let spool = Spool::at(&self.places);
        let is_over = |job: &JobDirectory| {
            matches!(job.state(), Ok(State::Over(_) | State::Held)) && job.try_hold().is_ok()
        };
        let at = &self.cut.at;
        wait_for(&format!("the end of all jobs after {at}"), || {
            // The entries first: what is done with is a job by then.
            let names = spool.names().expect("names");
            let taken = names.iter().all(|name| name.is_done(&self.places));
            taken && JobDirectory::all(&self.places).expect("jobs").iter().all(is_over)
        });
    }

    /// How often the script of a job ran, before the power cut and behind it.
    fn runs(&self, job: &str) -> usize {
        let after = self.directory.path().join("tent/marks").join(job);
        let after = std::fs::read_to_string(after).unwrap_or_default().lines().count();
        self.cut.marks.get(job).copied().unwrap_or(0) + after
    }

    /// Nothing ran twice; what was said to be done is done; what is there is whole.
    pub(crate) fn check(&self, jobs: &[JobId]) {
        let at = &self.cut.at;
        for id in jobs {
            let job = JobDirectory::of(&self.places, id);
            let is_told = self.is_told(&["octo-push", id.as_str()]);
            let is_pruned = is_pruned(&self.places, id).expect("readable");
            // Refused is none of them: what was spooled is whole, or nobody was told of it.
            assert!(!is_told || job.exists() || is_pruned, "{at}: {id} is gone");
            self.check_audit(id, is_told);
            let runs = self.runs(id.as_str());
            let ran = self.cut.marks.contains_key(id.as_str());
            match job.exists().then(|| job.state().expect("a state")) {
                Some(State::Over(end)) if end.kind == EndKind::Exit(0) => {
                    assert_eq!(runs, 1, "{at}: {id}");
                    let log = std::fs::read_to_string(job.file("log")).unwrap_or_default();
                    assert_eq!(log, PRINTED, "{at}: {id}: log");
                }
                Some(State::Over(end)) => {
                    assert_eq!(end.kind, EndKind::Lost, "{at}: {id} {end:?}");
                    assert!(runs <= 1, "{at}: {id} ran {runs} times");
                }
                Some(State::Held) => {
                    assert_eq!(runs, 0, "{at}: {id}");
                    assert!(!self.is_told(&["\"approve\"", id.as_str()]), "{at}: {id} is held");
                }
                Some(other) => panic!("{at}: {id} {other:?}"),
                None => assert!(is_pruned || !ran, "{at}: {id} ran, and nothing is left of it"),
            }
        }
        for job in JobDirectory::all(&self.places).expect("jobs") {
            self.check_job(&job);
        }
        for side in [Side::Executor, Side::Listener] {
            let found = Audit::of(side, &self.places).verify(&[]).expect("an audit log");
            assert!(found.is_whole(), "{at}: {:?}", found.faults);
        }
    }

    /// What was done was written down before.
    fn check_audit(&self, job: &JobId, is_told: bool) {
        let has = |log: &str, event: &str| {
            let text = self.cut.tree.file(&format!("tent/state/{log}")).unwrap_or_default();
            let text = String::from_utf8_lossy(text).into_owned();
            let (event, job) = (format!(" {event} "), format!("job={job}"));
            let is_it = |line: &str| line.contains(&event) && line.contains(&job);
            text.split_inclusive('\n').any(|line| line.ends_with('\n') && is_it(line))
        };
        let at = &self.cut.at;
        assert!(!is_told || has("listen/audit.log", "run"), "{at}: {job}: run is not audited");
        let ran = self.cut.marks.contains_key(job.as_str());
        assert!(!ran || has("audit.log", "job-start"), "{at}: {job}: its start is not audited");
        let ended = self.cut.tree.file(&format!("tent/state/jobs/{job}/end"));
        let is_over = ended.is_some_and(|end| end.starts_with(b"kind "));
        assert!(!is_over || has("audit.log", "job-end"), "{at}: {job}: its end is not audited");
    }

    /// All records of a job are whole, and its output is what its end says.
    fn check_job(&self, job: &JobDirectory) {
        let (at, id) = (&self.cut.at, job.id());
        let whole = |name: &str| {
            let bytes = std::fs::read(job.file(name));
            bytes.unwrap_or_else(|error| panic!("{at}: {id}: {name}: {error}"))
        };
        let origin = job.origin().unwrap_or_else(|error| panic!("{at}: {error}"));
        let (_, spec) = job.spec().unwrap_or_else(|error| panic!("{at}: {error}"));
        if let Some(pusher) = origin.pusher {
            let statement = Statement::parse(&whole("request"));
            let statement = statement.unwrap_or_else(|| panic!("{at}: {id}: request"));
            assert_eq!(statement.asks, Asks::Request(spec), "{at}: {id}");
            let certificate = Thumbprint::of_certificate(&whole("request.crt"));
            assert_eq!(certificate, pusher.thumbprint, "{at}: {id}");
            assert_eq!(whole("request.sig").len(), 64, "{at}: {id}: request.sig");
        }
        for record in ["grant", "started", "held", "approved", "waiting", "cancel"] {
            let read = job.record(record).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert!(read.is_none_or(|read| !read.encode().is_empty()), "{at}: {id}: {record}");
        }
        assert!(job.record("started").expect("read").is_none() || job.file("grant").exists());
        let Some(end) = job.end().unwrap_or_else(|error| panic!("{at}: {error}")) else { return };
        if end.log > 0 {
            assert_eq!(whole("log").len() as u64, end.log, "{at}: {id}: log");
            let index = String::from_utf8(whole("index")).expect("text");
            let covered = index.lines().map(|line| {
                let length = line.split(' ').nth(1).and_then(|length| length.parse::<u64>().ok());
                length.unwrap_or_else(|| panic!("{at}: {id}: {index:?}"))
            });
            assert_eq!(covered.sum::<u64>(), end.log, "{at}: {id}: {index:?}");
        }
    }

    /// What is named by a sha256 has its bytes, and these are there for the octopus if it was
    /// told so.
    pub(crate) fn check_packages(&self, put: &[u8]) {
        let at = &self.cut.at;
        let (mut has, who) = (false, PusherName::parse("octopus").expect("a name"));
        for store in [Store::at(&self.places), Store::of_listener(&self.places)] {
            for object in store.objects().expect("a store") {
                let bytes = std::fs::read(store.path(&object.digest)).expect("a package");
                assert_eq!(Digest::of(&bytes), object.digest, "{at}");
                has |= bytes == put && store.holders(&object.digest).expect("read").contains(&who);
            }
        }
        assert!(has || !self.is_told(&["octo-push", "\"put\""]), "{at}: what was put is gone");
    }
}

/// Whole lines of a journal that name this job with this kind.
pub(crate) fn journal_has(tree: &Tree, path: &str, job: &JobId, kind: &str) -> bool {
    let text = String::from_utf8_lossy(tree.file(path).unwrap_or_default()).into_owned();
    let (job, kind) = (format!(" job={job}"), format!(" kind={kind} "));
    text.split_inclusive('\n')
        .any(|line| line.ends_with('\n') && line.contains(&job) && line.contains(&kind))
}
