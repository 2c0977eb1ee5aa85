//! A job's spec: what is to run, with what, said once by its pusher, stored byte
//! for byte, and known by its sha256.

pub mod draft;
pub mod options;
pub mod order;
mod reading;
mod secret_program;
pub mod secrets;
mod seed;
pub mod sent;
pub mod stdin;
pub mod variable_file;
pub mod variables;
mod words;

use crate::base::digest::Digest;
use crate::base::encoding::printable;
use crate::base::names::{LockName, VariableName};
use crate::base::record::Record;
use crate::base::refusal::Refusal;
use crate::trust::Verb;
use crate::trust::signed::Signature;
pub use order::{Freezing, Order, Verdict};
use std::time::Duration;

/// The largest spec, in bytes.
pub const MAXIMUM: u64 = 4 << 20;
/// The largest script that is sent, in bytes.
pub const MAXIMUM_SCRIPT: u64 = 16 << 20;
/// The largest body of secrets, in bytes.
pub const MAXIMUM_SECRETS: u64 = 1 << 20;
/// The largest argument or `NAME=VALUE`: Linux' MAX_ARG_STRLEN, less its NUL.
pub const MAXIMUM_VALUE: usize = 128 * 1024 - 1;
/// Arguments and variables in all: under Linux' share of the smallest usual stack.
pub const MAXIMUM_VALUES: usize = 2 << 20;
/// Named locks of one job: each is a file and a descriptor at the target.
pub const MAXIMUM_LOCKS: usize = 64;

/// What a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// A script that is sent along.
    Sent {
        /// The sha256 of its bytes.
        digest: Digest,
        /// Its file name at the pusher's.
        name: String,
    },
    /// A script that the target's sysadmin installed under scripts=.
    Named(String),
    /// A text for /bin/sh.
    Command(String),
    /// Nothing: octo-exec does this itself.
    Order(Order),
}

/// A named lock that the job takes before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRequest {
    /// Its name.
    pub name: LockName,
    /// With other shared holders.
    pub shared: bool,
    /// How long to wait for it.
    pub wait: Duration,
}

/// A job's spec, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What runs.
    pub script: Script,
    /// The package it gets: sha256 and file name.
    pub package: Option<(Digest, String)>,
    /// The package's signature, as it lay beside it.
    pub signature: Option<Signature>,
    /// Its standard input: sha256 and length. Without one it is empty.
    pub stdin: Option<(Digest, u64)>,
    /// Its arguments, in order.
    pub arguments: Vec<Vec<u8>>,
    /// Its variables, in order.
    pub environment: Vec<(VariableName, Vec<u8>)>,
    /// The names of the variables whose values are sent apart.
    pub secrets: Vec<VariableName>,
    /// The sha256 of the body that holds them.
    pub secrets_digest: Option<Digest>,
    /// The time limit that the pusher asks for.
    pub timeout: Option<Duration>,
    /// The time between TERM and KILL that the pusher asks for.
    pub grace: Option<Duration>,
    /// The locks it takes, in order.
    pub locks: Vec<LockRequest>,
    /// Why it deploys what is frozen.
    pub despite: Option<String>,
}

/// Why a spec is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// Malformed, limit, or denied (variables that no pusher may set).
    pub refusal: Refusal,
    /// In words, naming the line or the variable.
    pub reason: String,
    /// The variables that are refused, all of them.
    pub variables: Vec<VariableName>,
}

impl SpecError {
    fn new(refusal: Refusal, reason: impl Into<String>) -> SpecError {
        SpecError { refusal, reason: reason.into(), variables: Vec::new() }
    }
}

fn malformed(reason: impl Into<String>) -> SpecError {
    SpecError::new(Refusal::Malformed, reason)
}

fn limit(reason: impl Into<String>) -> SpecError {
    SpecError::new(Refusal::Limit, reason)
}

impl Spec {
    /// A spec that only says what runs.
    pub fn of(script: Script) -> Spec {
        Spec {
            script,
            package: None,
            signature: None,
            stdin: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            secrets: Vec::new(),
            secrets_digest: None,
            timeout: None,
            grace: None,
            locks: Vec::new(),
            despite: None,
        }
    }

    /// What is asked for by it: an order is no run.
    pub fn verb(&self) -> Verb {
        match &self.script {
            Script::Order(order) => order.verb(),
            Script::Sent { .. } | Script::Named(_) | Script::Command(_) => Verb::Run,
        }
    }

    /// The names of all its variables, secrets included.
    pub fn variables(&self) -> impl Iterator<Item = &VariableName> {
        self.environment.iter().map(|(name, _)| name).chain(&self.secrets)
    }

