//! What holds for any trust file and any question, of random ones and of the largest.

#![allow(clippy::unwrap_used)]

use crate::random::Random;
use crate::trust::{Asked, NOON, locks, print, trust, user};
use jiff::Zoned;
use octo_core::trust::{Denial, Question, StartedBy, Trust, Verb};
use std::path::Path;

#[test]
fn no_bytes_make_parsing_panic() {
    let mut random = Random(11);
    let sound = format!(
        "# c\n{} ci from=10.0.0.0/8,::1 expires=2027-06-30 allow=put,run user=app sudo scripts=\"/s s\" \
         window=\"Mon-Fri 22:00-05:00,Sat,Sun 10:00-24:00\" hold set=A=\"b c\" locks=db max-wait=1m \
         max-size=1K max-store=2K max-jobs=3 max-log=4K timeout=2h\n{} b\n",
        print("a"),
        print("b")
    );
    for _ in 0..20_000 {
        let mut bytes = sound.clone().into_bytes();
        for _ in 0..=random.below(4) {
            damage(&mut bytes, &mut random);
        }
        match Trust::parse(Path::new("t"), &bytes) {
            Ok(trust) => {
                assert!(trust.lines.iter().all(|line| line.number <= bytes.len()));
                ask_everything(&trust, &mut random);
            }
            Err(problems) => {
                assert!(!problems.is_empty());
                for problem in problems {
                    let shown = format!("{}\n{}", problem.heading(), problem.text);
                    assert!(
                        shown.lines().count() == 2 && !shown.contains(['\u{1b}', '\0']),
                        "{shown:?}"
                    );
                }
            }
        }
    }
}

