//! An octopus and a tentacle, what they do under strace(1), and every tree that a power cut
//! meanwhile could leave.

use crate::disk::{Disk, Left};
use crate::replay::Replay;
use crate::support::Sandbox;
use crate::trace::{self, Call, Moment};
use crate::tree::Tree;
use assert_cmd::cargo::cargo_bin;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What each script begins with: `listen` in the mode that it is for, and `push`.
const PRELUDE: &str = r#"
set -eu
tentacle() {
  export OCTO_CONFIG=$PWD/tent/config OCTO_STATE=$PWD/tent/state
  "$@"
}
push() { OCTO_CONFIG=$PWD/push/config OCTO_STATE=$PWD/push/state octo-push -t web1 "$@"; }
pipeline() { OCTO_CONFIG=$PWD/push/config OCTO_STATE=$PWD/push/state "$@"; }
until_there() { until [ -s "$1" ]; do sleep 0.02; done; }
over() { for job; do until_there "tent/state/jobs/$job/end"; done; }
listen() {
  if [ "$MODE" = two ]; then
    tentacle exec octo-exec serve >out/serving 2>>out/log &
    SERVING=$!
    until_there out/serving
    tentacle exec octo-listen -u nobody -l 127.0.0.1:0 >out/address 2>>out/log &
  else
    tentacle exec octo-listen -l 127.0.0.1:0 >out/address 2>>out/log &
  fi
  LISTENING=$!
  until_there out/address
  read -r _ address <out/address
  echo "web1 $address $THUMBPRINT" >out/targets
  chmod 0644 out/targets
  mv out/targets push/config/targets
}
leave() {
  until [ -z "$(ls tent/state/spool)" ]; do sleep 0.02; done
  trap - EXIT
  kill $LISTENING $SERVING
  wait
}
SERVING= LISTENING=
trap 'code=$?; [ -z "$LISTENING" ] || kill $LISTENING $SERVING; exit $code' EXIT
"#;

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One user is both, octo-exec and octo-listen.
    One,
    /// root and nobody.
    Two,
}

/// Both sides, in one sandbox: `push/`, `tent/`, and `out/` for what nobody keeps.
pub(crate) struct Sides {
    pub(crate) sandbox: Sandbox,
    mode: Mode,
    thumbprint: String,
}

/// What was recorded.
pub(crate) struct Recording {
    top: PathBuf,
    before: Option<Disk>,
    pub(crate) calls: Vec<Call>,
    moments: Vec<Moment>,
    /// What was promised by which moment: the words of the call that was told.
    told: Vec<(usize, String)>,
}

/// A tree, and what had been promised when the power was cut.
pub(crate) struct Cut {
    pub(crate) tree: Tree,
    pub(crate) left: Left,
    /// The moment, for who looks for it in the trace.
    pub(crate) at: String,
    /// The words of the calls that were told by then that they are done.
    pub(crate) told: Vec<String>,
    /// What the scripts of jobs had done by then, by the names of their marks.
    pub(crate) marks: BTreeMap<String, usize>,
}

/// So many trees are looked at in the short form.
const SHORT: usize = 100;

/// Looks at each of them, in the short form at some: of each kind as many, from its first to
/// its last.
pub(crate) fn at_each(cuts: Vec<Cut>, look: impl Fn(&Cut) + Sync) {
    let all = cuts.len();
    let most = match std::env::var_os("OCTO_TEST_LONG") {
        Some(_) => all,
        None => SHORT / Left::ALL.len(),
    };
    let mut some: Vec<&Cut> = Vec::new();
    for left in Left::ALL {
        let of_kind: Vec<&Cut> = cuts.iter().filter(|cut| cut.left == left).collect();
        let count = of_kind.len().min(most);
        some.extend((0..count).map(|n| of_kind[n * of_kind.len() / count]));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(cut) = some.get(next.fetch_add(1, Ordering::Relaxed)) {
            look(cut);
        }
    };
    // They wait for processes most of the time.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    crate::support::figures(format_args!("{} of {all} trees", some.len()));
}

impl Sides {
    /// A tentacle that trusts an octopus with these options; `None` where this can't be.
    pub(crate) fn new(test: &str, mode: Mode, options: &str) -> Option<Sides> {
        if !crate::support::can_trace(test) {
            return None;
        }
        if mode == Mode::Two && !crate::support::is_root(test) {
            return None;
        }
        let sandbox = Sandbox::new(cargo_bin!("octo-push"));
        for directory in ["push", "tent", "tent/marks", "out"] {
            std::fs::create_dir(sandbox.path(directory)).expect("mkdir");
        }
        crate::support::set_mode(&sandbox.path("tent/marks"), 0o1777);
        let new = |side: &str| {
            let mut keys = sandbox.tool("octo-keys");
            keys.env("OCTO_CONFIG", sandbox.path(side).join("config"));
            keys.env("OCTO_STATE", sandbox.path(side).join("state"));
            let printed = crate::support::stdout_of(keys.arg("new"));
            let found = printed.split_whitespace().find(|word| word.len() == 64);
            found.expect("a thumbprint").to_string()
        };
        let (octopus, thumbprint) = (new("push"), new("tent"));
        let user = match (mode, rustix::process::geteuid().is_root()) {
            (Mode::Two, _) => "user=daemon",
            (Mode::One, true) => "user=root",
            (Mode::One, false) => "",
        };
        let line = format!("{octopus} octopus allow=any {user} {options}");
        let trusted = sandbox.write("tent/config/trusted", line.trim_end().to_string() + "\n");
        crate::support::set_mode(&trusted, 0o644);
        crate::support::set_mode(&sandbox.path("tent/config"), 0o755);
        Some(Sides { sandbox, mode, thumbprint })
    }

