//! The trust file as a whole: what each option permits and refuses.

#![allow(clippy::unwrap_used)]

use jiff::Zoned;
use octo_core::base::refusal::Refusal;
use octo_core::trust::{Denial, Grant, Question, RunQuestion, StartedBy, Trust, Verb};
use octo_core::{Exit, LockName, PusherName, Thumbprint};
use std::net::IpAddr;
use std::path::Path;

/// A Monday.
pub(crate) const NOON: &str = "2026-06-01T12:00:00[UTC]";

pub(crate) fn print(seed: &str) -> Thumbprint {
    Thumbprint::of_certificate(seed.as_bytes())
}

pub(crate) fn trust(text: &str) -> Trust {
    Trust::parse(Path::new("trusted"), text.as_bytes()).unwrap_or_else(|p| panic!("{}", p[0]))
}

/// What is asked, with everything that a question can say.
pub(crate) struct Asked {
    pub(crate) address: Option<&'static str>,
    pub(crate) at: &'static str,
    pub(crate) verb: Verb,
    pub(crate) size: Option<u64>,
    pub(crate) stored: Option<u64>,
    pub(crate) jobs: Option<u64>,
    pub(crate) named: Option<&'static str>,
    pub(crate) locks: Vec<LockName>,
    pub(crate) starting: bool,
    pub(crate) started_by: StartedBy,
}

impl Asked {
    pub(crate) fn new(verb: &str) -> Asked {
        Asked {
            address: Some("10.1.2.3"),
            at: NOON,
            verb: Verb::from_word(verb).unwrap(),
            size: None,
            stored: None,
            jobs: None,
            named: None,
            locks: Vec::new(),
            starting: true,
            started_by: StartedBy::Elsewhere,
        }
    }

    /// The number of the line that says yes.
    pub(crate) fn of(&self, trust: &Trust, who: &str) -> Result<usize, Denial> {
        self.grant(trust, who).map(|grant| grant.line.unwrap().number)
    }

    pub(crate) fn grant(&self, trust: &Trust, who: &str) -> Result<Grant, Denial> {
        let at: Zoned = self.at.parse().unwrap();
        let address: Option<IpAddr> = self.address.map(|a| a.parse().unwrap());
        let mut question = Question::new(print(who), address, &at, self.verb);
        (question.size, question.stored, question.jobs) = (self.size, self.stored, self.jobs);
        question.run = (self.verb == Verb::Run).then(|| RunQuestion {
            named: self.named,
            locks: &self.locks,
            starting: self.starting,
            started_by: self.started_by.clone(),
        });
        trust.decide(&question)
    }
}

pub(crate) fn user(name: &str) -> StartedBy {
    StartedBy::User { name: name.into(), root: name == "root" }
}

pub(crate) fn locks(names: &[&str]) -> Vec<LockName> {
    names.iter().map(|name| LockName::parse(name).unwrap()).collect()
}

/// The word of the refusal, the option that decided, the pusher's exit status.
type Answer = (&'static str, &'static str, u8);

