//! `--before` and `--after`: a command around a batch, as for a load balancer.
//!
//! It is in a process group of its own, so that Ctrl-C reaches it by us alone: one that
//! brings targets back must not die of the signal that ended their batch.

use crate::cli::argv;
use octo_core::base::error::describe;
use octo_core::base::units::human_duration;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// A command may take so long.
const LONGEST: Duration = Duration::from_secs(600);
/// From TERM to KILL.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether it is over.
const LOOK: Duration = Duration::from_millis(20);
/// How often one is begun that a signal ends which was not meant for it.
const TRIES: u32 = 5;
/// The kernel takes no variable that is longer: Linux' MAX_ARG_STRLEN, less name and NUL.
const LONGEST_VARIABLE: usize = 128 * 1024 - 16;

/// What is waited with between two looks: for so long at most. It says whether the command
/// is to be ended.
pub(crate) type Waits<'a> = &'a mut dyn FnMut(Duration) -> bool;

/// A command with its batch.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    option: &'static str,
    words: Vec<String>,
    names: Vec<String>,
    longest: Duration,
}

/// How a command went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Went {
    /// Was it started at all?
    pub(crate) began: bool,
    /// Why the rollout has to stop.
    pub(crate) objection: Option<String>,
    /// It died of one of the signals that people send to all of a terminal.
    interrupted: bool,
}

impl Went {
    fn not_begun(objection: Option<String>) -> Went {
        Went { began: false, objection, interrupted: false }
    }
}

impl Hook {
    /// `--before` of this batch.
    pub(crate) fn before(words: &[String], names: &[&str]) -> Hook {
        Hook::of("--before", words, names)
    }

    /// `--after` of this batch.
    pub(crate) fn after(words: &[String], names: &[&str]) -> Hook {
        Hook::of("--after", words, names)
    }

    fn of(option: &'static str, words: &[String], names: &[&str]) -> Hook {
        let names = names.iter().map(ToString::to_string).collect();
        Hook { option, words: words.to_vec(), names, longest: LONGEST }
    }

    /// Runs it; `states` are those of the names, in their order.
    pub(crate) fn run(&self, states: &[&str], waits: Waits<'_>) -> Went {
        let Some((program, arguments)) = self.words.split_first() else {
            return Went::not_begun(None);
        };
        let shown = format!("{} {}", self.option, argv::quote(program));
        let mut child = match self.start(program, arguments, states) {
            Ok(child) => child,
            Err(error) => {
                return Went::not_begun(Some(format!(
                    "{shown} can't be run: {}",
                    describe(&error)
                )));
            }
        };
        let (reason, interrupted) = match self.wait(&mut child, waits) {
            Ok(status) => (failure(status), matches!(status.signal(), Some(1 | 2 | 15))),
            Err(reason) => (Some(reason), false),
        };
        let objection = reason.map(|reason| format!("{shown} {reason}"));
        Went { began: true, objection, interrupted }
    }

    /// What it prints goes to standard error: standard output is the jobs'.
    fn start(&self, program: &str, arguments: &[String], states: &[&str]) -> io::Result<Child> {
        let output = rustix::io::dup(io::stderr())?;
        let states = self.names.iter().zip(states);
        let batch: String = states.map(|(name, state)| format!("{name} {state}\n")).collect();
        let mut command = Command::new(program);
        command.args(arguments).args(&self.names).env_remove("OCTO_BATCH");
        if batch.len() <= LONGEST_VARIABLE {
            command.env("OCTO_BATCH", batch);
        }
        command.stdin(Stdio::null()).stdout(Stdio::from(output)).process_group(0);
        command.spawn()
    }

    /// Its own end, or why it was given another.
    fn wait(&self, child: &mut Child, waits: Waits<'_>) -> Result<ExitStatus, String> {
        let until = Instant::now() + self.longest;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(error) => return Err(format!("can't be waited for: {}", describe(&error))),
            }
            if is_stopped(child) {
                end(child, waits);
                return Err("was stopped: it can't ask anything of a terminal".into());
            }
            let is_over = Instant::now() >= until;
            if is_over || waits(LOOK) {
                end(child, waits);
                let longest = human_duration(self.longest);
                return Err(match is_over {
                    true => format!("was ended: it took longer than {longest}"),
                    false => "was ended".into(),
                });
            }
        }
    }
}

fn failure(status: ExitStatus) -> Option<String> {
    match status.code() {
        Some(0) => None,
        Some(code) => Some(format!("failed: exit {code}")),
        None => Some(format!("failed: died of signal {}", status.signal().unwrap_or_default())),
    }
}

/// Who reads from a terminal without being its foreground group is stopped, and would wait
/// to its last minute.
fn is_stopped(child: &Child) -> bool {
    let asked = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(Pid::from_child(child)), asked), Ok(Some(_)))
}