    /// Does it, after the prelude.
    pub(crate) fn record(&self, script: &str) -> Recording {
        let top = self.sandbox.path("");
        let top = top.as_os_str().to_str().expect("UTF-8").trim_end_matches('/');
        let before = Disk::load(Path::new(top));
        let trace = self.sandbox.path("out/trace");
        let programs = self.sandbox.program("octo-push");
        let programs = programs.parent().expect("a directory").display();
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts");
        let mode = if self.mode == Mode::Two { "two" } else { "one" };
        let status = trace::strace(&trace)
            .args(["sh", "-c", &format!("{PRELUDE}{script}\n")])
            .current_dir(top)
            .env_clear()
            .env("PATH", format!("{programs}:{scripts}:{}", crate::support::needs::SYSTEM_PATH))
            .env("HOME", top)
            .env("MODE", mode)
            .env("THUMBPRINT", &self.thumbprint)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .expect("strace");
        let log = std::fs::read_to_string(self.sandbox.path("out/log")).unwrap_or_default();
        assert!(status.success(), "{status}: {log}");
        let calls = trace::read(&trace);
        let moments = trace::moments(&calls);
        let mut recording = Recording {
            top: PathBuf::from(top),
            before: Some(before),
            calls,
            moments,
            told: Vec::new(),
        };
        recording.told = recording.answers();
        recording
    }
}

/// An alert of TLS that says goodbye has this length; nothing else of ours is so short.
const GOODBYE: u64 = 24;

impl Recording {
    /// When was who asked told that it is done? A call of octo-push hears it from the
    /// listener: by what that sent last before octo-push exited, but for goodbyes. What it
    /// stands for must be on the disk when that begins. Other tools say it by their exit.
    fn answers(&self) -> Vec<(usize, String)> {
        let mut replay = Replay::new(Disk::empty());
        let (mut sent, mut answers) = (None, Vec::new());
        for (number, (begins, index)) in self.moments.iter().enumerate() {
            let call = &self.calls[*index];
            if !begins {
                continue;
            }
            replay.begins(*index, call);
            let (program, words) = replay.program(call.thread);
            match (program, call.name.as_str()) {
                ("octo-listen", "writev" | "sendto" | "write")
                    if call.argument(0).contains("<socket:")
                        && call.value().is_some_and(|length| length > GOODBYE) =>
                {
                    sent = Some(number);
                }
                ("octo-push", "exit_group") if call.argument(0) == "0" => {
                    answers.extend(sent.map(|sent| (sent, words.to_string())));
                }
                ("octo-exec" | "octo-keys", "exit_group") if call.argument(0) == "0" => {
                    answers.push((number, words.to_string()));
                }
                _ => {}
            }
        }
        answers
    }

    /// Goes through all moments; each is shown when what begins or ends there has its effect.
    pub(crate) fn walk(&mut self, mut each: impl FnMut(&Replay, usize, bool, &Call)) {
        let mut replay = Replay::new(self.before.take().expect("walked once"));
        for (number, (begins, index)) in self.moments.iter().enumerate() {
            let call = &self.calls[*index];
            match begins {
                true => replay.begins(*index, call),
                false => replay.ends(*index, call),
            }
            each(&replay, number, *begins, call);
        }
        let wrong = replay.disk.differences();
        assert!(wrong.is_empty(), "the recording says otherwise than the disk: {wrong:#?}");
    }

    /// Every tree below this directory that a power cut could leave, each once: with all
    /// that had been promised when it was last possible.
    pub(crate) fn cuts(&mut self, below: &str) -> Vec<Cut> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
        let other = boot.trim().replace(|c: char| c.is_ascii_hexdigit(), "0");
        let told = std::mem::take(&mut self.told);
        let marks_of = self.top.join("tent/marks");
        let mut cuts: HashMap<u64, (usize, Cut)> = HashMap::new();
        let (mut last, mut seen) = (HashMap::new(), None);
        self.walk(|replay, number, begins, call| {
            let told = told.iter().filter(|(at, _)| *at <= number);
            let told: Vec<String> = told.map(|(_, words)| words.clone()).collect();
            let now = Some((replay.disk.changes, told.len()));
            if std::mem::replace(&mut seen, now) == now {
                return;
            }
            let marks = replay.disk.lines(&marks_of);
            let at = format!("{} {}", if begins { "begun:" } else { "over:" }, call.name);
            for left in Left::ALL {
                let mut tree = replay.disk.left(left, below).without("tent/marks");
                // A machine that comes up again has another.
                tree.replace(boot.trim().as_bytes(), other.as_bytes());
                let hash = tree.hash();
                // What changes nothing is nothing new.
                if last.insert(left, (hash, told.len(), marks.clone()))
                    == Some((hash, told.len(), marks.clone()))
                {
                    continue;
                }
                let at = format!("{left:?}, line {} {at} {}", call.lines.0 + 1, call.argument(0));
                let cut = Cut { tree, left, at, told: told.clone(), marks: marks.clone() };
                cuts.insert(hash, (number, cut));
            }
        });
        let mut cuts: Vec<(usize, Cut)> = cuts.into_values().collect();
        cuts.sort_by_key(|(number, cut)| (*number, cut.left));
        cuts.into_iter().map(|(_, cut)| cut).collect()
    }
}