/// Each option with what it permits and what it refuses: the word of the
/// refusal, the option that is named, and the exit status of the pusher.
#[test]
fn every_option_permits_and_refuses() {
    let yes = None;
    let no = |word: &'static str, option: &'static str, exit: u8| Some((word, option, exit));
    let denied = |option| no("denied", option, 77);
    let limit = |option| no("limit", option, 77);
    let ask = |verb: &str, change: fn(&mut Asked)| {
        let mut asked = Asked::new(verb);
        change(&mut asked);
        asked
    };
    let same: fn(&mut Asked) = |_| {};
    let table: Vec<(&str, Asked, Option<Answer>)> = vec![
        ("", ask("connect", same), yes),
        ("", ask("run", same), yes),
        // from
        ("from=10.0.0.0/8", ask("run", same), yes),
        ("from=10.0.0.0/8", ask("run", |a| a.address = Some("::ffff:10.9.9.9")), yes),
        ("from=2001:db8::/32,10.0.0.0/8", ask("put", same), yes),
        ("from=11.0.0.0/8", ask("connect", same), denied("")),
        ("from=11.0.0.0/8", ask("status", same), denied("")),
        ("from=0.0.0.0/0,::/0", ask("status", |a| a.address = None), denied("")),
        ("", ask("status", |a| a.address = None), yes),
        // expires
        ("expires=2026-06-01", ask("run", |a| a.at = "2026-06-01T23:59:59.999999999[UTC]"), yes),
        ("expires=2026-06-01", ask("run", |a| a.at = "2026-06-02T00:00:00[UTC]"), denied("")),
        ("expires=2026-06-01", ask("run", |a| a.at = "2026-06-01T19:59:59[America/New_York]"), yes),
        (
            "expires=2026-06-01",
            ask("run", |a| a.at = "2026-06-01T20:00:00[America/New_York]"),
            denied(""),
        ),
        ("expires=2026-06-01", ask("run", |a| a.at = "2026-06-02T01:59:59[Europe/Berlin]"), yes),
        ("expires=2026-06-01", ask("run", |a| a.at = "2090-01-01T00:00:00[UTC]"), denied("")),
        ("expires=9999-12-31", ask("run", |a| a.at = "2090-01-01T00:00:00[UTC]"), yes),
        ("expires=2026-06-01", ask("run", |a| a.at = "1970-01-01T00:00:00[UTC]"), yes),
        // user
        ("", ask("run", |a| a.started_by = user("root")), denied("user")),
        ("user=app", ask("run", |a| a.started_by = user("root")), yes),
        ("user=root", ask("run", |a| a.started_by = user("root")), yes),
        ("", ask("run", |a| a.started_by = user("svc")), yes),
        ("user=svc", ask("run", |a| a.started_by = user("svc")), yes),
        ("user=app", ask("run", |a| a.started_by = user("svc")), denied("user")),
        ("user=app", ask("run", same), yes),
        ("", ask("run", same), yes),
        ("user=app", ask("put", |a| a.started_by = user("svc")), yes),
        // sudo, hold and set are no conditions of a run: they say how it goes on
        ("sudo hold set=A=1", ask("run", same), yes),
        // scripts
        ("scripts=/etc/octo/scripts", ask("run", |a| a.named = Some("octo-release")), yes),
        ("scripts=/etc/octo/scripts", ask("run", same), denied("scripts")),
        ("scripts=/etc/octo/scripts", ask("run", |a| a.named = Some("../x")), denied("scripts")),
        ("scripts=/etc/octo/scripts", ask("run", |a| a.named = Some(".")), denied("scripts")),
        ("scripts=/etc/octo/scripts", ask("run", |a| a.named = Some("")), denied("scripts")),
        ("scripts=/etc/octo/scripts", ask("run", |a| a.named = Some("-x")), denied("scripts")),
        ("scripts=/etc/octo/scripts", ask("run", |a| a.named = Some("a\nb")), denied("scripts")),
        ("scripts=/etc/octo/scripts", ask("put", same), yes),
        ("", ask("run", |a| a.named = Some("octo-release")), denied("scripts")),
        // window
        ("window=\"Mon 11:00-13:00\"", ask("run", same), yes),
        ("window=\"Mon 13:00-14:00\"", ask("run", same), no("window", "window", 75)),
        ("window=\"Mon 13:00-14:00\"", ask("run", |a| a.starting = false), yes),
        ("window=\"Mon 13:00-14:00\"", ask("put", same), yes),
        ("window=\"Mon 13:00-14:00\"", ask("cancel", same), yes),
        // locks
        ("locks=web,db", ask("run", |a| a.locks = locks(&["db", "web"])), yes),
        ("locks=web", ask("run", |a| a.locks = locks(&["web", "db"])), denied("locks")),
        ("locks=", ask("run", |a| a.locks = locks(&["db"])), denied("locks")),
        ("locks=", ask("run", same), yes),
        ("", ask("run", |a| a.locks = locks(&["anything"])), yes),
        // max-size, max-store
        ("", ask("put", |a| a.size = Some(4 << 30)), yes),
        ("", ask("put", |a| a.size = Some((4 << 30) + 1)), limit("max-size")),
        ("max-size=1K", ask("put", |a| a.size = Some(1024)), yes),
        ("max-size=1K", ask("put", |a| a.size = Some(1025)), limit("max-size")),
        ("max-size=1K", ask("put", |a| a.size = Some(u64::MAX)), limit("max-size")),
        ("max-size=1K", ask("run", |a| a.size = Some(1025)), limit("max-size")),
        ("max-size=0", ask("put", |a| a.size = Some(0)), yes),
        ("max-store=2K", ask("put", |a| (a.size, a.stored) = (Some(1024), Some(1024))), yes),
        (
            "max-store=2K",
            ask("put", |a| (a.size, a.stored) = (Some(1025), Some(1024))),
            limit("max-store"),
        ),
        (
            "max-store=2K max-size=9223372036854775807",
            ask("put", |a| (a.size, a.stored) = (Some(i64::MAX as u64), Some(u64::MAX))),
            limit("max-store"),
        ),
        ("", ask("put", |a| (a.size, a.stored) = (Some(1), Some(20 << 30))), limit("max-store")),
        // max-jobs
        ("max-jobs=2", ask("run", |a| a.jobs = Some(1)), yes),
        ("max-jobs=2", ask("run", |a| a.jobs = Some(2)), no("busy", "max-jobs", 75)),
        ("", ask("run", |a| a.jobs = Some(64)), no("busy", "max-jobs", 75)),
        ("max-jobs=0", ask("run", |a| a.jobs = Some(0)), no("busy", "max-jobs", 75)),
        ("max-jobs=2", ask("follow", |a| a.jobs = Some(2)), yes),
        // What lasts is said before what passes.
        (
            "window=\"Mon 13:00-14:00\" scripts=/s max-jobs=0",
            ask("run", |a| a.jobs = Some(9)),
            denied("scripts"),
        ),
    ];
    for (options, asked, expected) in table {
        let trust = trust(&format!("{} ci {options}\n", print("ci")));
        let answer = asked.of(&trust, "ci");
        let got = answer.as_ref().err().map(|refused| {
            (refused.refusal.word(), refused.option.unwrap_or(""), refused.refusal.exit().code())
        });
        assert_eq!(got, expected, "{options} {} at {}: {answer:?}", asked.verb, asked.at);
        // Nobody else is helped by a line that is not his.
        let stranger = asked.of(&trust, "stranger").expect_err("a stranger");
        assert_eq!((stranger.refusal, stranger.line), (Refusal::Denied, None));
    }
}

