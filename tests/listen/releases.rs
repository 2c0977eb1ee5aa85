//! `releases`: what jobs released is told, without a job.

use crate::fleet::{Fleet, fleet, fleet_with};
use crate::listener::{Followed, Pusher, job_id, own_user};
use crate::support::{NOBODY, is_root, set_mode, wait_for};
use octo_core::base::encoding::encode;
use octo_wire::Message;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

const NOW: &str = "2026-01-02T03:04:05Z";

/// What stands in for octo-release: `switch APP RELEASE`, `tell APP RELEASE RESULT`.
pub(crate) const RELEASE: &str = r#"
switch() {
  mkdir -p "$BASE/$1/meta" "$BASE/$1/releases/$2"
  echo "releases=$BASE/$1" >>"$OCTO_OUTPUT"
  printf 'version %s\nsha256 %064d\ncontent %064d\nby ann\nat 2026-01-01T00:00:00Z\nenvironment prod\nnames %s\n' \
    "$2" 2 3 "${NAMES:-A B_2}" >"$BASE/$1/meta/$2"
  ln -sfn "releases/$2" "$BASE/$1/current"
}
tell() {
  printf 'line\n' >>"$BASE/$1/journal"
  {
    echo 'octo-release 1'
    echo "application $1"
    [ "$3" != started ] || echo "last-job $OCTO_JOB"
    echo "journal $(wc -c <"$BASE/$1/journal")"
    printf 'version %s\nrelease %s\nnumber 7\nsha256 %064d\ncontent %064d\n' "$2" "$2" 2 3
    printf 'since 2026-01-02T03:04:05Z\nby ann\nresult %s\nenvironment prod\nnames %s\n' \
      "$3" "${NAMES:-A B_2}"
    printf 'last-version %s\nlast-result %s\nlast-what deploy\nlast-at %s\nlast-by ann\n' \
      "$2" "$3" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    printf 'back-release 0.9\nback-version 0.9\nback-sha256 %064d\nback-names %s\n' 4 "${NAMES:-A}"
  } >"$BASE/$1/meta/now"
}
release() { switch "$1" "$2"; tell "$1" "$2" succeeded; }
"#;

/// A directory below which applications are released, and the jobs that do.
pub(crate) struct Base {
    pub(crate) path: PathBuf,
}

impl Base {
    pub(crate) fn of(fleet: &Fleet, name: &str) -> Base {
        let path = fleet.here.sandbox.path(name);
        std::fs::create_dir_all(&path).expect("mkdir");
        Base { path }
    }

    pub(crate) fn run(&self, pusher: &mut Pusher, text: &str) -> Followed {
        let id = job_id();
        let text = format!("BASE={}\n{RELEASE}\n{text}", self.path.display());
        assert_eq!(pusher.run(&id, &text).word(), "ok");
        pusher.follow(&id)
    }
}

/// The lines of `releases`, each with its application first.
pub(crate) fn listed(pusher: &mut Pusher) -> Vec<Message> {
    pusher.list("releases")
}

pub(crate) fn one(pusher: &mut Pusher) -> Message {
    let mut listed = listed(pusher);
    assert_eq!(listed.len(), 1, "{listed:?}");
    listed.remove(0)
}

pub(crate) fn says(item: &Message, wanted: &[(&str, Option<&str>)]) {
    for (key, value) in wanted {
        assert_eq!(item.text(key), *value, "{key}: {item:?}");
    }
}

fn names(items: &[Message]) -> Vec<&str> {
    items.iter().map(|item| item.text("application").expect("a name")).collect()
}

