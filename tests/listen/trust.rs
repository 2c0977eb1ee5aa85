//! The trust file decides as it now is: for a handshake, for a request on a
//! connection that is open, and for a stream that runs.

use crate::listener::{Side, Tentacle, job_id, own_user, sides};
use crate::support::wait_for;
use octo_core::Digest;
use octo_core::tentacle::statement::{Asks, Statement};
use octo_wire::Failure;

fn refused(tentacle: &Tentacle, side: &Side) -> bool {
    let asked = tentacle.connect(side).and_then(|mut pusher| pusher.ask("status", b""));
    matches!(asked, Err(Failure::Refused))
}

#[test]
fn a_removed_thumbprint_is_out_at_once() {
    let (here, ci) = sides();
    let mut tentacle = Tentacle::start(&here);
    let mut open = tentacle.connect(&ci).expect("trusted");
    open.yes("status", b"");
    here.trust(&[]);
    assert!(refused(&tentacle, &ci));
    assert_eq!(open.no("status", b""), "denied");
    tentacle.says("status: denied");
    here.trust(&[(&ci, "ci")]);
    open.yes("status", b"");
}

/// Without a clock: the trust file is asked before a tick is due, and of a script that
/// rests between its lines, so many lines are so many seconds at least.
#[test]
fn a_removed_thumbprint_ends_its_streams_within_fifteen_seconds() {
    let (here, ci) = sides();
    let tentacle = Tentacle::start(&here);
    let (silent, talking) = (job_id(), job_id());
    let job = |id: &str, name: &str| here.sandbox.state("jobs").join(id).join(name);
    let follow = |id: &str, text: &str| {
        let mut pusher = tentacle.connect(&ci).expect("trusted");
        assert_eq!(pusher.run(id, text).word(), "ok");
        // One that has not started would be judged again, and denied.
        wait_for("its start", || job(id, "started").exists());
        pusher.yes(&format!("follow job={id}"), b"");
        pusher
    };
    let mut talks = follow(&talking, "while :; do echo x; sleep 0.05; done");
    let mut says_nothing = follow(&silent, "sleep 300");
    here.trust(&[]);
    let said = job(&talking, "log").metadata().map_or(0, |log| log.len());
    let last = loop {
        let message = says_nothing.connection.read_message().expect("a message").expect("one");
        match message.word() {
            "no" => break message,
            other => assert_eq!(other, "state", "before it is refused"),
        }
    };
    assert_eq!(last.text("code"), Some("denied"));
    let mut told = 0;
    let last = loop {
        let message = talks.reply().expect("a message");
        match message.word() {
            "out" => told += talks.body(&message).len() as u64,
            "no" => break message,
            other => assert_eq!(other, "state"),
        }
        assert!(told < said + 2 * 20 * 18, "it goes on for more than 18 s");
    };
    assert_eq!(last.text("code"), Some("denied"));
    here.trust(&[(&ci, &format!("ci {}", own_user()))]);
    for id in [silent, talking] {
        tentacle.connect(&ci).expect("trusted").cancel(&id);
    }
}

#[test]
fn an_upload_that_is_no_longer_permitted_is_not_published() {
    let (here, ci) = sides();
    let tentacle = Tentacle::start(&here);
    let package = vec![1; 100_000];
    let digest = Digest::of(&package);
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    pusher.yes(&format!("put sha256={digest} size=100000 name=x"), b"");
    here.trust(&[(&ci, "ci allow=status")]);
    pusher.send_part(package.len(), &package).expect("sent");
    assert_eq!(pusher.reply().expect("a reply").text("code"), Some("denied"));
    assert!(!here.sandbox.state("packages").join(digest.to_string()).exists());
    pusher.yes("status", b"");
}

#[test]
fn an_unsound_file_lets_nobody_in_and_is_named_in_the_log() {
    let (here, ci) = sides();
    let mut tentacle = Tentacle::start(&here);
    let mut open = tentacle.connect(&ci).expect("trusted");
    open.yes("status", b"");
    let sound = std::fs::read_to_string(here.sandbox.config("trusted")).expect("read");
    here.sandbox.write("config/trusted", format!("{sound}nonsense\n"));
    assert_eq!(open.no("status", b""), "policy");
    // One who is trusted isn't told that he isn't.
    let asked = tentacle.connect(&ci).and_then(|mut pusher| pusher.ask("status", b""));
    assert!(matches!(asked, Err(Failure::Undecided)), "{asked:?}");
    tentacle.says("trusted:2: ");
    here.sandbox.write("config/trusted", &sound);
    crate::support::set_mode(&here.sandbox.config("trusted"), 0o666);
    assert_eq!(open.no("status", b""), "policy");
    tentacle.says("writable by");
    crate::support::set_mode(&here.sandbox.config("trusted"), 0o644);
    open.yes("status", b"");
}

