//! octo-listen where the machine fails under a put: a disk that is full or broken
//! at each call, a kill at each call. What is in the store is whole, what was
//! acknowledged is there, and the next try succeeds.

use crate::listener::{Pusher, Side, job_id, sides};
use crate::support::PATIENCE;
use octo_core::targets::TargetTrust;
use octo_core::{Digest, Thumbprint};
use octo_wire::{Channel, Connection, Failure, Identity, Message, TlsStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Two whole buffers and a part of a block.
const LENGTH: usize = 2 * 256 * 1024 + 1234;

struct Scene {
    here: Side,
    ci: Side,
    package: Vec<u8>,
}

fn scene(test: &str) -> Option<Scene> {
    if !crate::support::can_trace(test) {
        return None;
    }
    let (here, ci) = sides();
    // Its directories are there: what is counted are the calls of a put.
    here.command("octo-listen").arg("--stdio").output().expect("runs");
    let package = (0..LENGTH).map(|i| (i * 31 + i / 256) as u8).collect();
    Some(Scene { here, ci, package })
}

impl Scene {
    fn digest(&self) -> Digest {
        Digest::of(&self.package)
    }

    fn object(&self) -> PathBuf {
        self.here.sandbox.state("packages").join(self.digest().to_string())
    }

    fn partial(&self) -> PathBuf {
        self.here.sandbox.state("packages/incoming").join(format!("{}.ci", self.digest()))
    }

    /// A put to a listener for one connection, this injected into its calls (on
    /// this file); and was it?
    fn put(&self, fault: Option<(&str, Option<PathBuf>)>) -> (Result<Message, Failure>, bool) {
        self.over(fault, |pusher| self.send(pusher))
    }

    fn over(
        &self,
        fault: Option<(&str, Option<PathBuf>)>,
        ask: impl FnOnce(&mut Pusher) -> Result<Message, Failure>,
    ) -> (Result<Message, Failure>, bool) {
        let log = self.here.sandbox.path("strace");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(&log);
        match fault {
            Some((inject, on)) => {
                let call = inject.split(':').next().expect("a call");
                command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={inject}")]);
                command.args(on.iter().flat_map(|path| ["-P".as_ref(), path.as_os_str()]));
            }
            None => {
                command.args(["-e", "trace=none"]);
            }
        }
        let listen = self.here.command("octo-listen");
        command.arg(listen.get_program()).arg("--stdio").env_clear();
        command.envs(listen.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let (ours, theirs) = UnixStream::pair().expect("pair");
        let output = theirs.try_clone().expect("clone");
        command.stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(output)).stderr(Stdio::null());
        let mut child = command.spawn().expect("strace starts");
        drop(command);
        let reply = self.connect(ours).and_then(|mut pusher| ask(&mut pusher));
        child.wait().expect("wait");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        (reply, log.contains("(INJECTED)") || log.contains("killed by SIGKILL"))
    }

    fn connect(&self, stream: UnixStream) -> Result<Pusher, Failure> {
        let identity = Identity::load(&self.ci.sandbox.config("identity.pem")).expect("identity");
        let mut channel = Channel::new(stream.into(), None)?;
        channel.set_idle(Some(PATIENCE));
        let known = Thumbprint::parse(&self.here.thumbprint).expect("a thumbprint");
        let trust = TargetTrust::Thumbprints(vec![known]);
        let session = TlsStream::connect(&identity, channel, &trust, "tentacle")?;
        Ok(Pusher { connection: Connection::new(session), identity, tentacle: known })
    }

    fn send(&self, pusher: &mut Pusher) -> Result<Message, Failure> {
        let request = format!("put sha256={} size={LENGTH} name=p", self.digest());
        let reply = pusher.ask(&request, b"")?;
        let Some(offset) = reply.number("offset")? else { return Ok(reply) };
        let rest = &self.package[usize::try_from(offset).expect("an offset")..];
        // The refusal may come in the midst of it.
        match pusher.send_part(rest.len(), rest) {
            Ok(()) | Err(Failure::Truncated) => pusher.reply(),
            Err(failure) => Err(failure),
        }
    }

    /// Whatever happened, nothing half is visible, and the next try succeeds.
    fn recovers(&self, fault: &str, reply: &Result<Message, Failure>) {
        if self.object().exists() {
            assert_eq!(Digest::of(&std::fs::read(self.object()).expect("read")), self.digest());
        } else {
            let said = reply.as_ref().map(Message::word);
            assert!(!matches!(said, Ok("ok")), "{fault}: acknowledged and gone");
        }
        let (reply, _) = self.put(None);
        assert_eq!(reply.expect("a reply").word(), "ok", "{fault}");
        assert_eq!(std::fs::read(self.object()).expect("the object"), self.package, "{fault}");
        assert!(!self.partial().exists(), "{fault}");
        // The directories stay: to make them takes calls that are none of a put's.
        for entry in std::fs::read_dir(self.here.sandbox.state("packages")).expect("read") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                std::fs::remove_file(path).expect("remove");
            }
        }
    }

    /// Injects at the first, second, … call of each thread, until there are no more.
    fn at_each(
        &self,
        fault: &str,
        on: Option<PathBuf>,
        mut check: impl FnMut(&str, &Result<Message, Failure>),
    ) -> usize {
        for when in 1.. {
            let fault = format!("{fault}:when={when}");
            let (reply, injected) = self.put(Some((&fault, on.clone())));
            if injected {
                check(&fault, &reply);
            }
            self.recovers(&fault, &reply);
            if !injected {
                return when - 1;
            }
        }
        unreachable!("the loop returns")
    }
}

