//! A running octo-listen, and a pusher of plain messages to speak to it.
//!
//! The listener dies with its guard; it is told apart from others by the line
//! `listening ADDRESS:PORT` that it prints.

use crate::support::{PATIENCE, Sandbox};
use assert_cmd::cargo::cargo_bin;
use octo_core::targets::TargetTrust;
use octo_core::tentacle::statement::{Asks, HOLDS_FOR, Statement};
use octo_core::{Digest, Thumbprint};
use octo_wire::{Channel, Connection, Failure, Identity, Message, TlsStream};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// A side of a test: a sandbox with an identity.
pub(crate) struct Side {
    pub(crate) sandbox: Sandbox,
    pub(crate) thumbprint: String,
}

impl Side {
    /// A fresh one; `program` is the binary under test.
    pub(crate) fn new(program: &Path) -> Side {
        let sandbox = Sandbox::new(program);
        let output = sandbox.tool("octo-keys").arg("new").assert().success();
        let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        let thumbprint = text.split_whitespace().find(|word| word.len() == 64);
        let thumbprint = thumbprint.expect("octo-keys new prints a thumbprint").to_string();
        Side { sandbox, thumbprint }
    }

    /// Trusts nobody but these: `(SIDE, "NAME OPTIONS")`.
    pub(crate) fn trust(&self, pushers: &[(&Side, &str)]) {
        let lines = pushers.iter().map(|(side, rest)| format!("{} {rest}\n", side.thumbprint));
        // By rename: the listener may read it at any moment.
        let staged = self.sandbox.write("config/trusted.new", lines.collect::<String>());
        crate::support::set_mode(&staged, 0o644);
        std::fs::rename(staged, self.sandbox.config("trusted")).expect("rename");
    }

    /// A tool of ours as a command of std's.
    pub(crate) fn command(&self, tool: &str) -> Command {
        self.of_std(&self.sandbox.tool(tool))
    }

    /// The same as another user; only for root.
    pub(crate) fn command_as(&self, uid: u32, tool: &str) -> Command {
        self.of_std(&self.sandbox.tool_as(uid, tool))
    }

    fn of_std(&self, ours: &assert_cmd::Command) -> Command {
        let mut command = Command::new(ours.get_program());
        command.args(ours.get_args()).env_clear();
        for (name, value) in ours.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.current_dir(self.sandbox.path("")).stdin(Stdio::null());
        command
    }
}

/// A tentacle that is to be started, and a pusher `ci` whom it trusts.
pub(crate) fn sides() -> (Side, Side) {
    let side = || Side::new(cargo_bin!("octo-listen"));
    let (here, ci) = (side(), side());
    here.trust(&[(&ci, &format!("ci {}", own_user()))]);
    (here, ci)
}

/// The user= that a line needs for its jobs to run: root's must be named.
pub(crate) fn own_user() -> &'static str {
    if rustix::process::geteuid().is_root() { "user=root" } else { "" }
}

/// A running octo-listen.
pub(crate) struct Tentacle {
    pub(crate) child: Child,
    /// Where it listens, as it printed it.
    pub(crate) addresses: Vec<String>,
    thumbprint: Thumbprint,
    lines: Mutex<Receiver<String>>,
    seen: Vec<String>,
}

impl Tentacle {
    /// Starts one for this side, and waits until it listens.
    pub(crate) fn start(side: &Side) -> Tentacle {
        Tentacle::with(side, side.command("octo-listen").args(["-v", "-l", "127.0.0.1:0"]), 1)
    }