/// allow= by verb.
#[test]
fn every_verb_has_its_word() {
    let verbs =
        ["connect", "audit", "status", "put", "run", "follow", "cancel", "jobs", "get", "scripts"];
    for (allow, permitted) in [
        ("", &verbs[..]),
        ("allow=status", &["connect", "audit", "status"]),
        ("allow=put", &["connect", "audit", "put"]),
        ("allow=run", &["connect", "audit", "run", "follow", "cancel", "jobs", "get", "scripts"]),
        ("allow=status,put", &["connect", "audit", "status", "put"]),
        ("allow=any", &verbs),
        ("allow=any,status", &verbs),
    ] {
        let trust = trust(&format!("{} ci {allow}\n", print("ci")));
        for verb in verbs {
            let answer = Asked::new(verb).of(&trust, "ci");
            assert_eq!(answer.is_ok(), permitted.contains(&verb), "{allow} {verb}: {answer:?}");
            if let Err(refused) = answer {
                assert_eq!((refused.option, refused.line), (Some("allow"), Some(1)));
                assert_eq!(refused.refusal.exit(), Exit::Refused);
            }
        }
        let all = allow.contains("any");
        let (own, other) = (PusherName::parse("ci").unwrap(), PusherName::parse("other").unwrap());
        let grant = Asked::new("connect").grant(&trust, "ci").unwrap();
        assert!(grant.sees(Some(&own)));
        assert_eq!((grant.sees(Some(&other)), grant.sees(None)), (all, all));
    }
}

