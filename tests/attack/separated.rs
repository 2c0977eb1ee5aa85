//! A tentacle of three users: root runs octo-exec (E), the spool is a listener's (L),
//! and jobs run as a third (J). No listener runs: a test is what took it over.

use crate::support::needs::SYSTEM_PATH;
use crate::support::{
    NOBODY, Sandbox, can_inject, can_trace, impossible, is_root, needs, set_mode, stdout_of,
    wait_for,
};
use assert_cmd::cargo::cargo_bin;
use octo_core::base::encoding::encode;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::{End, JobDirectory, Refused};
use octo_core::tentacle::layout::{self, Owner};
use octo_core::tentacle::statement::{Asks, HOLDS_FOR, Statement};
use octo_core::{Digest, JobId, Thumbprint};
use octo_wire::Identity;
use rustix::process::Pid;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// One who signs.
pub(crate) struct Pusher {
    pub(crate) identity: Identity,
    pub(crate) certificate: Vec<u8>,
}

/// The tentacle; what serves it ends with the test.
pub(crate) struct Separated {
    pub(crate) sandbox: Sandbox,
    pub(crate) places: Places,
    /// Trusted, with the jobs of `user`.
    pub(crate) ci: Pusher,
    pub(crate) tentacle: Thumbprint,
    /// J.
    pub(crate) user: Account,
    serve: Option<Child>,
}

/// A user of this machine without privileges.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The parts of an entry, each as its maker likes.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) statement: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) spec: Vec<u8>,
    pub(crate) script: Vec<u8>,
    pub(crate) stdin: Vec<u8>,
    pub(crate) secrets: Vec<u8>,
}

/// Users that each distribution has, and that are neither root nor the listener's.
pub(crate) fn accounts() -> Vec<Account> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_string();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let plain = ["daemon", "bin", "mail", "games"].contains(&name.as_str());
        (plain && uid != 0 && uid != NOBODY).then_some(Account { name, uid, gid })
    };
    passwd.lines().filter_map(account).collect()
}

/// The tentacle, served; `None`, and said so, where this machine can't have one.
pub(crate) fn separated(test: &str) -> Option<Separated> {
    let mut here = unserved(test)?;
    here.serve();
    Some(here)
}

/// The same, where a test calls `octo-exec take` itself.
pub(crate) fn unserved(test: &str) -> Option<Separated> {
    if !is_root(test) || !needs(test, "setpriv") {
        return None;
    }
    let Some(user) = accounts().into_iter().next() else {
        impossible(test, "no user for jobs");
        return None;
    };
    let sandbox = Sandbox::new(cargo_bin!("octo-exec"));
    sandbox.tool("octo-keys").arg("new").assert().success();
    let places = Places { config: sandbox.config(""), state: sandbox.state("") };
    let listener = Owner { uid: NOBODY, gid: NOBODY };
    layout::make_for_listener(&places, listener).expect("spool and listen");
    layout::make(&places).expect("the others");
    let marks = sandbox.path("marks");
    std::fs::create_dir(&marks).expect("mkdir");
    chown(&marks, Some(user.uid), None).expect("chown");
    let ci = Pusher::new(&sandbox, "ci");
    let tentacle = Identity::load(&sandbox.config("identity.pem")).expect("identity").thumbprint();
    let here = Separated { sandbox, places, ci, tentacle, user, serve: None };
    here.trust(&[(&here.ci, &format!("ci user={}", here.user.name))]);
    Some(here)
}

/// The same, where strace(1) may trace what runs there.
pub(crate) fn traceable(test: &str) -> Option<Separated> {
    (is_root(test) && can_trace(test)).then(|| unserved(test))?
}

/// The same, where it may send signals as well.
pub(crate) fn injectable(test: &str) -> Option<Separated> {
    (is_root(test) && can_inject(test)).then(|| unserved(test))?
}

impl Pusher {
    /// A fresh one, of octo-keys.
    pub(crate) fn new(sandbox: &Sandbox, name: &str) -> Pusher {
        let path = sandbox.path(&format!("{name}.pem"));
        sandbox.tool("octo-keys").arg("new").arg(&path).assert().success();
        Pusher::load(&path)
    }

    /// The one of this file: a key and a certificate.
    pub(crate) fn load(path: &Path) -> Pusher {
        let pem = std::fs::read(path).expect("read");
        let der = CertificateDer::pem_slice_iter(&pem).next().expect("one").expect("PEM");
        Pusher { identity: Identity::load(path).expect("identity"), certificate: der.to_vec() }
    }

    pub(crate) fn thumbprint(&self) -> Thumbprint {
        self.identity.thumbprint()
    }