#[test]
fn a_disk_that_fails_at_any_call_is_told_and_harms_nothing() {
    let Some(scene) = scene("a_disk_that_fails_at_any_call_is_told_and_harms_nothing") else {
        return;
    };
    let partial = Some(scene.partial());
    for (fault, on, code, least) in [
        ("pwrite64:error=ENOSPC", partial.clone(), "full", 3),
        ("pwrite64:error=EDQUOT", partial.clone(), "full", 3),
        ("pwrite64:error=EIO", partial.clone(), "io", 3),
        ("fallocate:error=ENOSPC", partial.clone(), "full", 1),
        ("fallocate:error=EDQUOT", partial, "full", 1),
        // The object, its names, the directory twice.
        ("fsync:error=EIO", None, "io", 4),
        ("rename:error=EIO", None, "io", 1),
    ] {
        let count = scene.at_each(fault, on, |fault, reply| match reply {
            Ok(reply) => {
                assert_eq!((reply.word(), reply.text("code")), ("no", Some(code)), "{fault}");
                // What an fsync that failed has dropped must not be believed by the next try.
                let kept = fault.starts_with("pwrite64") && scene.partial().exists();
                assert!(kept || !scene.partial().exists(), "{fault}");
                assert!(
                    reply.text("reason").is_some_and(|r| r.contains("can't") || r.contains(": "))
                );
            }
            Err(failure) => panic!("{fault}: {failure}"),
        });
        assert!(count >= least, "{fault}: {count} calls");
    }
}

#[test]
fn killed_at_any_call_it_leaves_nothing_half() {
    let Some(scene) = scene("killed_at_any_call_it_leaves_nothing_half") else { return };
    for (call, least) in [
        ("flock", 3),
        ("fallocate", 1),
        ("pwrite64", 3),
        ("fchmod", 2),
        ("fsync", 4),
        ("rename", 1),
    ] {
        let count = scene.at_each(&format!("{call}:signal=KILL"), None, |fault, reply| {
            assert!(reply.is_err(), "{fault}: {reply:?}");
        });
        assert!(count >= least, "{call}: {count} calls");
    }
}

/// Killed between the rename and the fsync of the directory, an object has a name
/// that a power cut takes back: `ok` for what is there must mean durable, too.
#[test]
fn what_is_there_is_durable_before_it_is_called_so() {
    let Some(scene) = scene("what_is_there_is_durable_before_it_is_called_so") else { return };
    let (reply, _) = scene.put(None);
    assert_eq!(reply.expect("a reply").word(), "ok");
    let fault = Some(("fsync:error=EIO:when=1", None));
    let (reply, injected) = scene.put(fault.clone());
    assert!(injected);
    assert_eq!(reply.expect("a reply").text("code"), Some("io"));

    let id = job_id();
    let run = |pusher: &mut Pusher| Ok(pusher.run(&id, "true"));
    assert_eq!(scene.over(None, run).0.expect("a reply").word(), "ok");
    let (reply, injected) = scene.over(fault, run);
    assert!(injected);
    assert_eq!(reply.expect("a reply").text("code"), Some("io"));
}