#[test]
fn what_a_job_released_is_told_until_its_journal_is_another() {
    let fleet = fleet();
    let base = Base::of(&fleet, "srv");
    let mut pusher = fleet.ci();
    assert_eq!(names(&listed(&mut pusher)), [] as [&str; 0]);
    let followed = base.run(&mut pusher, "release shop 1.0");
    assert_eq!((followed.code, &followed.reason[..]), (0, ""));
    let item = one(&mut pusher);
    let digest = |n: u8| format!("{n:064}");
    says(
        &item,
        &[
            ("application", Some("shop")),
            ("base", base.path.to_str()),
            ("version", Some("1.0")),
            ("release", Some("1.0")),
            ("number", Some("7")),
            ("sha256", Some(&digest(2))),
            ("content", Some(&digest(3))),
            ("since", Some(NOW)),
            ("by", Some("ann")),
            ("result", Some("succeeded")),
            ("environment", Some("prod")),
            ("names", Some("A,B_2")),
            ("last-version", Some("1.0")),
            ("last-result", Some("succeeded")),
            ("last-what", Some("deploy")),
            ("last-by", Some("ann")),
            ("back-release", Some("0.9")),
            ("back-version", Some("0.9")),
            ("back-sha256", Some(&digest(4))),
            ("back-environment", None),
            ("back-names", Some("A")),
            ("seen", None),
            ("frozen-until", None),
        ],
    );
    assert!(item.text("as-of").is_some() && item.text("user").is_some(), "{item:?}");
    // By hand, or by a job that runs: that it is another is known, what it is isn't.
    let journal = base.path.join("shop/journal");
    let was = std::fs::read(&journal).expect("read");
    std::fs::write(&journal, [&was[..], b"more\n"].concat()).expect("write");
    says(&one(&mut pusher), &[("seen", Some("changed-since")), ("version", Some("1.0"))]);
    // A job that ends looks again: what is known of it is older than its journal.
    base.run(&mut pusher, "echo releases=$BASE/shop >>$OCTO_OUTPUT");
    says(&one(&mut pusher), &[("seen", Some("changed-since")), ("version", Some("1.0"))]);
    base.run(&mut pusher, "tell shop 1.0 succeeded; echo releases=$BASE/shop >>$OCTO_OUTPUT");
    says(&one(&mut pusher), &[("seen", None), ("version", Some("1.0"))]);
    // Back to what it was: another file all the same.
    std::fs::write(&journal, &was).expect("write");
    says(&one(&mut pusher), &[("seen", Some("changed-since"))]);
    std::fs::remove_dir_all(base.path.join("shop")).expect("remove");
    says(&one(&mut pusher), &[("seen", Some("changed-since"))]);
    base.run(&mut pusher, "echo releases=$BASE/shop/ >>$OCTO_OUTPUT");
    assert!(listed(&mut pusher).is_empty(), "it is gone");
}