    /// A statement of its own.
    pub(crate) fn statement(&self, to: Thumbprint, job: &JobId, asks: Asks) -> Statement {
        let at = jiff::Timestamp::now().round(jiff::Unit::Second).expect("a second");
        let pusher = self.thumbprint();
        let (job, by, until) = (job.clone(), "test@here".into(), at + HOLDS_FOR);
        Statement { asks, job, tentacle: to, pusher, by, at, until }
    }

    /// Any bytes as a statement, signed.
    pub(crate) fn sign(&self, statement: Vec<u8>, spec: &[u8]) -> Parts {
        let signature = self.identity.sign(&statement).expect("signed");
        let (certificate, spec) = (self.certificate.clone(), spec.to_vec());
        let [script, stdin, secrets] = [const { Vec::new() }; 3];
        Parts { statement, signature, certificate, spec, script, stdin, secrets }
    }
}

impl Parts {
    /// The entry's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let parts = [&self.statement, &self.signature, &self.certificate, &self.spec];
        let parts = parts.into_iter().chain([&self.script, &self.stdin, &self.secrets]);
        let lengths: Vec<String> = parts.clone().map(|part| part.len().to_string()).collect();
        let head = format!("octo-spool 1 - {}\n", lengths.join(" "));
        parts.fold(head.into_bytes(), |bytes, part| [bytes, part.clone()].concat())
    }
}

pub(crate) fn job_id() -> JobId {
    JobId::generate().expect("an id")
}

/// The spec of a text for `sh -c`.
pub(crate) fn command(text: &str) -> Vec<u8> {
    format!("command {}\n", encode(text.as_bytes())).into_bytes()
}

impl Separated {
    /// `octo-exec serve`, until the test ends.
    pub(crate) fn serve(&mut self) {
        self.serve_under(&[]);
    }