    /// As [`Tentacle::start`], but it can have no more than so many descriptors.
    pub(crate) fn with_descriptors(side: &Side, most: u32) -> Tentacle {
        let listen = side.command("octo-listen");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {most} && exec \"$0\" -v -l 127.0.0.1:0")]);
        command.arg(listen.get_program()).env_clear();
        command.envs(listen.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Tentacle::with(side, command.stdin(Stdio::null()), 1)
    }

    /// Starts this command, and waits until it listens on so many sockets.
    pub(crate) fn with(side: &Side, command: &mut Command, sockets: usize) -> Tentacle {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("octo-listen starts");
        let lines = lines_of(child.stderr.take().expect("standard error"));
        let mut out = BufReader::new(child.stdout.take().expect("standard output"));
        let mut addresses = Vec::new();
        while addresses.len() < sockets {
            let mut line = String::new();
            out.read_line(&mut line).expect("a line");
            match line.trim_end().strip_prefix("listening ") {
                Some(address) => addresses.push(address.to_string()),
                None => {
                    let status = child.wait().expect("wait");
                    let said: Vec<String> = lines.iter().collect();
                    panic!("not listening: {line:?} {status} {said:?}");
                }
            }
        }
        let thumbprint = Thumbprint::parse(&side.thumbprint).expect("a thumbprint");
        Tentacle { child, addresses, thumbprint, lines: Mutex::new(lines), seen: Vec::new() }
    }

    /// Where it listens first.
    pub(crate) fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// Waits for a line of its log that has this in it, now or before.
    pub(crate) fn says(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut next = 0;
        loop {
            if let Some(line) = self.seen[next..].iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            next = self.seen.len();
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.get_mut().expect("not poisoned").recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("{text:?} is not in {:#?}", self.seen),
            }
        }
    }

    /// All that it has said so far.
    pub(crate) fn log(&mut self) -> String {
        let lines = self.lines.get_mut().expect("not poisoned");
        self.seen.extend(lines.try_iter());
        self.seen.join("\n")
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("kill");
    }

    /// kill -9, and waits for its end.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.child.wait().expect("wait")
    }

    /// Connects as this side.
    pub(crate) fn connect(&self, side: &Side) -> Result<Pusher, Failure> {
        self.connect_at(self.address(), side)
    }

    /// As [`Tentacle::connect`], through another address, a proxy's.
    pub(crate) fn connect_at(&self, address: &str, side: &Side) -> Result<Pusher, Failure> {
        let identity = Identity::load(&side.sandbox.config("identity.pem")).expect("identity");
        let stream = TcpStream::connect(address)?;
        let mut channel = Channel::tcp(stream)?;
        channel.set_idle(Some(PATIENCE));
        let trust = TargetTrust::Thumbprints(vec![self.thumbprint]);
        let session = TlsStream::connect(&identity, channel, &trust, "tentacle")?;
        let connection = Connection::new(session);
        Ok(Pusher { connection, identity, tentacle: self.thumbprint })
    }
}

impl Drop for Tentacle {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One connection of a pusher.
pub(crate) struct Pusher {
    pub(crate) connection: Connection<TlsStream>,
    pub(crate) identity: Identity,
    pub(crate) tentacle: Thumbprint,
}

impl Pusher {
    /// Asks; the reply, ticks passed over.
    pub(crate) fn ask(&mut self, request: &str, body: &[u8]) -> Result<Message, Failure> {
        let request = Message::parse(request.as_bytes()).expect("a message");
        // Not send(): tests announce bodies that never come.
        self.connection.send_line(&request)?;
        self.connection.send_bytes(body)?;
        self.reply()
    }

    /// Asks and expects a yes.
    pub(crate) fn yes(&mut self, request: &str, body: &[u8]) -> Message {
        let reply = self.ask(request, body).expect("a reply");
        assert_eq!(reply.word(), "ok", "{request}: {reply:?}");
        reply
    }

    /// Asks and expects a no: its code.
    pub(crate) fn no(&mut self, request: &str, body: &[u8]) -> String {
        let reply = self.ask(request, body).expect("a reply");
        assert_eq!(reply.word(), "no", "{request}: {reply:?}");
        reply.text("code").expect("a code").to_string()
    }

    /// The next message that is no tick, and proves no end: tests/push/sealed.rs looks at that.
    pub(crate) fn reply(&mut self) -> Result<Message, Failure> {
        loop {
            match self.connection.read_message()? {
                Some(message) if message.word() == "tick" => {}
                Some(message) if message.word() == "seal" => drop(self.body(&message)),
                Some(message) => return Ok(message),
                None => return Err(Failure::Truncated),
            }
        }
    }

    /// The body of a reply.
    pub(crate) fn body(&mut self, message: &Message) -> Vec<u8> {
        let length = message.body().expect("a length");
        self.connection.read_body(length, 1 << 30).expect("a body")
    }

    /// The lines of a list.
    pub(crate) fn list(&mut self, request: &str) -> Vec<Message> {
        let reply = self.yes(request, b"");
        let body = self.body(&reply);
        let lines = body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| Message::parse(line).expect("a line of a list")).collect()
    }

    /// Sends these bytes of a part that is as it is and so long.
    pub(crate) fn send_part(&mut self, length: usize, bytes: &[u8]) -> Result<(), Failure> {
        let part = Message::new("part").with("size", length).with("body", length);
        self.connection.send_line(&part)?;
        self.connection.send_bytes(bytes)
    }

