//! What lies in the spool under an entry's name and is none: a file is a listener's own
//! and whole, or refused.

use crate::separated::{Parts, Separated, job_id, separated, traceable};
use crate::support::{impossible, wait_for};
use octo_core::JobId;
use octo_core::tentacle::{spec, statement};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// `$E` becomes the entry, `$G` is a whole and genuine one under another name.
pub(crate) static ODD: &[(&str, &str)] = &[
    ("is larger than 39845888 bytes", "head -c 39845889 /dev/zero >$E"),
    ("is larger than", "truncate -s 1T $E"),
    ("is torn, or none", "truncate -s 38M $E"),
    ("is torn, or none", "cat $G >$E; truncate -s 38M $E"),
    ("is not a regular file", "mkfifo $E"),
    ("is not a regular file", "mkdir $E; cp $G $E"),
    ("is a link", "ln -s ../spool/other $E"),
    ("is a link", "ln -s /etc/passwd $E"),
    ("is a link", "ln -s nowhere $E"),
    ("has a second name", "ln $G $E"),
    ("is no entry of this version", "sed '1s/ 1 / 2 /' $G >$E"),
    ("is torn, or none", ": >$E"),
    ("is torn, or none", "cat $G >$E; echo >>$E"),
];

fn genuine(here: &Separated, job: &JobId) -> Vec<u8> {
    here.request(job, &here.marking(job)).bytes()
}

#[test]
fn what_is_no_plain_whole_file_of_the_listeners_is_refused() {
    let Some(here) = separated("what_is_no_plain_whole_file_of_the_listeners_is_refused") else {
        return;
    };
    for (said, make) in ODD {
        let job = job_id();
        here.spool("other", &genuine(&here, &job));
        // In one rename: octo-exec may look at any moment.
        here.listener_does(&format!(
            "E=spool/new G=spool/other; {make}\nmv -T spool/new spool/{job}"
        ));
        here.ring();
        here.assert_refused(&job, &here.end_of(&job), 65, said);
        here.listener_does("rm -rf spool/*");
    }
    // One that has the entry's bytes for whoever reads it.
    let job = job_id();
    here.listener_does("mkfifo spool/new");
    let pipe = here.places.spool().join("new");
    let mut pipe = File::options().read(true).write(true).open(pipe).expect("open");
    pipe.write_all(&genuine(&here, &job)).expect("write");
    here.listener_does(&format!("mv spool/new spool/{job}"));
    here.ring();
    here.assert_refused(&job, &here.end_of(&job), 65, "is not a regular file");
    let job = job_id();
    here.spool("new", &genuine(&here, &job));
    chown(here.places.spool().join("new"), Some(here.user.uid), None).expect("chown");
    here.listener_does(&format!("mv spool/new spool/{job}"));
    here.ring();
    here.assert_refused(&job, &here.end_of(&job), 65, "is owned by another user than the spool");
    // Other names are no entries.
    here.listener_does("mkdir 'spool/..x' spool/sub; touch spool/.octo-tmp-x 'spool/a\nb'");
    let job = job_id();
    assert_eq!(here.hand_over(&job, &here.request(&job, &here.marking(&job))).kind.code(), 0);
}

#[test]
fn an_entry_that_is_cut_anywhere_is_refused() {
    let Some(here) = separated("an_entry_that_is_cut_anywhere_is_refused") else { return };
    let length = genuine(&here, &job_id()).len();
    let cuts: Vec<usize> = (0..length).step_by(length / 12).chain([length - 1]).collect();
    let jobs: Vec<JobId> = cuts.iter().map(|_| job_id()).collect();
    for (job, cut) in jobs.iter().zip(&cuts) {
        here.spool(job.as_str(), &genuine(&here, job)[..*cut]);
    }
    here.ring();
    for job in &jobs {
        here.assert_refused(job, &here.end_of(job), 65, "is torn, or none");
    }
}