    /// The same, started by these words, which become it: prlimit(1), or `strace -D`.
    pub(crate) fn serve_under(&mut self, words: &[&str]) {
        let program = self.sandbox.program("octo-exec");
        let words = words.iter().map(OsStr::new).chain([program.as_os_str(), OsStr::new("serve")]);
        let words: Vec<&OsStr> = words.collect();
        let mut child = self
            .by(Command::new(words[0]))
            .args(&words[1..])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("octo-exec starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("standard output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        self.serve = Some(child);
        assert_eq!(line, "serving\n");
    }

    /// The same under strace(1): where the calls of these names are written down.
    pub(crate) fn serve_traced(&mut self, calls: &str) -> PathBuf {
        let trace = self.sandbox.path("trace");
        let filter = format!("trace={calls}");
        let path = trace.display().to_string();
        self.serve_under(&["strace", "-D", "-qq", "-e", "signal=none", "-e", &filter, "-o", &path]);
        trace
    }

    /// The process that serves.
    pub(crate) fn serving(&self) -> Pid {
        Pid::from_child(self.serve.as_ref().expect("it serves"))
    }

    /// kill -9 of what serves; jobs go on.
    pub(crate) fn stop_serving(&mut self) {
        if let Some(mut serve) = self.serve.take() {
            let _ = serve.kill();
            let _ = serve.wait();
        }
    }

    /// Of these places, with nothing of the caller's environment.
    pub(crate) fn by(&self, mut command: Command) -> Command {
        command.env_clear().env("PATH", SYSTEM_PATH);
        command.env("OCTO_CONFIG", &self.places.config).env("OCTO_STATE", &self.places.state);
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// Trusts nobody but these: `(PUSHER, "NAME OPTIONS")`.
    pub(crate) fn trust(&self, pushers: &[(&Pusher, &str)]) {
        let line = |(pusher, rest): &(&Pusher, &str)| format!("{} {rest}\n", pusher.thumbprint());
        self.write_config("trusted", &pushers.iter().map(line).collect::<String>());
    }

    /// By rename: octo-exec may read it at any moment.
    pub(crate) fn write_config(&self, name: &str, text: &str) {
        let staged = self.sandbox.write("config/new", text);
        set_mode(&staged, 0o644);
        std::fs::rename(staged, self.sandbox.config(name)).expect("rename");
    }

    /// Where a script says that it ran.
    pub(crate) fn mark(&self, job: &JobId) -> PathBuf {
        self.sandbox.path("marks").join(job.as_str())
    }

    /// The spec of a script that says so.
    pub(crate) fn marking(&self, job: &JobId) -> Vec<u8> {
        command(&format!("echo ran >>{}", self.mark(job).display()))
    }

    /// How often it did.
    pub(crate) fn runs(&self, job: &JobId) -> usize {
        std::fs::read_to_string(self.mark(job)).unwrap_or_default().lines().count()
    }

    /// What `ci` rightly asks for: a job of this spec.
    pub(crate) fn request(&self, job: &JobId, spec: &[u8]) -> Parts {
        let asks = Asks::Request(Digest::of(spec));
        self.ci.sign(self.ci.statement(self.tentacle, job, asks).encode(), spec)
    }

    /// Spools it as the listener does, in one rename and as its own file.
    pub(crate) fn spool(&self, name: &str, bytes: &[u8]) {
        let path = self.places.spool().join(name);
        let staged = self.places.spool().join(format!(".octo-tmp-{name}"));
        std::fs::write(&staged, bytes).expect("write");
        set_mode(&staged, 0o600);
        chown(&staged, Some(NOBODY), Some(NOBODY)).expect("chown");
        std::fs::rename(staged, path).expect("rename");
    }

    /// Spools what `ci` rightly asks for.
    pub(crate) fn spool_request(&self, job: &JobId, spec: &[u8]) {
        self.spool(job.as_str(), &self.request(job, spec).bytes());
    }

    /// The same, and its script has begun.
    pub(crate) fn begin(&self, job: &JobId, spec: &[u8]) {
        self.spool_request(job, spec);
        self.ring();
        wait_for("its script", || self.runs(job) == 1);
    }

    /// octo-exec takes it; its exit status.
    pub(crate) fn take(&self, job: &JobId) -> Option<i32> {
        let output = self.sandbox.tool("octo-exec").args(["take", job.as_str()]).output();
        output.expect("octo-exec").status.code()
    }

    /// Prunes all that is over; what was said of it.
    pub(crate) fn prune_all(&self) -> String {
        let prune = ["prune", "--keep", "0", "--older", "0s"];
        stdout_of(self.sandbox.tool("octo-exec").args(prune))
    }

    /// Rings.
    pub(crate) fn ring(&self) {
        drop(UnixStream::connect(self.places.doorbell()).expect("the doorbell"));
    }

    /// Spools a request, rings and waits for what comes of it.
    pub(crate) fn hand_over(&self, job: &JobId, parts: &Parts) -> End {
        self.spool(job.as_str(), &parts.bytes());
        self.ring();
        self.end_of(job)
    }

    /// Waits for the end of a job, or for the note that it is none.
    pub(crate) fn end_of(&self, job: &JobId) -> End {
        let mut end = None;
        wait_for("an end", || {
            let refused = || self.refused(job.as_str());
            end = self.job(job).end().expect("readable").or_else(refused);
            end.is_some()
        });
        end.expect("waited for")
    }

    /// The note on an entry.
    pub(crate) fn refused(&self, entry: &str) -> Option<End> {
        Refused::read(&self.places, entry).expect("readable").map(|refused| refused.end)
    }

    pub(crate) fn job(&self, job: &JobId) -> JobDirectory {
        JobDirectory::of(&self.places, job)
    }

    /// That this was refused, so and for this reason, and that nothing of it ran.
    pub(crate) fn assert_refused(&self, job: &JobId, end: &End, code: u8, said: &str) {
        let reason = end.reason.as_deref().unwrap_or_default();
        assert!(reason.contains(said), "{reason:?}, not {said:?}");
        assert_eq!((end.kind.word(), end.kind.code()), ("denied", code), "{reason}");
        assert_eq!(self.runs(job), 0, "{reason}");
    }

    /// A text of a shell as the listener's user, at STATE.
    pub(crate) fn as_listener(&self, text: &str) -> Output {
        self.as_user(NOBODY, text)
    }

    /// The same as any user.
    pub(crate) fn as_user(&self, uid: u32, text: &str) -> Output {
        let mut shell = self.become_user(uid);
        shell.args(["sh", "-c", text]).current_dir(&self.places.state).output().expect("setpriv")
    }

    /// What becomes this user; a program and its words are to follow.
    pub(crate) fn become_user(&self, uid: u32) -> Command {
        let mut command = self.by(Command::new("setpriv"));
        command.arg(format!("--reuid={uid}")).arg(format!("--regid={uid}")).arg("--clear-groups");
        command
    }

    /// As the listener, where it has to succeed.
    pub(crate) fn listener_does(&self, text: &str) {
        let output = self.as_listener(text);
        assert!(output.status.success(), "{text}: {output:?}");
    }

    /// Each of these lines fails as the listener.
    pub(crate) fn listener_cannot(&self, lines: &[String]) {
        for line in lines {
            let output = self.as_listener(line);
            assert!(!output.status.success(), "the listener's user could: {line}");
        }
    }
}

impl Drop for Separated {
    fn drop(&mut self) {
        self.stop_serving();
        // A script that waits for a test which failed would wait for ever.
        for job in JobDirectory::all(&self.places).unwrap_or_default() {
            if matches!(job.end(), Ok(None)) {
                let _ = self.sandbox.tool("octo-exec").args(["cancel", job.id().as_str()]).ok();
            }
        }
    }
}
