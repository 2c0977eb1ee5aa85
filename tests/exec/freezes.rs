//! Orders: octo-exec freezes an application, or thaws it, itself.

use crate::jobs::{Draft, end, own_user, places, submit, thumbprint, trust};
use crate::sandbox;
use crate::support::{Sandbox, mode_of, stdout_of};
use jiff::{SignedDuration, Timestamp};
use octo_core::base::cli::utc;
use octo_core::base::record::Record;
use octo_core::tentacle::job::{JobDirectory, Pusher};
use octo_core::{PusherName, Thumbprint};

fn in_hours(hours: i64) -> String {
    utc(Timestamp::now() + SignedDuration::from_hours(hours))
}

fn freeze(sandbox: &Sandbox, until: &str, reason: &str) -> JobDirectory {
    submit(sandbox, &format!("freeze shop {until} {reason}\n"))
}

fn log(job: &JobDirectory) -> String {
    std::fs::read_to_string(job.file("log")).unwrap_or_default()
}

/// The events of octo-exec's audit log that begin a job, as they stand.
fn starts(sandbox: &Sandbox) -> Vec<String> {
    let audit = std::fs::read_to_string(sandbox.state("audit.log")).expect("an audit log");
    let starts = audit.lines().filter(|line| line.contains(" job-start "));
    starts.map(str::to_string).collect()
}

#[test]
fn an_application_is_frozen_and_thawed_by_whoever_may() {
    let sandbox = sandbox();
    let file = sandbox.state("freezes/shop");
    let other = Thumbprint::of_certificate(b"another pusher");
    let lines = format!("{} ci allow=freeze\n{other} ops allow=freeze\n", thumbprint());
    crate::support::set_mode(&sandbox.write("config/trusted", lines), 0o644);
    let until = in_hours(2);
    let job = freeze(&sandbox, &until, "black%20friday");
    assert_eq!(end(&job), ("exit".into(), 0, String::new()));
    assert_eq!(log(&job), format!("shop: frozen until {until}\n"));
    let record = Record::parse(&std::fs::read(&file).expect("frozen")).expect("a record");
    let said = ["until", "by", "reason"].map(|key| record.first(key).unwrap_or_default());
    assert_eq!(said, [until.as_str(), "ci", "black friday"]);
    assert!(record.first("at").is_some());
    assert_eq!((mode_of(&file), mode_of(&sandbox.state("freezes"))), (0o644, 0o755));
    assert!(!job.file("work").exists(), "nothing runs, and needs a directory");
    // A later one takes its place, and says which.
    let later = in_hours(3);
    let job = freeze(&sandbox, &later, "still");
    let was = format!("it was until {until} by ci: black friday");
    assert_eq!(log(&job), format!("shop: frozen until {later}; {was}\n"));
    let pusher =
        Pusher { thumbprint: other, name: PusherName::parse("ops").expect("name"), address: None };
    let thaw = Draft { pusher: Some(pusher), ..Draft::of(b"thaw shop\n") }.submit(&sandbox);
    assert_eq!(end(&thaw).1, 0);
    assert_eq!(log(&thaw), format!("shop: thawed; it was until {later} by ci: still\n"));
    assert!(!file.exists());
    let again = submit(&sandbox, "thaw shop\n");
    assert_eq!((end(&again).1, log(&again).as_str()), (0, "shop: was not frozen\n"));
    let starts = starts(&sandbox);
    let wanted = [
        format!("pusher=ci line=1 spec=* freeze=shop until={until} reason=black%20friday *"),
        format!(
            "freeze=shop until={later} reason=still was-until={until} was-by=ci was-reason=black%20friday *"
        ),
        format!(
            "pusher=ops line=2 spec=* thaw=shop was-until={later} was-by=ci was-reason=still *"
        ),
        "pusher=ci line=1 spec=* thaw=shop *".to_string(),
    ];
    assert_eq!(starts.len(), wanted.len(), "{starts:#?}");
    for (line, wanted) in starts.iter().zip(&wanted) {
        assert!(wanted.split('*').all(|part| line.contains(part)), "{line}\n{wanted}");
    }
}

/// A freeze is most wanted when nothing else may happen.
#[test]
fn what_bounds_runs_stops_no_freeze() {
    let sandbox = sandbox();
    for options in [
        "allow=freeze user=no-such-user-here",
        "allow=run,freeze hold",
        "allow=freeze scripts=/nonexistent locks= env= max-jobs=0 max-size=0 max-wait=0",
        // Never open: a day has both, or neither.
        "allow=freeze window=00:00-00:01,00:02-00:03",
        "allow=freeze memory=1K tasks=1 cpu=1%",
    ] {
        trust(&sandbox, options);
        let job = freeze(&sandbox, &in_hours(2), "x");
        assert_eq!(end(&job), ("exit".into(), 0, String::new()), "{options}");
        std::fs::remove_file(sandbox.state("freezes/shop")).expect(options);
    }
}

