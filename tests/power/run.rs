//! A job that is run.

use crate::promises::{Left, marking};
use crate::recording::{Mode, Sides, at_each};
use octo_core::JobId;

fn run(test: &str, mode: Mode) {
    let Some(sides) = Sides::new(test, mode, "") else { return };
    let jobs = [(); 2].map(|()| JobId::generate().expect("an id"));
    let [detached, followed] = &jobs;
    let mut recording = sides.record(&format!(
        "listen; push run -D -j {detached} -c '{}'; over {detached}
        push run -j {followed} -c '{}'; leave",
        marking(detached),
        marking(followed)
    ));
    at_each(recording.cuts("tent"), |cut| {
        let left = Left::build(&sides.sandbox, cut);
        left.come_up();
        left.check(&jobs);
    });
}

#[test]
fn a_run_of_one_user() {
    run("a_run_of_one_user", Mode::One);
}

#[test]
fn a_run_of_two_users() {
    run("a_run_of_two_users", Mode::Two);
}