/// Neither hold, a closed window, scripts= nor status alone has anything to say about it.
#[test]
fn looking_makes_no_job_whatever_the_line_says_of_runs() {
    let fleet = fleet();
    let base = Base::of(&fleet, "srv");
    base.run(&mut fleet.cron(), "release shop 1.0");
    let scripts = fleet.here.sandbox.path("scripts");
    for name in ["deploy", "with,comma", "unsafe"] {
        let path = fleet.here.sandbox.write(&format!("scripts/{name}"), "#!/bin/sh\n");
        set_mode(&path, if name == "unsafe" { 0o777 } else { 0o755 });
    }
    set_mode(&scripts, 0o755);
    let open = fleet.here.sandbox.path("open");
    std::fs::create_dir(&open).expect("mkdir");
    set_mode(&open, 0o777);
    let jobs = || {
        let jobs = std::fs::read_dir(fleet.here.sandbox.state("jobs")).expect("jobs");
        let spooled = std::fs::read_dir(fleet.here.sandbox.state("spool")).expect("spool");
        jobs.chain(spooled).map(|entry| entry.expect("read").file_name()).collect::<BTreeSet<_>>()
    };
    let before = jobs();
    let named = format!("scripts={}", scripts.display());
    for (options, offers) in [
        ("hold", "put,run"),
        ("window=03:00-03:00", "put,run"),
        ("max-jobs=0", "put,run"),
        ("allow=status", ""),
        ("allow=any", "put,run,freeze,despite,approve"),
        ("allow=status,freeze", "freeze"),
        ("allow=put,status", "put"),
        (&named, "put,name:deploy"),
        (&format!("{named} allow=status,put"), "put"),
        (&format!("{named} allow=any hold"), "put,freeze,despite,approve,name:deploy"),
        // That its scripts can't be listed is logged, and hides nothing else.
        ("scripts=/nonexistent", "put"),
        (&format!("scripts={}", open.display()), "put"),
    ] {
        let options = options.replace("window=03:00-03:00", &format!("window={}", closed()));
        let line = format!("ci {} {options}", own_user());
        fleet.here.trust(&[(&fleet.ci, &line)]);
        let mut pusher = fleet.ci();
        let reply = pusher.yes("releases", b"");
        assert_eq!(reply.text("offers"), Some(offers), "{options}");
        let body = String::from_utf8(pusher.body(&reply)).expect("text");
        assert!(body.starts_with("release application=shop "), "{options}: {body}");
        assert!(body.contains(" version=1.0 "), "{options}: {body}");
    }
    fleet.here.trust(&[(&fleet.ci, "ci allow=put,run")]);
    assert_eq!(fleet.ci().no("releases", b""), "denied");
    assert_eq!(fleet.ci().no("releases all=yes", b""), "unsupported");
    assert_eq!(jobs(), before, "nobody ran, waits or is held");
}

/// A window that is shut for the next hours.
fn closed() -> String {
    let now = jiff::Zoned::now();
    let hour = |hours: i64| (&now + jiff::SignedDuration::from_hours(hours)).strftime("%H:%M");
    format!("{}-{}", hour(5), hour(6))
}

#[test]
fn a_freeze_is_told_with_its_application_or_alone_until_it_is_over() {
    let fleet = fleet();
    let base = Base::of(&fleet, "srv");
    let mut pusher = fleet.ci();
    base.run(&mut pusher, "release shop 1.0");
    let frozen = |app: &str, until: &str| {
        let text = format!("until {until}\nby bob\nat {NOW}\nreason black%20friday\n");
        fleet.here.sandbox.write(&format!("state/freezes/{app}"), text);
    };
    frozen("shop", "2999-01-01T00:00:00Z");
    frozen("web", "2999-01-02T00:00:00Z");
    frozen("over", NOW);
    fleet.here.sandbox.write("state/freezes/damaged", "until x\n");
    let items = listed(&mut pusher);
    // What can't be read stops octo-release as well.
    assert_eq!(names(&items), ["shop", "damaged", "web"]);
    let mut items = items;
    let damaged = items.remove(1);
    let why = "its file can't be read: thaw it";
    says(&damaged, &[("version", None), ("frozen-why", Some(why))]);
    assert!(damaged.text("frozen-until") > Some("2999"), "{damaged:?}");
    let wanted = [("frozen-by", Some("bob")), ("frozen-why", Some("black friday"))];
    items.iter().for_each(|item| says(item, &wanted));
    says(&items[0], &[("version", Some("1.0")), ("frozen-until", Some("2999-01-01T00:00:00Z"))]);
    says(&items[1], &[("version", None), ("base", None), ("user", None), ("seen", None)]);
}

