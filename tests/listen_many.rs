//! Many at once: jobs, followers, connections, and what they cost.

#[path = "support/listener.rs"]
mod listener;
mod support;

use assert_cmd::cargo::cargo_bin;
use listener::{Side, Tentacle, job_id, own_user};

#[test]
fn two_hundred_jobs_at_once_each_with_its_own_code() {
    let (here, ci) = (Side::new(cargo_bin!("octo-listen")), Side::new(cargo_bin!("octo-listen")));
    here.trust(&[(&ci, &format!("ci {} max-jobs=300", own_user()))]);
    let tentacle = Tentacle::start(&here);
    std::thread::scope(|scope| {
        let mut all = Vec::new();
        for code in 0..200u64 {
            let mut pusher = tentacle.connect(&ci).expect("trusted");
            all.push(scope.spawn(move || {
                let id = job_id();
                let reply = pusher.run(&id, &format!("sleep 1; echo {code}; exit {code}"));
                assert_eq!(reply.word(), "ok", "{reply:?}");
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
