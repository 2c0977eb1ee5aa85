//! Who tells of held jobs: started and waited for by `octo-exec serve`.

use crate::changes::{Target, notify};
use crate::jobs::Draft;
use crate::support::wait_for;
use octo_core::tentacle::job::{JobDirectory, State};
use rustix::fs::{Mode, OFlags};
use std::process::Child;

/// Killed with the test, also where that fails.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The children of a process, zombies as well.
fn children_of(parent: u32) -> usize {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let stats = entries.flatten().filter_map(|e| std::fs::read(e.path().join("stat")).ok());
    let is_child = |stat: &Vec<u8>| {
        let stat = String::from_utf8_lossy(stat);
        let after = stat.rsplit_once(") ").map(|(_, after)| after);
        after.and_then(|after| after.split(' ').nth(1)) == Some(&parent.to_string())
    };
    stats.filter(is_child).count()
}

/// At a restart many jobs may be held: serve says so of a few at a time, and waits for those
/// who do.
#[test]
fn serve_announces_a_few_at_a_time_and_leaves_no_zombies() {
    let target = Target::own();
    let jobs: Vec<JobDirectory> = (0..12)
        .map(|_| {
            let job = Draft::pushed("command true\n").publish(&target.sandbox);
            target.sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
            job
        })
        .collect();
    let (fifo, began) = (target.sandbox.path("fifo"), target.sandbox.path("began"));
    assert_cmd::Command::new("mkfifo").arg(&fifo).assert().success();
    let held_open = rustix::fs::open(&fifo, OFlags::RDWR, Mode::empty()).expect("a FIFO");
    notify(&target, &format!("echo x >>{}; read x <{}", began.display(), fifo.display()));
    let tool = target.sandbox.tool("octo-exec");
    let mut serve = std::process::Command::new(tool.get_program());
    serve.envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let serve = serve.arg("serve").stdout(std::process::Stdio::null()).spawn().expect("serve");
    let serve = Serving(serve);
    let told = || std::fs::read_to_string(&began).unwrap_or_default().lines().count();
    wait_for("the first ones", || told() == 4);
    assert_eq!(children_of(serve.0.id()), 4);
    rustix::io::write(&held_open, &[b'\n'; 12]).expect("written");
    wait_for("the others", || jobs.iter().all(|job| job.file("notified").exists()));
    wait_for("no zombies", || children_of(serve.0.id()) == 0);
    assert_eq!(told(), 12);
}

#[test]
fn nobody_waits_for_a_program_that_is_told() {
    let target = Target::own();
    let (fifo, began) = (target.sandbox.path("fifo"), target.sandbox.path("began"));
    assert_cmd::Command::new("mkfifo").arg(&fifo).assert().success();
    notify(
        &target,
        &format!("exec 3<>{0} 4<{0}; : >{1}; read x <&4", fifo.display(), began.display()),
    );
    let job = Draft::pushed("command true\n").publish(&target.sandbox);
    target.sandbox.tool("octo-exec").arg("start").assert().success();
    wait_for("the program", || began.exists());
    assert!(matches!(job.state().expect("a state"), State::Held));
    target.sandbox.tool("octo-exec").args(["approve", job.id().as_str()]).assert().success();
    wait_for("its end", || job.end().expect("readable").is_some());
    assert_eq!(job.end().expect("readable").expect("an end").kind.code(), 0);
    // It reads on: else there would be nobody to write to.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    let writer = rustix::fs::open(&fifo, flags, Mode::empty()).expect("it still runs");
    rustix::io::write(&writer, b"go on\n").expect("written");
}
