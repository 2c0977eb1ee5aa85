//! What each option of a trust line permits and refuses.

#![allow(clippy::unwrap_used)]

use crate::trust::{Asked, locks, print, trust, user, variables};
use octo_core::base::refusal::Refusal;
use octo_core::{Exit, PusherName};

/// The word of the refusal, the option that decided, the pusher's exit status.
type Answer = (&'static str, &'static str, u8);

/// The options of a line, the verb that is asked for, what else the question says, the answer.
type Row = (&'static str, &'static str, fn(&mut Asked), Option<Answer>);

const YES: Option<Answer> = None;

const fn no(word: &'static str, option: &'static str, exit: u8) -> Option<Answer> {
    Some((word, option, exit))
}

const fn denied(option: &'static str) -> Option<Answer> {
    no("denied", option, 77)
}

const fn limit(option: &'static str) -> Option<Answer> {
    no("limit", option, 77)
}

fn same(_: &mut Asked) {}

const WHO_AND_WHEN: &[Row] = &[
    ("", "connect", same, YES),
    ("", "run", same, YES),
    // from
    ("from=10.0.0.0/8", "run", same, YES),
    ("from=10.0.0.0/8", "run", |a| a.address = Some("::ffff:10.9.9.9"), YES),
    ("from=2001:db8::/32,10.0.0.0/8", "put", same, YES),
    ("from=11.0.0.0/8", "connect", same, denied("")),
    ("from=11.0.0.0/8", "status", same, denied("")),
    ("from=0.0.0.0/0,::/0", "status", |a| a.address = None, denied("")),
    ("", "status", |a| a.address = None, YES),
    // expires
    ("expires=2026-06-01", "run", |a| a.at = "2026-06-01T23:59:59.999999999[UTC]", YES),
    ("expires=2026-06-01", "run", |a| a.at = "2026-06-02T00:00:00[UTC]", denied("")),
    ("expires=2026-06-01", "run", |a| a.at = "2026-06-01T19:59:59[America/New_York]", YES),
    ("expires=2026-06-01", "run", |a| a.at = "2026-06-01T20:00:00[America/New_York]", denied("")),
    ("expires=2026-06-01", "run", |a| a.at = "2026-06-02T01:59:59[Europe/Berlin]", YES),
    ("expires=2026-06-01", "run", |a| a.at = "2090-01-01T00:00:00[UTC]", denied("")),
    ("expires=9999-12-31", "run", |a| a.at = "2090-01-01T00:00:00[UTC]", YES),
    ("expires=2026-06-01", "run", |a| a.at = "1970-01-01T00:00:00[UTC]", YES),
];

const AS_WHOM_AND_WHAT: &[Row] = &[
    // user
    ("", "run", |a| a.started_by = user("root"), denied("user")),
    ("user=app", "run", |a| a.started_by = user("root"), YES),
    ("user=root", "run", |a| a.started_by = user("root"), YES),
    ("", "run", |a| a.started_by = user("svc"), YES),
    ("user=svc", "run", |a| a.started_by = user("svc"), YES),
    ("user=app", "run", |a| a.started_by = user("svc"), denied("user")),
    ("", "run", same, YES),
    ("user=app", "put", |a| a.started_by = user("svc"), YES),
    // sudo, hold and set are no conditions of a run: they say how it goes on
    ("sudo hold set=A=1", "run", same, YES),
    // scripts
    ("scripts=/etc/octo/scripts", "run", |a| a.named = Some("octo-release"), YES),
    ("scripts=/etc/octo/scripts", "run", same, denied("scripts")),
    ("scripts=/etc/octo/scripts", "run", |a| a.named = Some("../x"), denied("scripts")),
    ("scripts=/etc/octo/scripts", "run", |a| a.named = Some("."), denied("scripts")),
    ("scripts=/etc/octo/scripts", "run", |a| a.named = Some(""), denied("scripts")),
    ("scripts=/etc/octo/scripts", "run", |a| a.named = Some("-x"), denied("scripts")),
    ("scripts=/etc/octo/scripts", "run", |a| a.named = Some("a\nb"), denied("scripts")),
    ("scripts=/etc/octo/scripts", "put", same, YES),
    ("", "run", |a| a.named = Some("octo-release"), denied("scripts")),
    // stdin: without scripts= it is as good as a script
    ("", "run", |a| a.stdin = true, YES),
    ("scripts=/s", "run", |a| (a.named, a.stdin) = (Some("x"), true), denied("stdin")),
    ("scripts=/s stdin", "run", |a| (a.named, a.stdin) = (Some("x"), true), YES),
    ("scripts=/s stdin", "run", |a| a.stdin = true, denied("scripts")),
    // signed
    ("signed=/etc/octo/keys", "run", |a| a.unsigned = Some("shop-1.tar"), denied("signed")),
    ("signed=/etc/octo/keys", "run", same, YES),
    ("signed=/etc/octo/keys", "put", same, YES),
    ("", "run", |a| a.unsigned = Some("shop-1.tar"), YES),
];

