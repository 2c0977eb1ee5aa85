//! How many syncs what is done every day costs: each waits for the disk.

use crate::recording::{Mode, Recording, Sides};
use octo_core::JobId;

/// The syncs of each program, from the moment at which this word is first on a command line.
fn syncs(recording: &mut Recording, from: &str) -> Vec<String> {
    let (mut found, mut has_begun) = (Vec::new(), false);
    recording.walk(|replay, _, begins, call| {
        let (program, words) = replay.program(call.thread);
        has_begun |= program == "octo-push" && words.contains(from);
        let is_sync = ["fsync", "fdatasync", "syncfs", "sync", "sync_file_range"];
        if begins && has_begun && is_sync.contains(&call.name.as_str()) {
            found.push(format!("{program}: {}({})", call.name, call.arguments.join(", ")));
        }
    });
    found
}

fn of_run(test: &str, mode: Mode) {
    let Some(sides) = Sides::new(test, mode, "") else { return };
    let [first, second] = [(); 2].map(|()| JobId::generate().expect("an id"));
    // What is made once is there before it is counted.
    let mut recording = sides.record(&format!(
        "listen; push run -j {first} -c true; over {first}
        push run -j {second} -c true; over {second}; leave"
    ));
    let found = syncs(&mut recording, second.as_str());
    assert_eq!(found.len(), 12, "{found:#?}");
}

#[test]
fn a_run_of_one_user_costs_twelve_syncs() {
    of_run("a_run_of_one_user_costs_twelve_syncs", Mode::One);
}

#[test]
fn a_run_of_two_users_costs_twelve_syncs() {
    of_run("a_run_of_two_users_costs_twelve_syncs", Mode::Two);
}

#[test]
fn a_put_costs_seven_syncs() {
    let test = "a_put_costs_seven_syncs";
    let Some(sides) = Sides::new(test, Mode::One, "") else { return };
    sides.sandbox.write("out/first", "one");
    sides.sandbox.write("out/second", "another");
    let mut recording = sides.record("listen; push put out/first; push put out/second; leave");
    let found = syncs(&mut recording, "out/second");
    assert_eq!(found.len(), 7, "{found:#?}");
}