    /// Puts bytes; the final reply.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Message {
        let digest = Digest::of(bytes);
        let request = format!("put sha256={digest} size={} name=package", bytes.len());
        let reply = self.yes(&request, b"");
        match reply.number("offset").expect("a number") {
            None => reply,
            Some(offset) => {
                let rest = &bytes[usize::try_from(offset).expect("an offset")..];
                self.send_part(rest.len(), rest).expect("sent");
                self.reply().expect("a reply")
            }
        }
    }

    /// Runs a text as `sh -c` under this id.
    pub(crate) fn run(&mut self, job: &str, text: &str) -> Message {
        self.try_run(job, text).expect("a reply")
    }

    /// As [`Pusher::run`], where there may be no reply.
    pub(crate) fn try_run(&mut self, job: &str, text: &str) -> Result<Message, Failure> {
        let text = octo_core::base::encoding::encode(text.as_bytes());
        let (request, body) = self.request(job, &format!("command {text}\n"), b"", b"");
        self.ask(&request, &body)
    }

    /// Asks for a job's end.
    pub(crate) fn cancel(&mut self, job: &str) -> Message {
        let (keys, body) = self.signed(&self.statement(job, Asks::Cancel));
        self.yes(&format!("cancel job={job} {keys} body={}", body.len()), &body)
    }

    /// The line and the body that ask for a job of this spec, signed.
    pub(crate) fn request(
        &self,
        job: &str,
        spec: &str,
        script: &[u8],
        secrets: &[u8],
    ) -> (String, Vec<u8>) {
        let asks = Asks::Request(Digest::of(spec.as_bytes()));
        self.request_by(&self.statement(job, asks), job, spec, [script, secrets])
    }

    /// The same with this statement, which may be about anything.
    pub(crate) fn request_by(
        &self,
        statement: &Statement,
        job: &str,
        spec: &str,
        [script, secrets]: [&[u8]; 2],
    ) -> (String, Vec<u8>) {
        let (keys, signed) = self.signed(statement);
        let body = [&signed, spec.as_bytes(), script, secrets].concat();
        let (spec, script, length) = (spec.len(), script.len(), body.len());
        let line = format!("run job={job} {keys} spec={spec} script={script} body={length}");
        (line, body)
    }

    /// A statement of this pusher's for this tentacle, which holds for an hour.
    pub(crate) fn statement(&self, job: &str, asks: Asks) -> Statement {
        let at = jiff::Timestamp::now().round(jiff::Unit::Second).expect("a second");
        Statement {
            asks,
            job: octo_core::JobId::parse(job).expect("a job id"),
            tentacle: self.tentacle,
            pusher: self.identity.thumbprint(),
            by: "test@here".into(),
            at,
            until: at + HOLDS_FOR,
        }
    }

    /// The keys and the bytes of a signed statement.
    pub(crate) fn signed(&self, statement: &Statement) -> (String, Vec<u8>) {
        let bytes = statement.encode();
        let signature = self.identity.sign(&bytes).expect("signed");
        let keys = format!("request={} signature={}", bytes.len(), signature.len());
        (keys, [bytes, signature].concat())
    }

    /// Follows a job to its end.
    pub(crate) fn follow(&mut self, job: &str) -> Followed {
        self.yes(&format!("follow job={job}"), b"");
        let mut followed = Followed::default();
        loop {
            let message = self.reply().expect("a message of the stream");
            match message.word() {
                "out" => followed.out.extend(self.body(&message)),
                "err" => followed.err.extend(self.body(&message)),
                "state" => followed.states.push(message.text("is").expect("is").to_string()),
                "outputs" => followed.outputs = self.body(&message),
                "end" => {
                    followed.kind = message.text("kind").expect("kind").to_string();
                    followed.code = message.number("code").expect("code").expect("code");
                    followed.reason = message.text("reason").unwrap_or_default().to_string();
                    return followed;
                }
                other => panic!("{other}: {message:?}"),
            }
        }
    }
}

/// What a follower got.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
    pub(crate) outputs: Vec<u8>,
    pub(crate) states: Vec<String>,
    pub(crate) kind: String,
    pub(crate) code: u64,
    pub(crate) reason: String,
}

/// A job id of its own for each call.
pub(crate) fn job_id() -> String {
    octo_core::JobId::generate().expect("random bytes").to_string()
}

fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