#[test]
fn who_may_not_freezes_nothing_and_is_told_why() {
    let sandbox = sandbox();
    let file = sandbox.state("freezes/shop");
    let user = own_user();
    for (options, hours, code, said) in [
        (format!("user={user}"), 2, 77, "ci may not freeze applications"),
        (format!("user={user} allow=put,run,despite"), 2, 77, "ci may not freeze applications"),
        ("allow=freeze from=192.168.0.0/16".into(), 2, 77, "not trusted here"),
        ("allow=freeze expires=2020-01-01".into(), 2, 77, "not trusted here"),
        ("allow=freeze nonsense".into(), 2, 75, ""),
        ("allow=freeze".into(), -1, 75, "is past"),
        ("allow=freeze".into(), 9000, 77, "is more than a year away"),
    ] {
        trust(&sandbox, &options);
        let (kind, with, reason) = end(&freeze(&sandbox, &in_hours(hours), "x"));
        assert_eq!((kind.as_str(), with), ("denied", code), "{options}: {reason}");
        assert!(reason.contains(said), "{options}: {reason}");
        assert!(!file.exists(), "{options}");
    }
    // One that waited too long, and one that somebody has cancelled by now.
    trust(&sandbox, "allow=freeze");
    let spec = format!("freeze shop {} x\n", in_hours(2));
    let old = Draft { received: in_hours(-2), ..Draft::pushed(&spec) }.submit(&sandbox);
    assert_eq!(end(&old).0, "expired");
    let job = Draft::pushed(&spec).publish(&sandbox);
    job.cancel("ann").expect("cancelled");
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert_eq!(end(&job).0, "cancelled");
    assert!(!file.exists());
    // A thaw needs the same word.
    trust(&sandbox, "allow=freeze");
    assert_eq!(end(&submit(&sandbox, &spec)).1, 0);
    trust(&sandbox, &format!("user={user}"));
    assert_eq!(end(&submit(&sandbox, "thaw shop\n")).1, 77);
    assert!(file.exists());
}

/// What can't be done is not said to be done, and what can't be recorded isn't done.
#[test]
fn a_freeze_that_fails_says_so() {
    let sandbox = sandbox();
    trust(&sandbox, "allow=freeze");
    let file = sandbox.state("freezes/shop");
    std::fs::create_dir_all(file.join("in/the/way")).expect("mkdir");
    crate::support::set_mode(&sandbox.state("freezes"), 0o755);
    let job = freeze(&sandbox, &in_hours(2), "x");
    let (kind, code, _) = end(&job);
    assert_eq!((kind.as_str(), code), ("exit", 73), "{}", log(&job));
    assert!(log(&job).starts_with("octo-exec: ") && log(&job).contains("freezes/shop"));
    std::fs::remove_dir_all(&file).expect("remove");
    std::fs::remove_file(sandbox.state("audit.log")).expect("remove");
    std::fs::create_dir(sandbox.state("audit.log")).expect("mkdir");
    let job = freeze(&sandbox, &in_hours(2), "x");
    assert_eq!(end(&job).0, "denied");
    assert!(!file.exists());
}

#[test]
fn a_job_is_told_of_freezes_and_may_be_despite_one() {
    let sandbox = sandbox();
    let user = own_user();
    let shown =
        "command echo%20%22$OCTO_FREEZES%7C$%7BOCTO_DESPITE-unset%7D%22\n".replace('$', "%24");
    let freezes = places(&sandbox).freezes();
    trust(&sandbox, &format!("user={user} allow=run,despite"));
    let job = submit(&sandbox, &shown);
    assert_eq!(log(&job), format!("{}|unset\n", freezes.display()));
    let despite = format!("{shown}despite the%20shop%20is%20down\n");
    let job = submit(&sandbox, &despite);
    assert_eq!(log(&job), format!("{}|the shop is down\n", freezes.display()));
    let audited: Vec<bool> = starts(&sandbox)
        .iter()
        .map(|line| line.contains(" despite=the%20shop%20is%20down "))
        .collect();
    assert_eq!(audited, [false, true]);
    for allow in ["run", "run,freeze"] {
        trust(&sandbox, &format!("user={user} allow={allow}"));
        let (_, code, reason) = end(&submit(&sandbox, &despite));
        assert_eq!((code, reason.as_str()), (77, "ci may not deploy despite a freeze"));
    }
    // By hand it is its user's own.
    let mut run = sandbox.tool("octo-exec");
    let said = stdout_of(run.args(["run", "--despite", "because", "-c", "echo $OCTO_DESPITE"]));
    assert_eq!(said, "because\n");
}