/// Whatever a line says of runs, it says nothing of freezes.
const FREEZES: &[Row] = &[
    ("", "freeze", same, denied("allow")),
    ("allow=put,run,despite", "freeze", same, denied("allow")),
    ("allow=freeze", "freeze", same, YES),
    ("allow=any", "freeze", same, YES),
    (
        "allow=freeze user=app scripts=/s window=\"Mon 13:00-14:00\" hold locks= env= max-jobs=0",
        "freeze",
        |a| (a.jobs, a.started_by) = (Some(9), user("root")),
        YES,
    ),
    ("allow=freeze max-size=0", "freeze", |a| a.size = Some(1), YES),
    ("allow=freeze from=11.0.0.0/8", "freeze", same, denied("")),
    ("allow=freeze expires=2026-05-31", "freeze", same, denied("")),
    // despite
    ("", "run", |a| a.despite = true, denied("allow")),
    ("allow=run,freeze", "run", |a| a.despite = true, denied("allow")),
    ("allow=run,despite", "run", |a| a.despite = true, YES),
    ("allow=any", "run", |a| a.despite = true, YES),
    ("allow=despite", "run", |a| a.despite = true, denied("allow")),
    ("allow=run,despite", "freeze", same, denied("allow")),
];

const WINDOWS_AND_LOCKS: &[Row] = &[
    // window
    ("window=\"Mon 11:00-13:00\"", "run", same, YES),
    ("window=\"Mon 13:00-14:00\"", "run", same, no("window", "window", 75)),
    ("window=\"Mon 13:00-14:00\"", "run", |a| a.starting = false, YES),
    ("window=\"Mon 13:00-14:00\"", "put", same, YES),
    ("window=\"Mon 13:00-14:00\"", "cancel", same, YES),
    // locks
    ("locks=web,db", "run", |a| a.locks = locks(&["db", "web"]), YES),
    ("locks=web", "run", |a| a.locks = locks(&["web", "db"]), denied("locks")),
    ("locks=", "run", |a| a.locks = locks(&["db"]), denied("locks")),
    ("locks=", "run", same, YES),
    ("", "run", |a| a.locks = locks(&["anything"]), YES),
];

const VARIABLES: &[Row] = &[
    // env
    ("", "run", |a| a.variables = variables(&["NODE_ENV", "GIT_COMMIT", "X"]), YES),
    ("", "run", |a| a.variables = variables(&["npm_config_node_options"]), denied("env")),
    ("env=*", "run", |a| a.variables = variables(&["A", "Path"]), denied("env")),
    ("env=*", "run", |a| a.variables = variables(&["A", "NODE_ENV"]), YES),
    ("env=NODE_*", "run", |a| a.variables = variables(&["NODE_OPTIONS"]), denied("env")),
    ("env=A,APP_*", "run", |a| a.variables = variables(&["A", "APP_", "APP_X"]), YES),
    ("env=A,APP_*", "run", |a| a.variables = variables(&["A", "AB"]), denied("env")),
    ("env=A,APP_*", "run", |a| a.variables = variables(&["app_x"]), denied("env")),
    ("env=", "run", |a| a.variables = variables(&["A"]), denied("env")),
    ("env=", "run", same, YES),
    ("env=", "put", |a| a.variables = variables(&["A"]), YES),
    (
        "scripts=/s",
        "run",
        |a| (a.named, a.variables) = (Some("x"), variables(&["A"])),
        denied("env"),
    ),
    ("scripts=/s", "run", |a| a.named = Some("x"), YES),
    ("scripts=/s env=A", "run", |a| (a.named, a.variables) = (Some("x"), variables(&["A"])), YES),
    // set: what it gives, nobody else gives
    ("set=A=1", "run", |a| a.variables = variables(&["A"]), denied("set")),
    ("set=A=1 env=*", "run", |a| a.variables = variables(&["A"]), denied("set")),
    ("set=A=1 env=B", "run", |a| a.variables = variables(&["A", "C"]), denied("env")),
    ("set=A=1 set=PATH=/x", "run", |a| a.variables = variables(&["B"]), YES),
];

