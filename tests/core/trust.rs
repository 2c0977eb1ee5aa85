//! The trust file as a whole: which line decides, what a refusal tells, which file is believed.

#![allow(clippy::unwrap_used)]

use jiff::Zoned;
use octo_core::base::refusal::Refusal;
use octo_core::trust::{Denial, Grant, Question, RunQuestion, StartedBy, Trust, Verb};
use octo_core::{Error, Exit, LockName, Thumbprint, VariableName};
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// A Monday.
pub(crate) const NOON: &str = "2026-06-01T12:00:00[UTC]";

pub(crate) fn print(seed: &str) -> Thumbprint {
    Thumbprint::of_certificate(seed.as_bytes())
}

pub(crate) fn trust(text: &str) -> Trust {
    Trust::parse(Path::new("trusted"), text.as_bytes())
        .unwrap_or_else(|p| panic!("{}", p[0].heading()))
}

/// What is asked, with everything that a question can say.
pub(crate) struct Asked {
    pub(crate) address: Option<&'static str>,
    pub(crate) at: &'static str,
    pub(crate) verb: Verb,
    pub(crate) size: Option<u64>,
    pub(crate) jobs: Option<u64>,
    pub(crate) named: Option<&'static str>,
    pub(crate) locks: Vec<LockName>,
    pub(crate) variables: Vec<VariableName>,
    pub(crate) unsigned: Option<&'static str>,
    pub(crate) stdin: bool,
    pub(crate) despite: bool,
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
            jobs: None,
            named: None,
            locks: Vec::new(),
            variables: Vec::new(),
            unsigned: None,
            stdin: false,
            despite: false,
            starting: true,
            started_by: user("svc"),
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
        (question.size, question.jobs) = (self.size, self.jobs);
        question.run = (self.verb == Verb::Run).then(|| RunQuestion {
            stdin: self.stdin,
            named: self.named,
            locks: self.locks.iter().collect(),
            variables: self.variables.iter().collect(),
            unsigned: self.unsigned,
            despite: self.despite,
            starting: self.starting,
            started_by: self.started_by.clone(),
        });
        trust.decide(&question)
    }
}

pub(crate) fn user(name: &str) -> StartedBy {
    StartedBy { name: name.into(), root: name == "root", listener: None }
}

pub(crate) fn locks(names: &[&str]) -> Vec<LockName> {
    names.iter().map(|name| LockName::parse(name).unwrap()).collect()
}

pub(crate) fn variables(names: &[&str]) -> Vec<VariableName> {
    names.iter().map(|name| VariableName::parse(name).unwrap()).collect()
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

/// A trust file in a directory of its own, which is in one of its own again.
struct TrustFile {
    top: tempfile::TempDir,
    directory: PathBuf,
    path: PathBuf,
}

impl TrustFile {
    fn missing() -> TrustFile {
        let top = tempfile::tempdir().unwrap();
        let directory = top.path().join("etc");
        std::fs::create_dir(&directory).unwrap();
        TrustFile { path: directory.join("trusted"), directory, top }
    }

    fn of_one_line() -> TrustFile {
        let file = TrustFile::missing();
        std::fs::write(&file.path, format!("{} ci\n", print("ci"))).unwrap();
        assert_eq!(Trust::load(&file.path).unwrap().lines.len(), 1);
        file
    }

    fn refused(&self, said: &str) -> Error {
        let error = Trust::load(&self.path).expect_err(said);
        assert_eq!(error.exit, Exit::Configuration, "{error}");
        assert!(error.message.contains(said), "{error}");
        error
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_missing_file_is_an_error_and_an_empty_one_is_not() {
    let file = TrustFile::missing();
    let missing = file.refused("there is no trust file: nobody is let in");
    assert!(missing.hints[0].contains("octo-keys trust"));
    std::fs::write(&file.path, "").unwrap();
    assert_eq!(Trust::load(&file.path).unwrap().lines.len(), 0);
}

#[test]
fn a_file_that_others_could_have_written_lets_nobody_in() {
    let file = TrustFile::of_one_line();
    let TrustFile { top, directory, path } = &file;
    for (bits, said) in [
        (0o664, "writable by its group"),
        (0o646, "writable by others"),
        (0o666, "writable by others"),
    ] {
        set_mode(path, bits);
        assert!(file.refused(said).hints[0].contains("chmod go-w"));
    }
    set_mode(path, 0o600);
    for bits in [0o775, 0o757] {
        set_mode(directory, bits);
        file.refused("etc: is writable by");
    }
    set_mode(directory, 0o1777);
    assert!(Trust::load(path).is_ok(), "a sticky directory");
    set_mode(directory, 0o755);
    set_mode(top.path(), 0o777);
    file.refused("is writable by others");
    set_mode(top.path(), 0o755);
    if rustix_is_root() {
        for target in [path, directory] {
            chown(target, Some(12345), None).unwrap();
            file.refused("is owned by uid 12345");
            chown(target, Some(0), None).unwrap();
        }
    }
    std::fs::rename(path, directory.join("real")).unwrap();
    symlink("real", path).unwrap();
    assert!(Trust::load(path).is_ok());
    set_mode(&directory.join("real"), 0o666);
    file.refused("is writable by others");
}

#[test]
fn a_file_that_cant_be_read_in_full_lets_nobody_in() {
    let file = TrustFile::missing();
    let path = &file.path;
    std::fs::create_dir(path).unwrap();
    file.refused("is not a regular file");
    std::fs::remove_dir(path).unwrap();
    std::fs::write(path, format!("{} ci\n{} ci oops\n", print("ci"), print("x"))).unwrap();
    set_mode(path, 0o644);
    assert!(file.refused("trusted:2: unknown option 'oops'").hints[0].contains("ci oops"));
    std::fs::write(path, vec![b'\n'; (1 << 20) + 1]).unwrap();
    file.refused("is larger than");
    // One that blocks its reader must not block the listener.
    std::fs::remove_file(path).unwrap();
    std::process::Command::new("mkfifo").arg(path).status().unwrap();
    set_mode(path, 0o644);
    file.refused("is not a regular file");
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
