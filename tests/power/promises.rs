//! What a tentacle has promised, asked of a tree that a power cut left, and of what octo-exec
//! makes of it when the machine is up again.

use crate::disk::Tree;
use crate::recording::Cut;
use crate::support::{Sandbox, wait_for};
use octo_core::base::paths::Places;
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::{EndKind, JobDirectory, Refused, State};
use octo_core::tentacle::layout::Side;
use octo_core::tentacle::spool::Spool;
use octo_core::tentacle::statement::{Asks, Statement};
use octo_core::{Digest, JobId, Thumbprint};
use std::path::Path;

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

    fn tool(&self, name: &str) -> assert_cmd::Command {
        let mut command = self.sandbox.tool(name);
        command.env("OCTO_CONFIG", &self.places.config).env("OCTO_STATE", &self.places.state);
        command
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
            let is_told = self.cut.told.iter().any(|words| words.contains(id.as_str()));
            let refused = Refused::of(&self.places, id).expect("readable");
            assert!(!is_told || job.exists() || refused.is_some(), "{at}: {id} is gone");
            let runs = self.runs(id.as_str());
            let ran = self.cut.marks.contains_key(id.as_str());
            match job.exists().then(|| job.state().expect("a state")) {
                Some(State::Over(end)) if end.kind == EndKind::Exit(0) => {
                    assert_eq!(runs, 1, "{at}: {id}");
                }
                Some(State::Over(end)) => {
                    assert_eq!(end.kind, EndKind::Lost, "{at}: {id} {end:?}");
                    assert!(runs <= 1, "{at}: {id} ran {runs} times");
                }
                Some(State::Held) => assert_eq!(runs, 0, "{at}: {id}"),
                Some(other) => panic!("{at}: {id} {other:?}"),
                None => assert!(!ran, "{at}: {id} ran, and nothing is left of it"),
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
        if end.kind == EndKind::Exit(0) {
            assert_eq!(end.log, PRINTED.len() as u64, "{at}: {id}");
            assert_eq!(whole("log"), PRINTED.as_bytes(), "{at}: {id}: log");
            let index = String::from_utf8(whole("index")).expect("text");
            assert!(index.starts_with("0 8 out ") && index.ends_with('\n'), "{at}: {index:?}");
        }
    }

    /// A package that was put is there, with all of its bytes.
    pub(crate) fn check_package(&self, bytes: &[u8], stores: &[&str]) {
        let (at, digest) = (&self.cut.at, Digest::of(bytes));
        let found = stores.iter().find_map(|store| {
            std::fs::read(self.places.state.join(store).join(digest.to_string())).ok()
        });
        assert_eq!(found.as_deref(), Some(bytes), "{at}: {digest}");
    }
}

/// Whole lines of a journal that name this job with this kind.
pub(crate) fn journal_has(tree: &Tree, path: &str, job: &JobId, kind: &str) -> bool {
    let text = String::from_utf8_lossy(tree.file(path).unwrap_or_default()).into_owned();
    let (job, kind) = (format!(" job={job}"), format!(" kind={kind} "));
    text.split_inclusive('\n')
        .any(|line| line.ends_with('\n') && line.contains(&job) && line.contains(&kind))
}

/// Is this path there, as a directory that can be looked into?
pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
