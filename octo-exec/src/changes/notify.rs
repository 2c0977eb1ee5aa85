//! `notify=` of CONFIG/octo-exec: a program of the operator's is told that a job waits for
//! approval, once a hold. What comes of it changes nothing: a failure is a line in our log.

use super::hold_of;
use octo_core::base::argv;
use octo_core::base::cli::{Tool, utc, utc_now};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::publish;
use octo_core::base::record::Record;
use octo_core::base::service::journal::Priority;
use octo_core::base::users::PATH;
use octo_core::tentacle::approval::EXPIRES_AFTER;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::layout;
use octo_core::tentacle::settings::Settings;
use octo_core::{Digest, JobId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, PipeReader, Write as _};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// The mark in a job's directory that its hold was told of.
const NOTIFIED: &str = "notified";
/// So many programs run at once.
const AT_ONCE: usize = 4;
/// So long one may take; then it is killed with its process group.
const PATIENCE: Duration = Duration::from_secs(30);
/// One that prints more is killed, too.
const MOST_PRINTED: usize = 1 << 20;
/// So much of what it prints is logged, in bytes.
const LONGEST_LOGGED: usize = 300;
/// So much of a value is told, in characters.
const LONGEST_VALUE: usize = 300;

/// Tells of a held job, if that is set and it wasn't told of.
pub(super) fn notify(tool: &Tool, places: &Places, job: &JobDirectory) {
    let told = Settings::load(places).and_then(|settings| match &settings.notify {
        Some(words) => settings.check().and_then(|()| tell(places, job, words)),
        None => Ok(None),
    });
    match told {
        Ok(None) => {}
        Ok(Some(why)) => {
            tool.say_at(Priority::Warning, format!("job {}: notify=: {why}", job.id()));
        }
        Err(error) => tool.report(&error),
    }
}

/// What went wrong with the program, if anything did.
fn tell(places: &Places, job: &JobDirectory, words: &[String]) -> Result<Option<String>> {
    let text = text(job)?;
    // Before it runs: who is killed in between must not tell of it again and again.
    if !mark(places, job)? {
        return Ok(None);
    }
    let _turn = turn(places, job)?;
    Ok(run(job.id(), words, &text, PATIENCE).unwrap_or_else(|error| Some(describe(&error))))
}

/// Marks that this hold is told of, unless it was. A mark of a former hold, which one who was
/// late has made, is no mark of this one.
fn mark(places: &Places, job: &JobDirectory) -> Result<bool> {
    let _lock = layout::lock(places, NOTIFIED)?;
    let Some(held) = hold_of(job)? else { return Ok(false) };
    let told = job.record(NOTIFIED)?;
    if told.is_some_and(|mark| mark.first("held").and_then(Digest::parse) == Some(held)) {
        return Ok(false);
    }
    let mark = Record::new().with("at", utc_now()).with("held", held).encode();
    let Ok(readers) = job.readers() else { return Ok(false) };
    publish::replace(&job.file(NOTIFIED), mark.as_bytes(), readers).map(|()| true)
}

/// One of a few places; where all are taken, that of this job is waited for.
fn turn(places: &Places, job: &JobDirectory) -> Result<File> {
    let name = |place: usize| format!("notify.{place}");
    for place in 0..AT_ONCE {
        let file = layout::lock_file(places, &name(place))?;
        if file.try_lock().is_ok() {
            return Ok(file);
        }
    }
    let sum: usize = job.id().as_str().bytes().map(usize::from).sum();
    layout::lock(places, &name(sum % AT_ONCE))
}

fn text(job: &JobDirectory) -> Result<String> {
    let (origin, (spec, _)) = (job.origin()?, job.spec()?);
    let held = job.record("held")?.unwrap_or_default();
    let pusher = origin.pusher.map_or_else(|| "local".into(), |pusher| pusher.name.to_string());
    let since = held.first("since").and_then(|since| since.parse::<jiff::Timestamp>().ok());
    let until = since.and_then(|since| since.checked_add(EXPIRES_AFTER).ok());
    let package = spec.package.as_ref().map(|(digest, name)| format!("{digest} {name}"));
    let arguments = spec.arguments.iter().map(|word| String::from_utf8_lossy(word).into_owned());
    let arguments: Vec<String> = arguments.collect();
    let arguments = argv::join(arguments.iter().map(String::as_str));
    let mut text = String::new();
    for (key, value) in [
        ("job", Some(job.id().to_string())),
        ("pusher", Some(pusher)),
        ("by", Some(origin.by)),
        ("runs", Some(spec.summary())),
        ("arguments", Some(arguments).filter(|arguments| !arguments.is_empty())),
        ("package", package),
        ("expires", until.map(utc)),
        ("look", Some(format!("octo-exec show {0} here, or octo-push -a show {0}", job.id()))),
    ] {
        if let Some(value) = value {
            let value: String = printable(value.as_bytes()).chars().take(LONGEST_VALUE).collect();
            let _ = writeln!(text, "{key} {value}");
        }
    }
    Ok(text)
}

