//! What octo-exec sees of a release when a job is over.

use crate::fleet::fleet;
use crate::listener::job_id;
use crate::releases::{Base, RELEASE, listed, one, says};
use crate::support::wait_for;
use octo_wire::Message;

/// As octo-release finds it; and what can't be found there is not nothing.
#[test]
fn current_may_lead_to_a_release_by_any_way() {
    let fleet = fleet();
    let base = Base::of(&fleet, "srv");
    let mut pusher = fleet.ci();
    base.run(&mut pusher, "release shop 1.0; mkdir $BASE/shop/releases/1.0/public");
    let (missing, behind) = (Some("missing"), Some("changed-since"));
    for (way, release, result, seen) in [
        ("ln -sfn $PWD/releases/1.0 current", Some("1.0"), Some("succeeded"), None),
        ("ln -sfn releases/1.0/public current", Some("1.0"), Some("succeeded"), None),
        ("ln -sfn releases/1.0 link; ln -sfn link current", Some("1.0"), Some("succeeded"), None),
        (
            "mv releases ../r; ln -s ../r releases; ln -sfn releases/1.0 current",
            Some("1.0"),
            Some("succeeded"),
            None,
        ),
        ("ln -sfn releases/gone current", None, missing, behind),
        ("ln -sfn current current", None, missing, behind),
        ("ln -sfn /etc current", None, missing, behind),
        ("rm current", None, missing, None),
        ("mkdir current", None, missing, behind),
    ] {
        let text = format!("cd $BASE/shop; {way}; echo releases=$BASE/shop >>$OCTO_OUTPUT");
        assert_eq!(base.run(&mut pusher, &text).code, 0, "{way}");
        let item = one(&mut pusher);
        says(&item, &[("release", release), ("result", result), ("seen", seen)]);
        says(&item, &[("number", Some("7")), ("version", release)]);
    }
}

/// A job that is over says nothing about the end of another.
#[test]
fn what_another_job_is_at_is_not_interrupted() {
    let fleet = fleet();
    let base = Base::of(&fleet, "srv");
    let (mut pusher, mut other) = (fleet.ci(), fleet.cron());
    base.run(&mut pusher, "release shop 1.0");
    let (id, at) = (job_id(), base.path.display());
    let wait = "until [ -e $BASE/over ]; do sleep 0.01; done; kill -9 $$";
    // Its word on what it switched to is still to come.
    let text = format!(
        "BASE={at}\n{RELEASE}\ntell shop 1.0 started; switch shop 2.0; : >$BASE/begun; {wait}"
    );
    assert_eq!(other.run(&id, &text).word(), "ok");
    wait_for("it has begun", || base.path.join("begun").exists());
    base.run(&mut pusher, "echo releases=$BASE/shop >>$OCTO_OUTPUT");
    let said = |result| [("release", Some("2.0")), ("result", result), ("last-result", result)];
    says(&one(&mut pusher), &said(Some("started")));
    fleet.here.sandbox.write("srv/over", "");
    assert_eq!(&other.follow(&id).kind[..], "signal");
    says(&one(&mut pusher), &said(Some("interrupted")));
}

#[test]
fn the_longest_lists_of_names_are_read() {
    let fleet = fleet();
    let base = Base::of(&fleet, "srv");
    let mut pusher = fleet.ci();
    // Twice the 16 KiB that $OCTO_VARIABLES may have.
    let names = "NAMES=$(echo $(seq -f VARIABLE_NUMBER_%04g 780))";
    base.run(&mut pusher, &format!("{names}; release shop 1.0"));
    let item = one(&mut pusher);
    says(&item, &[("version", Some("1.0")), ("result", Some("succeeded")), ("seen", None)]);
    for key in ["names", "back-names"] {
        let names = item.text(key).unwrap_or_default();
        assert!(names.len() > 2900 && names.ends_with(",..."), "{key}: {names}");
    }
}

/// `current` is what runs, whatever was written down by then.
#[test]
fn a_job_killed_in_mid_switch_leaves_what_is_current_interrupted() {
    let fleet = fleet();
    let base = Base::of(&fleet, "srv");
    let mut pusher = fleet.ci();
    base.run(&mut pusher, "release shop 1.0; release blog 1.0");
    let killed = |item: &Message| {
        says(
            item,
            &[
                ("application", Some("shop")),
                ("version", Some("2.0")),
                ("release", Some("2.0")),
                ("number", Some("7")),
                ("result", Some("interrupted")),
                ("since", Some("2026-01-01T00:00:00Z")),
                ("back-release", Some("0.9")),
                ("seen", None),
            ],
        );
    };
    let followed = base.run(&mut pusher, "switch shop 2.0; kill -9 $$");
    assert_eq!((&followed.kind[..], followed.code), ("signal", 9));
    killed(&listed(&mut pusher)[1]);
    base.run(&mut pusher, "release shop 1.0");
    says(&listed(&mut pusher)[1], &[("version", Some("1.0")), ("result", Some("succeeded"))]);
    // With its octo-exec.
    let followed = base.run(&mut pusher, "switch shop 2.0; kill -9 $PPID; exec sleep 1000");
    assert_eq!(&followed.kind[..], "lost", "{followed:?}");
    killed(&listed(&mut pusher)[1]);
    // Of a release that nothing is known of, its name is, and that more isn't.
    base.run(&mut pusher, "switch shop 3.0; rm $BASE/shop/meta/3.0");
    let item = &listed(&mut pusher)[1];
    says(item, &[("release", Some("3.0")), ("version", None), ("result", Some("interrupted"))]);
    says(item, &[("seen", Some("changed-since")), ("sha256", None)]);
    // What it began, and didn't end.
    base.run(&mut pusher, "switch shop 4.0; tell shop 4.0 started; kill -9 $$");
    let item = &listed(&mut pusher)[1];
    says(item, &[("result", Some("interrupted")), ("last-result", Some("interrupted"))]);
    says(&listed(&mut pusher)[0], &[("application", Some("blog")), ("version", Some("1.0"))]);
}
