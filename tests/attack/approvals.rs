//! A held job starts by what somebody who may approve has signed, for this very job on this
//! very tentacle: a listener that was taken over approves nothing.

use crate::separated::{Parts, Pusher, Separated, job_id, separated};
use crate::support::{NOBODY, wait_for};
use octo_core::tentacle::job::End;
use octo_core::tentacle::statement::Asks;
use octo_core::{Digest, JobId, Thumbprint};

/// The tentacle, who asks, who approves, and a job that waits.
struct Waiting {
    here: Separated,
    ann: Pusher,
    job: JobId,
}

impl Waiting {
    fn new(test: &str) -> Option<Waiting> {
        let here = separated(test)?;
        let ann = Pusher::new(&here.sandbox, "ann");
        let waiting = Waiting { here, ann, job: job_id() };
        waiting.trust("ann allow=approve");
        waiting.hold(&waiting.job);
        Some(waiting)
    }

    fn trust(&self, ann: &str) {
        let ci = format!("ci hold user={}", self.here.user.name);
        self.here.trust(&[(&self.here.ci, &ci), (&self.ann, ann)]);
    }

    fn hold(&self, job: &JobId) {
        self.here.spool_request(job, &self.here.marking(job));
        self.here.ring();
        wait_for("a held job", || self.here.job(job).file("held").exists());
    }

    fn digest(&self, job: &JobId) -> Digest {
        let held = self.here.job(job).record("held").expect("readable").expect("held");
        held.first("digest").and_then(Digest::parse).expect("a digest")
    }

    /// What one of them signs: this spec, for this tentacle.
    fn order(&self, by: &Pusher, order: &JobId, spec: &[u8]) -> Parts {
        let asks = Asks::Request(Digest::of(spec));
        by.sign(by.statement(self.here.tentacle, order, asks).encode(), spec)
    }

    /// An order that approves nothing, with what its end and its output say.
    fn is_refused(&self, order: &JobId, parts: &Parts, code: u8, said: &str) {
        let end = self.here.hand_over(order, parts);
        let log = std::fs::read_to_string(self.here.job(order).file("log")).unwrap_or_default();
        let End { kind, reason, .. } = end;
        let reason = reason.unwrap_or_default();
        assert!(reason.contains(said) || log.contains(said), "{reason:?} {log:?}, not {said:?}");
        assert_eq!(kind.code(), code, "{reason} {log}");
        let waits = !self.here.job(&self.job).file("approved").exists();
        assert!(waits && self.here.runs(&self.job) == 0, "{said}");
    }
}

fn approval(job: &JobId, tentacle: Thumbprint, digest: Digest) -> Vec<u8> {
    format!("approve {job}\nsubject {tentacle} {digest}\n").into_bytes()
}

#[test]
fn what_nobody_approved_does_not_start_whatever_a_listener_spools() {
    let test = "what_nobody_approved_does_not_start_whatever_a_listener_spools";
    let Some(waiting) = Waiting::new(test) else { return };
    let Waiting { here, ann, job } = &waiting;
    let (tentacle, digest) = (here.tentacle, waiting.digest(job));
    let right = approval(job, tentacle, digest);
    let refused = |parts: &dyn Fn(&JobId) -> Parts, code, said: &str| {
        let order = job_id();
        waiting.is_refused(&order, &parts(&order), code, said);
    };
    // By whom it isn't due: the asker, a stranger, nobody at all.
    refused(&|order| here.request(order, &right), 77, "ci may not approve jobs");
    let stranger = Pusher::new(&here.sandbox, "stranger");
    refused(&|order| waiting.order(&stranger, order, &right), 77, "is not trusted");
    refused(
        &|order| Parts { signature: vec![0; 64], ..waiting.order(ann, order, &right) },
        77,
        "not by the key",
    );
    // Too late, and after her line has lost the word.
    refused(
        &|order| {
            let asks = Asks::Request(Digest::of(&right));
            let mut statement = ann.statement(tentacle, order, asks);
            statement.at = "2026-01-01T00:00:00Z".parse().expect("a time");
            statement.until = "2026-01-01T01:00:00Z".parse().expect("a time");
            ann.sign(statement.encode(), &right)
        },
        75,
        "held until 2026-01-01T01:00:00Z",
    );
    waiting.trust("ann allow=status");
    refused(&|order| waiting.order(ann, order, &right), 77, "ann may not approve jobs");
    waiting.trust("ann allow=approve");
    // The listener writes no approval, and takes none away.
    let path = here.job(job).path().display().to_string();
    here.listener_cannot(&[
        format!("echo x >{path}/approved"),
        format!("rm -f {path}/held"),
        format!("mv {path}/held {path}/x"),
    ]);
    // What she has to see, the listener can show her.
    here.listener_does(&format!("cat {path}/held {path}/spec {path}/request >/dev/null"));
    // And the right one.
    let order = job_id();
    let end = here.hand_over(&order, &waiting.order(ann, &order, &right));
    assert_eq!(end.kind.code(), 0, "{end:?}");
    assert_eq!(here.end_of(job).kind.code(), 0);
    // Once more, and the job runs no second time.
    here.spool(order.as_str(), &waiting.order(ann, &order, &right).bytes());
    here.take(&order);
    assert_eq!(here.runs(job), 1);
}