/// One part of it, and a length.
type Part = (&'static str, u64, fn(&mut Parts) -> &mut Vec<u8>);

static PARTS: [Part; 7] = [
    ("statement", statement::MAXIMUM, |parts| &mut parts.statement),
    ("signature", statement::MAXIMUM_SIGNATURE, |parts| &mut parts.signature),
    ("certificate", statement::MAXIMUM_CERTIFICATE, |parts| &mut parts.certificate),
    ("spec", spec::MAXIMUM, |parts| &mut parts.spec),
    ("script", spec::MAXIMUM_SCRIPT, |parts| &mut parts.script),
    ("stdin", spec::stdin::MAXIMUM, |parts| &mut parts.stdin),
    ("secrets", spec::MAXIMUM_SECRETS, |parts| &mut parts.secrets),
];

/// It is whole, and no part of it is looked at.
#[test]
fn a_part_that_is_larger_than_it_may_be_is_named() {
    let Some(here) = separated("a_part_that_is_larger_than_it_may_be_is_named") else { return };
    for (name, most, part) in &PARTS {
        let job = job_id();
        let mut parts = here.request(&job, &here.marking(&job));
        let length = most + 1;
        part(&mut parts).resize(usize::try_from(length).expect("small"), b'x');
        let end = here.hand_over(&job, &parts);
        here.assert_refused(&job, &end, 65, &format!("its {name} has {length} bytes"));
        assert!(!here.job(&job).exists(), "{name}");
    }
}

#[test]
fn a_spool_that_cannot_be_read_stops_nothing_else() {
    let Some(here) = separated("a_spool_that_cannot_be_read_stops_nothing_else") else { return };
    let jobs: Vec<JobId> = (0..3).map(|_| job_id()).collect();
    here.listener_does("chmod 0 spool; mkdir -p listen/packages; chmod 0 listen");
    for job in &jobs {
        let end = here.hand_over(job, &here.request(job, &here.marking(job)));
        assert_eq!((end.kind.code(), here.runs(job)), (0, 1), "{end:?}");
    }
}

/// Before Linux 5.6 there is no openat2(2), and some filters of system calls refuse it.
#[test]
fn a_kernel_without_openat2_follows_no_link_either() {
    let test = "a_kernel_without_openat2_follows_no_link_either";
    let Some(here) = traceable(test) else { return };
    for error in ["ENOSYS", "EPERM"] {
        let take = |job: &JobId| {
            let trace = here.sandbox.path("trace");
            let output = Command::new("strace")
                .args(["-f", "-qq", "-e", "trace=openat2", "-e"])
                .arg(format!("inject=openat2:error={error}"))
                .arg("-o")
                .arg(&trace)
                .arg(here.sandbox.program("octo-exec"))
                .arg("--config")
                .arg(&here.places.config)
                .arg("--state")
                .arg(&here.places.state)
                .args(["take", job.as_str()])
                .output();
            let code = output.expect("strace").status.code();
            let traced = std::fs::read_to_string(trace).expect("a trace");
            (code, traced.contains("(INJECTED)"))
        };
        let job = job_id();
        here.spool(job.as_str(), &genuine(&here, &job));
        let (code, injected) = take(&job);
        if !injected {
            return impossible(test, "strace can't change what a system call says");
        }
        assert_eq!((code, here.runs(&job)), (Some(0), 1));
        let job = job_id();
        here.spool("other", &genuine(&here, &job));
        here.listener_does(&format!("ln -s other spool/{job}"));
        assert_eq!(take(&job), (Some(65), true));
        here.assert_refused(&job, &here.end_of(&job), 65, "is a link");
    }
}

#[test]
fn behind_a_flood_of_odd_entries_a_job_still_runs() {
    let Some(here) = separated("behind_a_flood_of_odd_entries_a_job_still_runs") else { return };
    let names: Vec<String> = (0..200).map(|_| job_id().to_string()).collect();
    here.listener_does(&format!("cd spool; for job in {}; do mkfifo $job; done", names.join(" ")));
    let job = job_id();
    let end = here.hand_over(&job, &here.request(&job, &here.marking(&job)));
    assert_eq!((end.kind.code(), here.runs(&job)), (0, 1), "{end:?}");
    wait_for("all notes", || names.iter().all(|name| here.refused(name).is_some()));
}

#[test]
fn a_doorbell_that_never_stops_ringing_stops_no_job() {
    let Some(here) = separated("a_doorbell_that_never_stops_ringing_stops_no_job") else { return };
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let _ = UnixStream::connect(here.places.doorbell());
                }
            });
        }
        // Also where this fails, the others end.
        let _ends = Ends(&ended);
        for _ in 0..3 {
            let job = job_id();
            let end = here.hand_over(&job, &here.request(&job, &here.marking(&job)));
            assert_eq!((end.kind.code(), here.runs(&job)), (0, 1), "{end:?}");
        }
    });
}

/// Says that it is over, when dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
