//! Many at once: jobs, followers, connections, and what they cost.

use crate::listener::{Pusher, Side, Tentacle, job_id, own_user};
use crate::support::wait_for;
use assert_cmd::cargo::cargo_bin;

#[test]
fn many_jobs_at_once_each_with_its_own_code() {
    let (here, ci) = (Side::new(cargo_bin!("octo-listen")), Side::new(cargo_bin!("octo-listen")));
    here.trust(&[(&ci, &format!("ci {} max-jobs=300", own_user()))]);
    let tentacle = Tentacle::start(&here);
    std::thread::scope(|scope| {
        let mut all = Vec::new();
        let many = if std::env::var_os("OCTO_TEST_LONG").is_some() { 200 } else { 80 };
        for code in 0..many {
            let (tentacle, ci): (&Tentacle, &Side) = (&tentacle, &ci);
            all.push(scope.spawn(move || {
                let id = job_id();
                let text = format!("sleep 1; echo {code}; exit {code}");
                let mut pusher = accepted(tentacle, ci, &id, &text);
                let followed = pusher.follow(&id);
                assert_eq!(followed.out, format!("{code}\n").as_bytes());
                assert_eq!((followed.kind.as_str(), followed.code), ("exit", code));
            }));
        }
        for one in all {
            one.join().expect("a job");
        }
    });
}

/// Asks until there is a place: where few files may be open, there are fewer than that.
fn accepted(tentacle: &Tentacle, side: &Side, id: &str, text: &str) -> Pusher {
    let mut accepted = None;
    wait_for("a place", || {
        // Of so many in the handshake at once, those of one address lose their places;
        // and who is turned away may not have asked yet.
        let Ok(mut pusher) = tentacle.connect(side) else { return false };
        match pusher.try_run(id, text) {
            Ok(reply) if reply.word() == "ok" => accepted = Some(pusher),
            Ok(reply) => assert_eq!(reply.text("code"), Some("busy"), "{reply:?}"),
            Err(_) => {}
        }
        accepted.is_some()
    });
    accepted.expect("it was waited for")
}