const PIECES: &[&[u8]] = &[
    b"=",
    b"\"",
    b",",
    b" ",
    b"\t",
    b"\n",
    b"\r",
    b"#",
    b"-",
    b":",
    b"/",
    b"\0",
    b"\xff",
    b"\xc3",
    b"Sun",
    b"24:00",
    b"00:00-00:00",
    b"999999999999999999999",
    b"-1",
    b"::",
    b"/129",
    b"9999-12-31",
    "\u{200e}".as_bytes(),
    "é".as_bytes(),
    b"set=",
    b"from=",
    b"window=",
    b"\"\"",
    b"max-size=9T",
];

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(4) {
        0 => bytes[at] = random.below(256) as u8,
        1 => bytes.truncate(at.max(1)),
        2 => {
            let end = (at + random.below(20)).min(bytes.len());
            bytes.drain(at..end);
            bytes.push(b' ');
        }
        _ => {
            let piece = random.of(PIECES);
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}

/// As much as a file may hold, in its dearest forms; what is quadratic takes minutes.
fn largest(line: impl Fn(usize) -> String) -> Trust {
    let mut text = String::new();
    for number in 0.. {
        let line = line(number);
        if text.len() + line.len() >= 1 << 20 {
            return trust(&text);
        }
        text.push_str(&line);
    }
    unreachable!()
}

#[test]
fn a_file_of_its_largest_size_costs_little() {
    let key = print("ci");
    let runs = user("root");
    let at: Zoned = NOON.parse().unwrap();
    // Networks of their own: none shadows another.
    let address = |n: usize| format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
    let apart = largest(|n| format!("{key} ci from={} user=root\n", address(n)));
    assert!(apart.lines.len() > 9_000 && apart.unreachable().is_empty());
    assert_eq!(apart.warnings(&runs, &at), []);
    // Small networks for ever, and wide ones that last longer and longer.
    let day = |n: usize| format!("{}-{:02}-{:02}", 2100 + n / 336, n / 28 % 12 + 1, n % 28 + 1);
    let wide = largest(|n| match n % 2 {
        0 => format!("{key} ci from=10.0.{}.{}\n", n >> 8 & 255, n & 255),
        _ => format!("{key} ci from=10.0.0.0/8 expires={}\n", day(n / 2)),
    });
    assert!(wide.lines.len() > 9_000 && wide.unreachable().is_empty());
    // Two halves, and line by line what they cover together.
    let halves = largest(|n| match n {
        0 => format!("{key} ci from=10.0.0.0/9 user=root\n"),
        1 => format!("{key} ci from=10.128.0.0/9 user=root\n"),
        _ => format!("{key} ci from=10.0.0.0/8 user=nobody{n} scripts=/etc\n"),
    });
    let shadowed = halves.unreachable();
    assert_eq!(shadowed.len(), halves.lines.len() - 2);
    assert!(shadowed.iter().all(|u| u.by.len() == 2 && u.by[1].number == 2));
    assert_eq!(halves.warnings(&runs, &at).len(), shadowed.len());
    // One line that names an address each of what many others ask for.
    let addresses: Vec<String> =
        (0..4096).map(|n| format!("10.0.{}.{}", n >> 8, n & 255)).collect();
    let many = largest(|n| match n {
        0 => format!("{key} ci from={}\n", addresses.join(",")),
        _ => format!("{key} ci from=10.0.0.0/20\n"),
    });
    let shadowed = many.unreachable();
    assert_eq!(shadowed.len(), many.lines.len() - 1);
    assert!(shadowed.iter().all(|u| u.by.len() == 1));
}

/// Long lines: of variables, of locks, of networks, of times.
#[test]
fn a_file_of_long_lines_costs_little() {
    let key = print("ci");
    let list = |key: &str, item: &dyn Fn(usize) -> String| {
        let items: Vec<String> = (0..5_000).map(item).collect();
        format!("{key}{}", items.join(","))
    };
    for options in [
        (0..5_000).map(|n| format!("set=A{n:x}= ")).collect(),
        list("locks=", &|n| format!("l{n:x}")),
        list("from=", &|n| format!("::{n:x}")),
        list("window=", &|n| format!("{:02}:{:02}-00:01", n / 60 % 23 + 1, n % 60)),
    ] {
        let long = largest(|_| format!("{key} ci {options}\n"));
        assert!(long.lines.len() > 15, "{} lines", long.lines.len());
        let at: Zoned = "2026-06-01T00:30:00[UTC]".parse().unwrap();
        let asked = Asked { at: "2026-06-01T00:30:00[UTC]", ..Asked::new("run") };
        assert_eq!(at.hour(), 0);
        let denied = asked.of(&long, "ci").err();
        assert_eq!(denied.is_some(), !options.starts_with("set") && !options.starts_with("locks"));
    }
}

const PEERS: [&str; 3] = ["a", "b", "c"];
const TIMES: [&str; 4] = [
    "2026-06-01T12:00:00[UTC]",
    "2026-06-03T23:30:00[UTC]",
    "2026-06-08T12:00:00[UTC]",
    "2027-03-28T03:00:00[Europe/Berlin]",
];
const ADDRESSES: [Option<&str>; 5] =
    [None, Some("10.1.2.3"), Some("10.200.2.3"), Some("192.0.2.7"), Some("2001:db8::1")];

fn any_question(random: &mut Random) -> (Asked, &'static str) {
    let verbs: Vec<Verb> = Verb::all().collect();
    let mut asked = Asked::new(random.of(&verbs).word());
    asked.address = random.of(&ADDRESSES);
    asked.at = random.of(&TIMES);
    asked.size = random.of(&[None, Some(10), Some(5000), Some(u64::MAX)]);
    asked.jobs = random.of(&[None, Some(0), Some(2), Some(100)]);
    asked.named = random.of(&[None, Some("release"), Some("../x")]);
    asked.locks = random.of(&[vec![], locks(&["db"]), locks(&["db", "web"])]);
    asked.despite = random.below(4) == 0;
    asked.starting = random.below(2) == 0;
    asked.started_by = random.of(&[user("root"), user("svc")]);
    (asked, random.of(&PEERS))
}

fn ask_everything(trust: &Trust, random: &mut Random) {
    for _ in 0..3 {
        let (asked, peer) = any_question(random);
        let _ = asked.of(trust, peer);
    }
}

fn any_line(random: &mut Random) -> String {
    let mut line = format!("{} n{}", print(random.of(&PEERS)), random.below(3));
    for option in [
        &["from=10.0.0.0/8", "from=10.128.0.0/9", "from=192.0.2.7,2001:db8::/32", "from=0.0.0.0/0"]
            [..],
        &["expires=2026-06-01", "expires=2026-06-05", "expires=2030-01-01"],
        &["allow=status", "allow=run", "allow=put,run", "allow=any", "allow=freeze,despite"],
        &["user=app", "user=svc", "user=root"],
        &["scripts=/etc/scripts", "signed=/etc/keys"],
        &["window=\"Mon 11:00-13:00\"", "window=22:00-05:00"],
        &["locks=db", "locks="],
        &["max-size=1K", "max-store=1K", "max-jobs=2"],
        &["sudo", "hold"],
    ] {
        if random.below(3) == 0 {
            line.push(' ');
            line.push_str(random.of(option));
        }
    }
    line
}

/// Any sound file, any question, and what it answers.
struct Case {
    lines: Vec<String>,
    whole: Trust,
    asked: Asked,
    peer: &'static str,
    answer: Result<usize, Denial>,
    /// The number of the line that says yes or no, if one does.
    decides: Option<usize>,
}

fn trust_of(lines: &[String]) -> Trust {
    trust(&lines.iter().map(|l| format!("{l}\n")).collect::<String>())
}

impl Case {
    fn any(random: &mut Random) -> Case {
        let lines: Vec<String> = (0..random.below(7)).map(|_| any_line(random)).collect();
        let whole = trust_of(&lines);
        let (asked, peer) = any_question(random);
        let answer = asked.of(&whole, peer);
        let decides = match &answer {
            Ok(number) => Some(*number),
            Err(refused) => refused.line,
        };
        Case { lines, whole, asked, peer, answer, decides }
    }

    fn is_of_the_peer(&self, line: &str) -> bool {
        line.starts_with(&print(self.peer).to_string())
    }

    /// Who may do anything may connect, and a yes cites a line of this very peer.
    fn only_the_peers_own_line_decides(&self) {
        let Asked { address, at, .. } = self.asked;
        let connects = Asked { address, at, ..Asked::new("connect") };
        assert_eq!(connects.of(&self.whole, self.peer).is_ok(), self.decides.is_some());
        if let Some(number) = self.decides {
            assert!(self.is_of_the_peer(&self.lines[number - 1]));
        }
    }

    /// No line that is added behind the others changes what one of them decides.
    fn a_line_behind_the_others_changes_nothing(&self, random: &mut Random) {
        if self.decides.is_some() {
            let mut more = self.lines.clone();
            more.push(any_line(random));
            assert_eq!(self.asked.of(&trust_of(&more), self.peer), self.answer);
        }
    }

    fn a_line_that_does_not_decide_may_go(&self) {
        let unreachable: Vec<usize> =
            self.whole.unreachable().iter().map(|u| u.line.number).collect();
        for removed in 0..self.lines.len() {
            let mut fewer = self.lines.clone();
            // A comment in its place keeps the numbers.
            fewer[removed] = "# removed".into();
            let now = self.asked.of(&trust_of(&fewer), self.peer);
            if self.decides != Some(removed + 1) {
                assert_eq!(now, self.answer, "a line that didn't decide");
            }
            if unreachable.contains(&(removed + 1)) {
                assert_ne!(self.decides, Some(removed + 1), "a line that never decides");
            }
        }
    }

    /// What explain denies, who knows neither sizes nor locks nor names, never passes.
    fn what_explain_denies_never_passes(&self) {
        let Asked { address, at, verb, .. } = self.asked;
        let time: Zoned = at.parse().unwrap();
        let from = address.map(|a| a.parse().unwrap());
        let line = self.whole.line_of(&Question::new(print(self.peer), from, &time, verb));
        let explained = Asked {
            address,
            at,
            named: line.and_then(|l| l.options.scripts.as_ref().map(|_| "SCRIPT")),
            started_by: self.asked.started_by.clone(),
            ..Asked::new(verb.word())
        };
        if explained.of(&self.whole, self.peer).is_err() && self.asked.starting {
            assert!(self.answer.is_err());
        }
    }

    fn without_its_lines_a_peer_is_a_stranger(&self) {
        let others: Vec<String> =
            self.lines.iter().filter(|l| !self.is_of_the_peer(l)).cloned().collect();
        assert_eq!(self.asked.of(&trust_of(&others), self.peer).unwrap_err().line, None);
    }

    /// Each option only ever takes away: a bare line permits what any line does,
    /// but for who may become whom, and for what is run by name.
    fn a_bare_line_permits_what_any_line_does(self) {
        let Case { asked, peer, answer, .. } = self;
        if let (Ok(_), StartedBy { root: false, .. }, None) =
            (&answer, &asked.started_by, asked.named)
        {
            let bare = trust(&format!("{} n allow=any\n", print(peer)));
            let wide = Asked { size: asked.size.map(|s| s.min(5000)), ..asked };
            assert!(wide.of(&bare, peer).is_ok());
        }
    }
}

/// What must hold for any sound file and any question.
#[test]
fn lines_do_what_they_promise_and_no_more() {
    let mut random = Random(5);
    let mut permitted = 0;
    for _ in 0..4000 {
        let case = Case::any(&mut random);
        permitted += usize::from(case.answer.is_ok());
        case.only_the_peers_own_line_decides();
        case.a_line_behind_the_others_changes_nothing(&mut random);
        case.a_line_that_does_not_decide_may_go();
        case.what_explain_denies_never_passes();
        case.without_its_lines_a_peer_is_a_stranger();
        case.a_bare_line_permits_what_any_line_does();
    }
    assert!(permitted > 500, "{permitted} of 4000 were permitted: the test asks too little");
}