/// For root. Who names a user sees what that user released; who names none, all.
#[test]
fn each_line_sees_what_its_user_released_and_one_without_user_all() {
    if !is_root("each_line_sees_what_its_user_released_and_one_without_user_all") {
        return;
    }
    let fleet = fleet();
    let (ours, theirs) = (Base::of(&fleet, "ours"), Base::of(&fleet, "theirs"));
    chown(&ours.path, Some(NOBODY), Some(NOBODY)).expect("chown");
    chown(&theirs.path, Some(1), Some(1)).expect("chown");
    open_way(&fleet, &ours.path);
    let trust = |third: Option<&str>| {
        let ci = third.map_or("ci user=nobody".to_string(), |options| format!("ci {options}"));
        fleet.here.trust(&[(&fleet.ci, &ci), (&fleet.cron, "cron user=daemon")]);
    };
    trust(None);
    let (mut ci, mut cron) = (fleet.ci(), fleet.cron());
    assert_eq!(ours.run(&mut ci, "release shop 1.0").code, 0);
    assert_eq!(theirs.run(&mut cron, "release shop 2.0; release blog 2.0").code, 0);
    // A job that names what is another's copies nothing, and says so.
    let followed = theirs.run(&mut ci, "echo releases=$BASE/blog >>$OCTO_OUTPUT");
    assert!(followed.reason.contains("blog: permission denied"), "{followed:?}");
    assert_eq!(followed.code, 0);
    let item = one(&mut ci);
    says(&item, &[("user", Some("nobody")), ("version", Some("1.0"))]);
    let items = listed(&mut cron);
    assert_eq!(names(&items), ["blog", "shop"]);
    items.iter().for_each(|i| says(i, &[("user", Some("daemon")), ("version", Some("2.0"))]));
    trust(Some("allow=status"));
    let items = listed(&mut fleet.ci());
    assert_eq!(names(&items), ["blog", "shop", "shop"]);
    let of = |item: &Message| item.text("user").map(str::to_string);
    let users: Vec<_> = items.iter().map(|item| of(item).expect("a user")).collect();
    assert_eq!(users, ["daemon", "nobody", "daemon"]);
    trust(Some("user=daemon allow=status"));
    assert_eq!(names(&listed(&mut fleet.ci())), ["blog", "shop"]);
}

/// The way to it is open to all.
fn open_way(fleet: &Fleet, path: &Path) {
    let top = fleet.here.sandbox.path("");
    for directory in path.ancestors().take_while(|directory| directory.starts_with(&top)) {
        if directory != path {
            set_mode(directory, 0o755);
        }
    }
}

/// Whatever lies where octo-release should have written: the job ends as it did, at once, and
/// of what is told each value is of its form.
#[test]
fn what_lies_in_the_place_of_metadata_ends_no_job_otherwise() {
    let fleet = fleet();
    let base = Base::of(&fleet, "srv");
    let mut pusher = fleet.ci();
    for (lie, is_told) in [
        ("rm $D/meta/now; mkfifo $D/meta/now", false),
        ("rm $D/meta/now; ln -s /etc/passwd $D/meta/now", false),
        ("rm $D/meta/now; mkdir $D/meta/now", false),
        ("rm $D/meta/now; truncate -s 4G $D/meta/now", false),
        ("mv $D/meta $D/m; ln -s m $D/meta", false),
        ("mv $D/meta $D/m; mkfifo $D/meta", false),
        ("rm $D/meta/now", false),
        ("rm $D/journal; mkfifo $D/journal", true),
        ("rm $D/journal; ln -s /dev/zero $D/journal", true),
        ("truncate -s 4G $D/journal", true),
        ("echo '<script>' >>$D/meta/now", true),
        ("printf 'octo-release 1\\napplication other\\nversion 1.0\\n' >$D/meta/now", false),
        ("printf 'octo-release 2\\napplication shop\\nversion 1.0\\n' >$D/meta/now", false),
        ("printf 'back-names A;B\\n' >>$D/meta/now", true),
        ("sed -i 's/^by ann/by %%1B%%5B31mann/' $D/meta/now", true),
        ("sed -i 's/^number 7/number -7/' $D/meta/now", true),
        ("printf 'version 6.6.6\\n' >>$D/meta/now", true),
        ("head -c 40 $D/meta/now >$D/n; mv $D/n $D/meta/now", false),
    ] {
        let lie = lie.replace("%%", "%");
        let text = format!("release shop 1.0; D=$BASE/shop\n{lie}");
        let followed = base.run(&mut pusher, &text);
        let end = (&followed.kind[..], followed.code, &followed.reason[..]);
        assert_eq!(end, ("exit", 0, ""), "{lie}");
        let item = one(&mut pusher);
        says(&item, &[("seen", Some("changed-since")), ("release", Some("1.0"))]);
        let version = item.text("version");
        // What is current is known by its own file where meta/now says nothing.
        assert!(version == Some("1.0") || (!is_told && version.is_none()), "{lie}: {item:?}");
        assert!(item.text("by").is_none_or(|by| by == "ann"), "{lie}: {item:?}");
        std::fs::remove_dir_all(base.path.join("shop")).expect("remove");
    }
    // What can't be BASE/APP is another's value of this name.
    for value in ["", "shop", "/", "/srv/../etc", "/srv/a b", "/srv/.x", "/srv/\u{1b}x/shop"] {
        let text = format!("printf 'releases=%s\\n' '{value}' >>$OCTO_OUTPUT");
        let followed = base.run(&mut pusher, &text);
        let refused = if value.contains('\u{1b}') {
            "its values: a control character in releases"
        } else {
            ""
        };
        assert_eq!((followed.code, &followed.reason[..]), (0, refused), "{value}");
    }
}