/// TERM, and after a grace KILL, to it and what it has started. It is signalled only while
/// it wasn't waited for: until then its number is nobody else's.
fn end(child: &mut Child, waits: Waits<'_>) {
    let group = Pid::from_child(child);
    for signal in [Signal::TERM, Signal::CONT] {
        let _ = kill_process_group(group, signal);
    }
    let until = Instant::now() + GRACE;
    while Instant::now() < until {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        waits(LOOK);
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

/// What has to be done before octo-push leaves, by whichever thread ends it.
#[derive(Debug, Default)]
pub(crate) struct Departure {
    /// `--after` of the batch that is under way, or of which `--before` is.
    after: Mutex<Option<Hook>>,
    /// The main thread got to its end.
    gone: AtomicBool,
}

impl Departure {
    /// From now on this is to be done.
    pub(crate) fn owes(&self, hook: Hook) {
        *self.after.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// There is nothing to bring back.
    pub(crate) fn owes_nothing(&self) {
        *self.after.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Does it, once: who comes second waits until it is done. Until a command is in its
    /// own group, which takes it a moment, the signals of ours are its own: one that dies
    /// of them is begun again.
    pub(crate) fn settle(&self, states: &[&str], waits: Waits<'_>) -> Option<String> {
        let mut after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        let hook = after.take()?;
        let mut went = hook.run(states, waits);
        for _ in 1..TRIES {
            if !went.interrupted {
                break;
            }
            went = hook.run(states, waits);
        }
        went.objection
    }

    /// The main thread ends the process itself.
    pub(crate) fn is_over(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Waits for the main thread, then does in its place what is still owed; false where
    /// it ends the process itself.
    pub(crate) fn in_its_place(&self, patience: Duration) -> bool {
        let sleep = |time| std::thread::sleep(time);
        sleep(patience);
        if matches!(self.after.try_lock(), Err(TryLockError::WouldBlock)) {
            // It is at work on that, and no more stuck than its command.
            drop(self.after.lock());
            sleep(patience);
        }
        if self.gone.load(Ordering::Relaxed) {
            return false;
        }
        // How the targets stand is known to the main thread alone.
        let mut waits = |time| {
            sleep(time);
            false
        };
        let after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        let count = after.as_ref().map_or(0, |hook| hook.names.len());
        drop(after);
        self.settle(&vec!["unknown"; count], &mut waits);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(script: &str) -> Hook {
        let words = ["sh", "-c", script, "sh"].map(String::from);
        Hook { longest: Duration::from_secs(1), ..Hook::before(&words, &["a", "b"]) }
    }

    fn sleeps(time: Duration) -> bool {
        std::thread::sleep(time);
        false
    }

    #[test]
    fn what_a_command_says_by_its_end() {
        for (script, said) in [
            ("test \"$*\" = 'a b' && test \"$OCTO_BATCH\" = 'a ahead\nb ahead\n'", None),
            ("exit 3", Some("--before sh failed: exit 3")),
            ("kill -9 $$", Some("--before sh failed: died of signal 9")),
            ("kill -STOP $$", Some("--before sh was stopped: it can't ask anything of a terminal")),
        ] {
            let whole = Hook { longest: LONGEST, ..hook(script) };
            let went = whole.run(&["ahead"; 2], &mut sleeps);
            assert_eq!((went.began, went.objection.as_deref()), (true, said));
        }
        let missing = Hook::after(&["/nonexistent/x".to_string()], &[]);
        let went = missing.run(&[], &mut sleeps);
        let said = "--after /nonexistent/x can't be run: no such file or directory";
        assert_eq!(went, Went::not_begun(Some(said.into())));
    }

    /// What it has started ends with it.
    #[test]
    fn one_that_takes_too_long_or_is_not_wanted_any_more_is_ended() {
        let long = hook("sleep 300 & wait");
        let went = long.run(&["ahead"; 2], &mut sleeps);
        assert!(!went.interrupted);
        assert_eq!(
            went.objection.as_deref(),
            Some("--before sh was ended: it took longer than 1s")
        );
        let unwanted = Hook { longest: LONGEST, ..long };
        let went = unwanted.run(&["ahead"; 2], &mut |_| true);
        assert_eq!(went.objection.as_deref(), Some("--before sh was ended"));
    }

    #[test]
    fn a_signal_that_was_not_meant_for_it_is_no_end_of_what_is_owed() {
        let directory = tempfile::tempdir().expect("tempdir");
        let count = directory.path().join("count");
        let departure = Departure::default();
        for (signal, times, said) in [
            ("INT", 2, None),
            ("TERM", 4, None),
            ("KILL", 0, Some("--after sh failed: died of signal 9")),
            ("HUP", 4, Some("--after sh failed: died of signal 1")),
        ] {
            let lives = if said.is_none() { times } else { 9 };
            let script = format!("echo x >>$0; test $(wc -l <$0) -gt {lives} || kill -{signal} $$");
            let words = ["sh", "-c", &script, &count.display().to_string()].map(String::from);
            departure.owes(Hook::after(&words, &["a"]));
            assert_eq!(departure.settle(&["unknown"], &mut sleeps).as_deref(), said, "{signal}");
            let begun = std::fs::read_to_string(&count).expect("begun").lines().count();
            assert_eq!(begun, times + 1, "{signal}");
            std::fs::remove_file(&count).expect("remove");
        }
    }

    #[test]
    fn what_is_owed_is_done_once() {
        let directory = tempfile::tempdir().expect("tempdir");
        let made = directory.path().join("made");
        let departure = Departure::default();
        let words = ["sh", "-c", "echo \"$OCTO_BATCH\" >>$0"].map(String::from);
        let words = [&words[..], &[made.display().to_string()]].concat();
        departure.owes(Hook::after(&words, &["a"]));
        assert!(departure.in_its_place(Duration::ZERO));
        assert_eq!(departure.settle(&["done"], &mut sleeps), None);
        assert_eq!(std::fs::read(&made).expect("made"), b"a unknown\n\n");
        departure.owes(Hook::after(&words, &["a"]));
        departure.is_over();
        assert!(!departure.in_its_place(Duration::ZERO));
    }
}