const HOW_MUCH: &[Row] = &[
    // max-size; max-store is counted by the store, in its own tests
    ("", "put", |a| a.size = Some(4 << 30), YES),
    ("", "put", |a| a.size = Some((4 << 30) + 1), limit("max-size")),
    ("max-size=1K", "put", |a| a.size = Some(1024), YES),
    ("max-size=1K", "put", |a| a.size = Some(1025), limit("max-size")),
    ("max-size=1K", "put", |a| a.size = Some(u64::MAX), limit("max-size")),
    ("max-size=1K", "run", |a| a.size = Some(1025), limit("max-size")),
    ("max-size=0", "put", |a| a.size = Some(0), YES),
    // max-jobs
    ("max-jobs=2", "run", |a| a.jobs = Some(1), YES),
    ("max-jobs=2", "run", |a| a.jobs = Some(2), no("busy", "max-jobs", 75)),
    ("", "run", |a| a.jobs = Some(64), no("busy", "max-jobs", 75)),
    ("max-jobs=0", "run", |a| a.jobs = Some(0), no("busy", "max-jobs", 75)),
    ("max-jobs=2", "follow", |a| a.jobs = Some(2), YES),
];

/// What lasts is said before what passes.
const OF_SEVERAL_REASONS: &[Row] = &[(
    "window=\"Mon 13:00-14:00\" scripts=/s max-jobs=0",
    "run",
    |a| a.jobs = Some(9),
    denied("scripts"),
)];

/// Each option with what it permits and what it refuses: the word of the
/// refusal, the option that is named, and the exit status of the pusher.
#[test]
fn every_option_permits_and_refuses() {
    let tables = [
        WHO_AND_WHEN,
        AS_WHOM_AND_WHAT,
        FREEZES,
        WINDOWS_AND_LOCKS,
        VARIABLES,
        HOW_MUCH,
        OF_SEVERAL_REASONS,
    ];
    for &(options, verb, change, expected) in tables.into_iter().flatten() {
        let mut asked = Asked::new(verb);
        change(&mut asked);
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

/// Whoever mends a call should have to do it once.
#[test]
fn all_variables_that_are_refused_are_told_at_once() {
    for (options, asked, refused, said) in [
        ("env=A", &["A", "B", "C"][..], &["B", "C"][..], "ci may not set B, C: env= of its line"),
        ("env=*", &["PATH", "X", "ifs"], &["PATH", "ifs"], "variables PATH, ifs are refused: each"),
        ("", &["PATH", "X"], &["PATH"], "variable PATH is refused: it says who runs"),
        ("env=A", &["PATH", "B"], &["B", "PATH"], "doesn't name it; variable PATH is refused: "),
        (
            "scripts=/s",
            &["B", "A"],
            &["B", "A"],
            "ci may not set B, A: its line has scripts= without env=",
        ),
        ("set=S=1 env=A", &["S", "B"], &["B", "S"], "; ci may not set S: set= of its line does"),
    ] {
        let trust = trust(&format!("{} ci {options}\n", print("ci")));
        let named = options.starts_with("scripts").then_some("x");
        let asked = Asked { named, variables: variables(asked), ..Asked::new("run") };
        let denial = asked.of(&trust, "ci").unwrap_err();
        assert_eq!(denial.variables, variables(refused), "{options}");
        assert!(denial.reason.contains(said), "{}", denial.reason);
    }
    // So many that no line of the wire holds them: some, and how many more.
    let names: Vec<String> = (0..5000).map(|n| format!("{}{n}", "V".repeat(200))).collect();
    let names = variables(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let asked = Asked { variables: names, ..Asked::new("run") };
    let denial = asked.of(&trust(&format!("{} ci env=\n", print("ci"))), "ci").unwrap_err();
    // As many patterns as a line may hold cost no more than a look each.
    let many: String = (0..9000).map(|n| format!("P{n}*,")).collect();
    let trusted = trust(&format!("{} ci env={many}A\n", print("ci")));
    assert_eq!(asked.of(&trusted, "ci").unwrap_err().variables.len(), 5000);
    assert!(
        denial.reason.len() < 1000 && denial.reason.contains(" more: env="),
        "{}",
        denial.reason
    );
}

/// allow= by verb.
#[test]
fn every_verb_has_its_word() {
    let usual =
        ["connect", "audit", "status", "put", "run", "follow", "cancel", "jobs", "get", "scripts"];
    let verbs = [&usual[..], &["releases", "freeze", "fetch"]].concat();
    for (allow, permitted) in [
        ("", &[&usual[..], &["releases"]].concat()[..]),
        ("allow=status", &["connect", "audit", "status", "releases"]),
        ("allow=put", &["connect", "audit", "put"]),
        ("allow=run", &["connect", "audit", "run", "follow", "cancel", "jobs", "get", "scripts"]),
        ("allow=status,put", &["connect", "audit", "status", "put", "releases"]),
        ("allow=freeze", &["connect", "audit", "freeze", "follow"]),
        ("allow=despite", &["connect", "audit"]),
        ("allow=audit", &["connect", "audit", "fetch"]),
        ("allow=any", &verbs),
        ("allow=any,status", &verbs),
    ] {
        let trust = trust(&format!("{} ci {allow}\n", print("ci")));
        for &verb in &verbs {
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