#[test]
fn of_ten_thousand_directories_a_hundred_are_looked_at() {
    let fleet = fleet();
    let base = Base::of(&fleet, "srv");
    let mut lines = String::new();
    for number in 0..10_000 {
        writeln!(lines, "releases={}/a{number}", base.path.display()).expect("a String");
    }
    fleet.here.sandbox.write("lines", lines);
    let mut pusher = fleet.ci();
    let list = fleet.here.sandbox.path("lines").display().to_string();
    let make = format!("cd $BASE; mkdir $(seq -f a%g 0 150); cp {list} $OCTO_OUTPUT");
    let each = "for d in a*; do echo x >$d/journal; ln -s releases/1.0 $d/current; done";
    let followed = base.run(&mut pusher, &format!("{make}; {each}"));
    assert_eq!((followed.code, &followed.reason[..]), (0, ""));
    assert_eq!(listed(&mut pusher).len(), 100);
}

/// The copies are octo-exec's, for the listener to read; who is let in by name is told its own.
#[test]
fn a_copy_that_is_damaged_is_left_out_and_logged() {
    let mut fleet = fleet_with("", "");
    let base = Base::of(&fleet, "srv");
    base.run(&mut fleet.ci(), "release shop 1.0; release blog 1.0");
    let users: Vec<PathBuf> = std::fs::read_dir(fleet.here.sandbox.state("releases"))
        .expect("a directory")
        .map(|entry| entry.expect("read").path())
        .collect();
    let [user] = &users[..] else { panic!("{users:?}") };
    let copies: BTreeSet<PathBuf> =
        std::fs::read_dir(user).expect("copies").map(|e| e.expect("read").path()).collect();
    let name = |path: &&PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let shop = copies.iter().find(|path| name(path).starts_with("shop@")).expect("a copy");
    assert_eq!(name(&shop).len(), "shop@".len() + 16);
    let text = std::fs::read_to_string(shop).expect("read");
    let base_line = format!("base {}\n", encode(base.path.to_str().expect("text").as_bytes()));
    assert!(text.contains(&base_line) && text.contains("\napplication shop\n"), "{text}");
    std::fs::write(shop, text.replace("number 7", "number seven")).expect("write");
    assert_eq!(names(&listed(&mut fleet.ci())), ["blog"]);
    fleet.tentacle.says("not of the form");
    // It comes again with the next job.
    base.run(&mut fleet.ci(), "echo releases=$BASE/shop >>$OCTO_OUTPUT");
    wait_for("both", || names(&listed(&mut fleet.ci())) == ["blog", "shop"]);
}