#[test]
fn the_first_line_that_holds_decides_alone() {
    let (a, b) = (print("a"), print("b"));
    let trust = trust(&format!(
        "{b} other\n\
         {a} old expires=2026-05-31\n\
         {a} far from=192.0.2.0/24 allow=any\n\
         {a} near from=10.0.0.0/8 allow=status\n\
         {a} near2 from=10.0.0.0/8\n"
    ));
    let status = Asked::new("status").of(&trust, "a");
    assert_eq!(status.unwrap(), 4);
    // A later line that would permit it is not asked.
    assert_eq!(Asked::new("put").of(&trust, "a").unwrap_err().line, Some(4));
    let far = Asked { address: Some("192.0.2.9"), ..Asked::new("put") };
    assert_eq!(far.of(&trust, "a").unwrap(), 3);
    let earlier = Asked { at: "2026-05-31T12:00:00[UTC]", ..Asked::new("put") };
    assert_eq!(earlier.of(&trust, "a").unwrap(), 2);
    let nowhere = Asked { address: Some("203.0.113.1"), ..Asked::new("connect") };
    assert_eq!(nowhere.of(&trust, "a").unwrap_err().line, None);

    let at: Zoned = NOON.parse().unwrap();
    let question = Question::new(a, Some("10.0.0.1".parse().unwrap()), &at, Verb::Put);
    let over: Vec<_> =
        trust.passed_over(&question).iter().map(|p| (p.line.number, p.option)).collect();
    assert_eq!(over, [(2, "expires"), (3, "from")]);
}

#[test]
fn a_refusal_tells_the_pusher_no_more_than_it_may_know() {
    let text = format!(
        "{} ci from=10.0.0.0/8 expires=2027-01-01 user=secretuser scripts=/secret/dir locks=secretlock set=S=secretvalue\n",
        print("ci")
    );
    let trust = trust(&text);
    let with = |change: fn(&mut Asked)| {
        let mut asked = Asked::new("run");
        change(&mut asked);
        asked.of(&trust, "ci").unwrap_err().reason
    };
    let reasons = [
        with(|_| {}),
        with(|a| a.started_by = user("svc")),
        with(|a| (a.named, a.locks) = (Some("x"), locks(&["mine"]))),
        with(|a| a.address = None),
        with(|a| a.at = "2030-01-01T00:00:00[UTC]"),
        Asked::new("run").of(&trust, "stranger").unwrap_err().reason,
    ];
    for reason in &reasons {
        assert!(
            !reason.contains("secret") && !reason.contains("2027") && !reason.contains("10.0.0.0"),
            "{reason}"
        );
    }
    // Who is not trusted can't tell a wrong address from a wrong key or a wrong day.
    assert!(reasons[3] == reasons[4] && reasons[4] == reasons[5]);
}