    /// The spec's bytes, as sent and stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut record = Record::new();
        match &self.script {
            Script::Sent { digest, name } => {
                record.push("script", &[digest.to_string().as_bytes(), name.as_bytes()])
            }
            Script::Named(name) => record.push("name", &[name.as_bytes()]),
            Script::Command(text) => record.push("command", &[text.as_bytes()]),
            Script::Order(order) => order.add_to(&mut record),
        }
        if let Some((digest, name)) = &self.package {
            record.push("package", &[digest.to_string().as_bytes(), name.as_bytes()]);
        }
        if let Some(signature) = &self.signature {
            record.push("signature", &[signature.text().as_bytes()]);
        }
        if let Some((digest, length)) = &self.stdin {
            let length = length.to_string();
            record.push("stdin", &[digest.to_string().as_bytes(), length.as_bytes()]);
        }
        for value in &self.arguments {
            record.push("arg", &[value]);
        }
        for (name, value) in &self.environment {
            record.push("env", &[name.as_str().as_bytes(), value]);
        }
        let mut record = record
            .with_each("secret", &self.secrets)
            .with_each("secrets", self.secrets_digest)
            .with_each("timeout", self.timeout.map(|timeout| timeout.as_secs()))
            .with_each("grace", self.grace.map(|grace| grace.as_secs()))
            .with_each("despite", self.despite.as_ref());
        for lock in &self.locks {
            let way = if lock.shared { "shared" } else { "exclusive" };
            let wait = lock.wait.as_secs().to_string();
            record.push("lock", &[lock.name.as_str().as_bytes(), way.as_bytes(), wait.as_bytes()]);
        }
        record.encode().into_bytes()
    }

    /// What runs, in a few words for lists and logs; escaped.
    pub fn summary(&self) -> String {
        match &self.script {
            Script::Sent { name, .. } | Script::Named(name) => printable(name.as_bytes()),
            Script::Command(text) => {
                let first: String = text.lines().next().unwrap_or("").chars().take(60).collect();
                format!("sh -c {}", printable(first.as_bytes()))
            }
            Script::Order(order) => format!("{} {order}", order.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "untrusted comment: x
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";

    fn full() -> Spec {
        let digest = Digest::of(b"x");
        let name = |text| VariableName::parse(text).expect("a name");
        Spec {
            package: Some((digest, "shop 1.tar".into())),
            signature: Some(Signature::parse(SIGNATURE).expect("a signature")),
            stdin: Some((digest, 1)),
            arguments: vec![b"".to_vec(), b"a b\n\xff".to_vec()],
            environment: vec![(name("A"), b"() {".to_vec())],
            secrets: vec![name("TOKEN")],
            secrets_digest: Some(digest),
            timeout: Some(Duration::from_secs(3)),
            grace: Some(Duration::from_secs(1)),
            locks: vec![LockRequest {
                name: LockName::parse("deploy").expect("a name"),
                shared: true,
                wait: Duration::from_secs(9),
            }],
            despite: Some("the shop is down".into()),
            ..Spec::of(Script::Sent { digest, name: "d é.sh".into() })
        }
    }

    #[test]
    fn a_spec_comes_back() {
        let spec = full();
        assert_eq!(Spec::parse(&spec.encode()), Ok(spec));
        let until = "2026-12-01T06:00:00Z".parse().expect("a time");
        let (application, reason) = ("shop".to_string(), "black friday".into());
        for script in [
            Script::Named("octo-release".into()),
            Script::Command("echo\n".into()),
            Script::Order(Order::Freezing(Freezing::Thaw { application: application.clone() })),
            Script::Order(Order::Freezing(Freezing::Freeze { application, until, reason })),
        ] {
            let spec = Spec::of(script);
            assert_eq!(Spec::parse(&spec.encode()), Ok(spec));
        }
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        let digest = Digest::of(b"x");
        let long = "x".repeat(MAXIMUM_VALUE + 1);
        let alone = Spec { package: None, ..full() }.encode();
        let alone = String::from_utf8_lossy(&alone).into_owned();
        for (text, refusal, said) in [
            (String::new(), Refusal::Malformed, "nothing to run"),
            ("command a\ncommand b\n".into(), Refusal::Malformed, "line 2"),
            ("command a\nboo b\n".into(), Refusal::Malformed, "unknown key boo"),
            ("command a%00\n".into(), Refusal::Malformed, "NUL"),
            ("name ../x\n".into(), Refusal::Malformed, "file name"),
            (format!("script {digest} a/b\n"), Refusal::Malformed, "file name"),
            (format!("script {} a\n", &digest.to_string()[1..]), Refusal::Malformed, "sha256"),
            ("command a\nenv LD_PRELOAD x\n".into(), Refusal::Denied, "LD_PRELOAD"),
            ("env PATH x\nsecret IFS\ncommand a\nsecrets 0\n".into(), Refusal::Malformed, "sha256"),
            (
                format!("env PATH x\nsecret IFS\ncommand a\nsecrets {digest}\n"),
                Refusal::Denied,
                "PATH, IFS",
            ),
            ("command a\nenv npm_config_node_options x\n".into(), Refusal::Denied, "npm_config"),
            ("command a\nenv A x\nenv A y\n".into(), Refusal::Malformed, "twice"),
            ("command a\nsecret A\n".into(), Refusal::Malformed, "digest"),
            (format!("command a\narg {long}\n"), Refusal::Limit, "argument 1"),
            (format!("command a\nenv A {}\n", &long[2..]), Refusal::Limit, "variable A"),
            ("command a\ntimeout -1\n".into(), Refusal::Malformed, "seconds"),
            ("command a\ntimeout 99999999999999999999\n".into(), Refusal::Malformed, "seconds"),
            ("command a\nlock d maybe 1\n".into(), Refusal::Malformed, "shared or exclusive"),
            (
                format!("command a\npackage {digest} p\nsignature x\n"),
                Refusal::Malformed,
                "1 lines, not 4",
            ),
            (
                format!("command a\npackage {digest} p\nsignature {}\n", &long[..5000]),
                Refusal::Malformed,
                "4096 bytes at most",
            ),
            (alone, Refusal::Malformed, "a signature without a package"),
            ("command a\ndespite %0A\n".into(), Refusal::Malformed, "the reason is empty"),
            ("despite x\ncommand a\ndespite x\n".into(), Refusal::Malformed, "line 3: said twice"),
            ("command a\nthaw shop\n".into(), Refusal::Malformed, "a second thing"),
            ("thaw shop x\n".into(), Refusal::Malformed, "line 1: thaw takes other fields"),
            ("despite x\nthaw shop\n".into(), Refusal::Malformed, "thaw stands alone"),
            ("thaw shop\narg x\n".into(), Refusal::Malformed, "thaw stands alone"),
            ("thaw shop\ntimeout 1\n".into(), Refusal::Malformed, "thaw stands alone"),
        ] {
            let error = Spec::parse(text.as_bytes()).expect_err(&text[..text.len().min(40)]);
            assert_eq!(error.refusal, refusal, "{}", error.reason);
            assert!(error.reason.contains(said), "{}", error.reason);
        }
        let many = format!("command a\n{}", format!("arg {}\n", "x".repeat(100_000)).repeat(22));
        assert_eq!(Spec::parse(many.as_bytes()).map_err(|e| e.refusal), Err(Refusal::Limit));
    }

    /// 4 MiB of the shortest lines cost neither minutes nor a hundred times their size.
    #[test]
    fn many_lines_are_a_limit_soon() {
        let begun = std::time::Instant::now();
        let spec = |line: &dyn Fn(usize) -> String| -> String {
            let lines: String = (0..140_000).map(line).collect();
            format!("command a\n{lines}")
        };
        for text in [
            spec(&|n| format!("env A{n:x} \n")),
            spec(&|n| format!("lock a{n:x} shared 0\n")),
            spec(&|_| "arg \n".into()) + &"arg \n".repeat(100_000),
        ] {
            let error = Spec::parse(text.as_bytes()).expect_err(&text[..30]);
            assert_eq!(error.refusal, Refusal::Limit, "{}", error.reason);
        }
        // Generous for a busy machine; what is quadratic takes a minute and a half on an idle one.
        assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
        let wide = format!("command{}\n", " ".repeat(1_000_000));
        let error = Spec::parse(wide.as_bytes()).expect_err("too many fields");
        assert_eq!(error.reason, "spec line 1: not of the form");
    }

    #[test]
    fn secrets_are_bound_to_the_spec() {
        let values = vec![
            (VariableName::parse("A").expect("name"), b"x=y\n".to_vec()),
            (VariableName::parse("B").expect("name"), b"".to_vec()),
        ];
        let names: Vec<_> = values.iter().map(|(n, _)| n.clone()).collect();
        let body = secrets::encode_with(&[7; 32], &values);
        let digest = Digest::of(&body);
        assert_eq!(secrets::decode(&body, &digest, &names), Ok(values));
        assert!(secrets::decode(&body, &Digest::of(b""), &names).is_err());
        assert!(secrets::decode(&body, &digest, &names[..1]).is_err());
        let cut = &body[..body.len() - 1];
        assert!(secrets::decode(cut, &Digest::of(cut), &names).is_err());
    }
}