#[test]
fn what_is_approved_elsewhere_is_not_approved_here() {
    let test = "what_is_approved_elsewhere_is_not_approved_here";
    let Some(waiting) = Waiting::new(test) else { return };
    let Waiting { here, ann, job } = &waiting;
    let (tentacle, digest) = (here.tentacle, waiting.digest(job));
    let right = approval(job, tentacle, digest);
    let elsewhere = Thumbprint::of_certificate(b"another tentacle");
    let other = job_id();
    waiting.hold(&other);
    let refused = |parts: &dyn Fn(&JobId) -> Parts, code, said: &str| {
        let order = job_id();
        waiting.is_refused(&order, &parts(&order), code, said);
    };
    // Another tentacle, another job, what it is not.
    let others = approval(job, elsewhere, digest);
    refused(&|order| waiting.order(ann, order, &others), 65, "is for other tentacles");
    let of_other = approval(job, tentacle, waiting.digest(&other));
    refused(&|order| waiting.order(ann, order, &of_other), 65, "is not what you saw");
    let wrong = approval(&job_id(), tentacle, digest);
    refused(&|order| waiting.order(ann, order, &wrong), 65, "is not here");
    // The one that she gave the other job, with another job's name in the spec.
    let hers = waiting.order(ann, &job_id(), &approval(&other, tentacle, waiting.digest(&other)));
    refused(&|_| Parts { spec: right.clone(), ..hers.clone() }, 77, "another job");
    refused(
        &|order| {
            let asks = Asks::Request(Digest::of(&right));
            ann.sign(ann.statement(elsewhere, order, asks).encode(), &right)
        },
        77,
        "for another tentacle",
    );
    assert_eq!(here.runs(&other), 0);
}

/// The script of a held job is for who approves it; a command's is in the spec.
#[test]
fn a_held_script_is_read_by_who_listens_and_by_nobody_else() {
    let test = "a_held_script_is_read_by_who_listens_and_by_nobody_else";
    let Some(waiting) = Waiting::new(test) else { return };
    let here = &waiting.here;
    let (script, job) =
        (format!("echo ran >>{}\n", here.sandbox.path("marks/x").display()), job_id());
    let spec = format!("script {} x.sh\n", Digest::of(script.as_bytes()));
    let parts = here.request(&job, spec.as_bytes());
    let parts = Parts { script: script.clone().into_bytes(), ..parts };
    here.spool(job.as_str(), &parts.bytes());
    here.ring();
    wait_for("a held job", || here.job(&job).file("held").exists());
    let path = here.job(&job).file("script").display().to_string();
    let read = |uid| here.as_user(uid, &format!("cat {path}")).stdout;
    assert_eq!(read(NOBODY), script.as_bytes());
    assert_eq!(read(here.user.uid), b"");
    here.listener_cannot(&[format!("echo x >{path}"), format!("rm -f {path}")]);
    let approve = ["approve", job.as_str()];
    here.sandbox.tool("octo-exec").args(approve).assert().success();
    assert_eq!(here.end_of(&job).kind.code(), 0);
}