#[test]
fn what_the_line_permits_is_what_is_done() {
    let (here, ci) = sides();
    let tentacle = Tentacle::start(&here);
    let put = format!("put sha256={} size=1 name=x", Digest::of(b"x"));
    let id = job_id();
    for (options, verbs) in [
        ("allow=status", [true, false, false]),
        ("allow=put", [false, true, false]),
        ("allow=put,run", [false, true, true]),
    ] {
        here.trust(&[(&ci, &format!("ci {} {options}", own_user()))]);
        let (run, body) =
            tentacle.connect(&ci).expect("trusted").request(&id, "command true\n", b"", b"");
        for (request, body, permitted) in
            [("status", &b""[..], verbs[0]), (&put, b"", verbs[1]), (&run, &body, verbs[2])]
        {
            let mut pusher = tentacle.connect(&ci).expect("trusted");
            let reply = pusher.ask(request, body).expect("a reply");
            let expected = if permitted { "ok" } else { "no" };
            assert_eq!(reply.word(), expected, "{options}: {request}: {reply:?}");
        }
    }
}

#[test]
fn outside_the_window_it_says_when_the_next_one_opens() {
    let (here, ci) = sides();
    let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
    // From an hour hence on, for an hour: never now.
    let hour = |n: i64| (now.clone() + jiff::Span::new().hours(n)).strftime("%H:%M").to_string();
    let line = format!("ci {} window=\"{}-{}\"", own_user(), hour(1), hour(2));
    here.trust(&[(&ci, &line)]);
    let tentacle = Tentacle::start(&here);
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    let id = job_id();
    let reply = pusher.run(&id, "true");
    assert_eq!(reply.text("code"), Some("window"));
    assert!(reply.text("opens").is_some_and(|opens| opens.ends_with('Z')), "{reply:?}");
    assert!(!here.sandbox.state("jobs").join(&id).exists());
    // What waits for approval may be submitted at any time.
    here.trust(&[(&ci, &format!("{line} hold"))]);
    assert_eq!(pusher.run(&id, "true").word(), "ok");
    pusher.yes(&format!("follow job={id}"), b"");
    loop {
        let message = pusher.reply().expect("a message");
        assert_eq!(message.word(), "state", "{message:?}");
        if message.text("is") == Some("held") {
            break;
        }
    }
    drop(pusher);
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    pusher.cancel(&id);
    assert_eq!(pusher.follow(&id).kind, "cancelled");
}

/// What a peer may choose: verbs, keys, names, who it says it is, what it runs.
#[test]
fn a_peers_words_never_leave_their_line_or_drive_a_terminal() {
    let (here, ci) = sides();
    let mut tentacle = Tentacle::start(&here);
    let evil = "x%1B%5B2J%0Aocto-listen:%20forged%C2%9B31m%E2%80%AE";
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    let digest = Digest::of(b"true\n");
    let spec = format!("script {digest} {evil}\narg {evil}\n");
    let id = job_id();
    let asks = Asks::Request(Digest::of(spec.as_bytes()));
    let by = octo_core::base::encoding::decode_text(evil.as_bytes()).expect("text");
    let statement = Statement { by, ..pusher.statement(&id, asks) };
    let (request, body) = pusher.request_by(&statement, &id, &spec, [b"true\n", b""]);
    pusher.yes(&request, &body);
    pusher.follow(&id);
    pusher.no(&format!("put sha256={digest} size=99999999999999 name={evil}"), b"");
    pusher.no(&format!("get job={id} artifact={evil}"), b"");
    let mut jobs = pusher.list("jobs");
    assert_eq!(
        jobs.remove(0).value("by").map(|by| by.contains(&0x1b)),
        Some(true),
        "as it was sent"
    );
    tentacle.says("99999999999999");

    let log = tentacle.log();
    let audit = ["audit.log", "listen/audit.log"]
        .map(|log| std::fs::read_to_string(here.sandbox.state(log)).expect("read"))
        .concat();
    let exec = |arguments: &[&str]| {
        crate::support::stdout_of(here.sandbox.tool("octo-exec").args(arguments))
    };
    for text in [log, audit, exec(&["list"]), exec(&["show", &id])] {
        let harmful = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!text.contains(harmful), "{text:?}");
        assert!(text.lines().all(|line| !line.starts_with("octo-listen: forged")), "{text}");
    }
}