#[test]
fn the_next_opening_is_told() {
    let trust = trust(&format!("{} ci window=\"Sat,Sun 02:30-03:30\"\n", print("ci")));
    for (at, opens) in [
        ("2026-06-01T12:00:00[UTC]", "2026-06-06T02:30:00+00:00[UTC]"),
        ("2026-06-06T03:30:00[UTC]", "2026-06-07T02:30:00+00:00[UTC]"),
        // The clock is put forward at 02:00 and back at 03:00.
        ("2026-03-28T04:00:00[Europe/Berlin]", "2026-03-29T03:00:00+02:00[Europe/Berlin]"),
        ("2026-10-24T04:00:00[Europe/Berlin]", "2026-10-25T02:30:00+02:00[Europe/Berlin]"),
        ("2026-10-25T02:10:00+01:00[Europe/Berlin]", "2026-10-25T02:30:00+01:00[Europe/Berlin]"),
        ("2026-03-07T12:00:00[America/New_York]", "2026-03-08T03:00:00-04:00[America/New_York]"),
    ] {
        let refused = Asked { at, ..Asked::new("run") }.of(&trust, "ci").unwrap_err();
        assert_eq!(refused.refusal, Refusal::Window);
        assert_eq!(refused.opens.as_ref().map(|o| o.to_string()).as_deref(), Some(opens));
        let local = refused.opens.unwrap().strftime("%H:%M %:z").to_string();
        assert!(refused.reason.contains(&local), "{}", refused.reason);
    }
}

#[test]
fn a_file_that_others_could_have_written_lets_nobody_in() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    let top = tempfile::tempdir().unwrap();
    let directory = top.path().join("etc");
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("trusted");
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let refused = |said: &str| {
        let error = Trust::load(&path).expect_err(said);
        assert_eq!(error.exit, Exit::Configuration, "{error}");
        assert!(error.message.contains(said), "{error}");
        error
    };
    let missing = refused("there is no trust file: nobody is let in");
    assert!(missing.hints[0].contains("octo-keys trust"));
    std::fs::write(&path, "").unwrap();
    assert_eq!(Trust::load(&path).unwrap().lines, []);
    std::fs::write(&path, format!("{} ci\n", print("ci"))).unwrap();
    assert_eq!(Trust::load(&path).unwrap().lines.len(), 1);

    for (bits, said) in [
        (0o664, "writable by its group"),
        (0o646, "writable by others"),
        (0o666, "writable by others"),
    ] {
        mode(&path, bits);
        assert!(refused(said).hints[0].contains("chmod go-w"));
    }
    mode(&path, 0o600);
    for bits in [0o775, 0o757] {
        mode(&directory, bits);
        refused("etc: is writable by");
    }
    mode(&directory, 0o1777);
    assert!(Trust::load(&path).is_ok(), "a sticky directory");
    mode(&directory, 0o755);
    mode(top.path(), 0o777);
    refused("is writable by others");
    mode(top.path(), 0o755);
    if rustix_is_root() {
        for target in [&path, &directory] {
            chown(target, Some(12345), None).unwrap();
            refused("is owned by uid 12345");
            chown(target, Some(0), None).unwrap();
        }
    }
    std::fs::rename(&path, directory.join("real")).unwrap();
    symlink("real", &path).unwrap();
    assert!(Trust::load(&path).is_ok());
    mode(&directory.join("real"), 0o666);
    refused("is writable by others");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    refused("is not a regular file");
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, format!("{} ci\n{} ci oops\n", print("ci"), print("x"))).unwrap();
    mode(&path, 0o644);
    assert!(refused("trusted:2: unknown option 'oops'").hints[0].contains("ci oops"));
    std::fs::write(&path, vec![b'\n'; (1 << 20) + 1]).unwrap();
    refused("is larger than");
    // One that blocks its reader must not block the listener.
    std::fs::remove_file(&path).unwrap();
    std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    mode(&path, 0o644);
    refused("is not a regular file");
}

fn rustix_is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

const PAGE: &str = include_str!("../../man/octo-trust.5");

#[test]
fn the_examples_of_the_page_are_sound() {
    let examples: Vec<&str> =
        PAGE.lines().filter(|l| l.contains("... ") && !l.contains(".Ar")).collect();
    assert!(examples.len() > 6, "{examples:?}");
    for example in examples {
        let (short, rest) = example.split_once("... ").unwrap();
        trust(&format!("{} {rest}\n", print(short)));
    }
}