/// What went wrong; it is over when this returns, or is left in the background by itself.
fn run(
    job: &JobId,
    words: &[String],
    text: &str,
    patience: Duration,
) -> io::Result<Option<String>> {
    let Some((program, arguments)) = words.split_first() else { return Ok(None) };
    let (output, writer) = io::pipe()?;
    let (input, mut told) = io::pipe()?;
    let mut command = Command::new(program);
    command.args(arguments).arg(job.as_str()).env_clear().env("PATH", PATH);
    command.env("OCTO_JOB", job.as_str()).current_dir("/").process_group(0);
    command.stdin(input).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // Ours are closed: the output ends with those that have it.
    drop(command);
    // A pipe holds far more, so that nobody has to read it.
    let _ = told.write_all(text.as_bytes());
    drop(told);
    let mut printed = Vec::new();
    let ended = watch(&mut child, &output, &mut printed, patience);
    if !matches!(ended, Ok(Ok(_))) {
        if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
    }
    let first = printed.split(|byte| *byte == b'\n').find(|line| !line.is_empty());
    let first = first.unwrap_or_default();
    let said = printable(&first[..first.len().min(LONGEST_LOGGED)]);
    let said = if said.is_empty() { said } else { format!(": {said}") };
    Ok(match ended? {
        Ok(status) if status.success() && said.is_empty() => None,
        Ok(status) if status.success() => Some(format!("it printed{said}")),
        Ok(status) => Some(format!("{status}{said}")),
        Err(why) => Some(format!("{why}{said}")),
    })
}

/// How it ended, with what it printed by then; the inner error is why it is to be killed.
/// What it leaves in the background is not waited for.
fn watch(
    child: &mut Child,
    output: &PipeReader,
    printed: &mut Vec<u8>,
    patience: Duration,
) -> io::Result<std::result::Result<ExitStatus, String>> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let until = Instant::now() + patience;
    let late = || format!("not over in {} seconds, killed", patience.as_secs());
    let mut buffer = vec![0; 32 << 10];
    let mut is_open = true;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
        fds.extend(is_open.then(|| PollFd::new(output, PollFlags::IN)));
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(Err(late())),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [is_over, is_there] =
            [0, 1].map(|at| fds.get(at).is_some_and(|fd: &PollFd<'_>| !fd.revents().is_empty()));
        drop(fds);
        if is_there {
            match read(output, &mut buffer) {
                Ok(0) => is_open = false,
                Ok(count) => printed.extend_from_slice(&buffer[..count]),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if printed.len() > MOST_PRINTED {
                return Ok(Err(format!("it printed more than {MOST_PRINTED} bytes, killed")));
            }
        } else if is_over {
            return Ok(Ok(child.wait()?));
        }
        if left.is_zero() {
            return Ok(Err(late()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_script(script: &str, patience: Duration) -> Option<String> {
        let words = ["/bin/sh", "-c", script, "sh"].map(String::from);
        let job = JobId::generate().expect("random bytes");
        run(&job, &words, "job x\n", patience).expect("it started")
    }

    #[test]
    fn what_it_does_is_a_line_and_it_ends() {
        let long = Duration::from_secs(60);
        assert_eq!(run_script("exec >/dev/null; cat", long), None);
        let said = run_script("cat; printf '\\033[2Jx\\ny' >&2; exit 3", long);
        assert_eq!(said.as_deref(), Some("exit status: 3: job x"));
        let said = run_script("printf '\\033[2Jx\\ny' >&2", long);
        assert_eq!(said.as_deref(), Some("it printed: \\x1b[2Jx"));
        let said = run_script("yes no", long).expect("too much");
        assert_eq!(said, "it printed more than 1048576 bytes, killed: no");
        // What it leaves in the background is not waited for.
        assert_eq!(run_script("sleep 1000 & exit 0", long), None);
    }

    #[test]
    fn one_that_hangs_is_killed_with_what_it_started() {
        let top = tempfile::tempdir().expect("tempdir");
        let pids = top.path().join("pids");
        let script = format!("sleep 1000 & echo $! >{0}.new; mv {0}.new {0}; wait", pids.display());
        // On a busy machine it may not come that far at once.
        let pid = [300, 3_000, 30_000].into_iter().find_map(|time| {
            let said = run_script(&script, Duration::from_millis(time)).expect("late");
            assert!(said.starts_with("not over in "), "{said}");
            std::fs::read_to_string(&pids).ok()
        });
        let stat = format!("/proc/{}/stat", pid.expect("it began").trim());
        let until = Instant::now() + Duration::from_secs(60);
        let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        while runs() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert!(!runs());
    }
}
