//! `octo-exec job DIR`: brings one job forward, as far as it can go. Calling it
//! again is always safe: it runs a job at most once.

use crate::admission::admit::{self, No, Plan};
use crate::admission::adopt::{self, Origin};
use crate::admission::approval::{self, Approval};
use crate::job::environment;
use crate::job::locks;
use crate::job::mask::Masker;
use crate::job::prepare::{self, Command};
use crate::job::settle;
use crate::job::signals;
use crate::job::supervise;
use crate::job::supervise::{Launch, Watch, say};
use crate::job::tree;
use crate::job::user::User;
use crate::job::values;
use octo_core::VariableName;
use octo_core::base::cli::Tool;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::no_core;
use octo_core::base::paths::Places;
use octo_core::base::publish::Reserved;
use octo_core::base::record::Record;
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::{End, EndKind, JobDirectory, JobLock, LogWriter, Request};
use octo_core::tentacle::spec::Spec;
use rustix::process::{geteuid, getpid, setsid};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A job that nobody started for this long never runs.
const EXPIRES_AFTER: Duration = Duration::from_secs(3600);
/// TERM, then so long, then KILL.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// No pusher's grace is longer.
const LONGEST_GRACE: Duration = Duration::from_secs(3600);

/// The verb.
pub(super) fn job(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    let [directory] = &matches.free[..] else {
        return Err(tool.misuse("job takes one job directory"));
    };
    let directory =
        std::path::absolute(directory).map_err(|e| Error::io(Path::new(directory), &e))?;
    let job = JobDirectory::at(&directory)?;
    if job.path().parent() != Some(&places.jobs()) {
        let reason = format!("not in {}", places.jobs().display());
        return Err(Error::new(Exit::Usage, job.path().display(), reason).hint("--state DIR"));
    }
    // Its own session, so that what started us can be restarted, and a terminal
    // that closes takes nothing along. Fails only where we lead one already.
    let _ = setsid();
    signals::heed_in_scripts();
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
    let Some(held) = job.try_hold()? else {
        return Ok(0);
    };
    if job.end()?.is_some() {
        return Ok(0);
    }
    if job.open("started")?.is_some() {
        settle::lost(tool, places, &job, &held, None)?;
        return Ok(0);
    }
    forward(tool, places, &job, &held)
}

/// How far a job came.
enum Progress {
    /// It is over, and this is how.
    Over(End),
    /// It waits for an approval.
    Held,
}

fn forward(tool: &Tool, places: &Places, job: &JobDirectory, held: &JobLock) -> Result<u8> {
    let mut room = None;
    let attempt = Attempt::new(tool, places, job, held);
    let progress = attempt.and_then(|attempt| attempt.go(&mut room));
    match progress {
        Ok(Progress::Held) => {}
        Ok(Progress::Over(end)) => settle::over(tool, places, job, end, room)?,
        Err(error) => {
            tool.report(&error);
            if job.open("started")?.is_none() {
                // Nothing of the script ran: that is what `denied` says.
                let end = denied(No { exit: error.exit.code(), reason: error.message });
                settle::over(tool, places, job, end, room)?;
            } else {
                // As if we had been killed: nobody of it may stay.
                settle::lost(tool, places, job, held, Some(error.message))?;
            }
        }
    }
    Ok(0)
}

fn denied(no: No) -> End {
    let mut end = End::now(EndKind::Denied(no.exit), 0);
    end.reason = Some(no.reason);
    end
}

struct Attempt<'a> {
    tool: &'a Tool,
    places: &'a Places,
    job: &'a JobDirectory,
    origin: Origin,
    request: Request,
    spec: Spec,
    spec_digest: octo_core::Digest,
    watch: Watch,
}

impl<'a> Attempt<'a> {
    fn new(
        tool: &'a Tool,
        places: &'a Places,
        job: &'a JobDirectory,
        held: &JobLock,
    ) -> Result<Attempt<'a>> {
        let origin = adopt::adopt(job, held)?;
        let request = job.request()?;
        let (spec, spec_digest) = job.spec()?;
        let watch = Watch::new(job)?;
        Ok(Attempt { tool, places, job, origin, request, spec, spec_digest, watch })
    }

    /// `room` is for the record of the end, from the moment the job starts.
    fn go(self, room: &mut Option<Reserved>) -> Result<Progress> {
        let over = |no: No| Ok(Progress::Over(denied(no)));
        if let Some(who) = self.watch.cancelled() {
            return Ok(Progress::Over(cancelled(who)));
        }
        // A window says when a job may start, not when it may wait for approval.
        let plan = match self.admit(false)? {
            Ok(plan) => plan,
            Err(no) => return over(no),
        };
        let subject = approval::subject(self.job.id(), &self.spec, &self.spec_digest, &plan);
        match approval::look(self.job, &plan, &subject)? {
            Approval::Waiting => return Ok(Progress::Held),
            Approval::Expired => return Ok(Progress::Over(expired("nobody approved it in time"))),
            Approval::Given => {}
        }
        // An approved job is queued from its approval on.
        let approved = if plan.hold { approval::given_at(self.job)? } else { None };
        let queued = approved.as_deref().unwrap_or(&self.request.received);
        if admit::is_expired(queued, EXPIRES_AFTER)? {
            return Ok(Progress::Over(expired("nobody started it in time")));
        }
        let plan = match self.admit(true)? {
            Ok(now) if now == plan => now,
            Ok(_) => return over(changed()),
            Err(no) => return over(no),
        };
        let (_locks, waited) = match self.take_locks(&plan)? {
            Ok(taken) => taken,
            Err(end) => return Ok(Progress::Over(end)),
        };
        // What was permitted before a wait may not be any more.
        let plan = if waited {
            match self.admit(true)? {
                Ok(now) if now == plan => now,
                Ok(_) => return over(changed()),
                Err(no) => return over(no),
            }
        } else {
            plan
        };
        // Neither is what was approved: an installed script may be another one now.
        if approval::subject(self.job.id(), &self.spec, &self.spec_digest, &plan) != subject
            && plan.hold
        {
            return over(No::new(Exit::Refused, "its script changed after it was approved"));
        }
        self.start(&plan, room)
    }

    fn admit(&self, starting: bool) -> Result<std::result::Result<Plan, No>> {
        Ok(admit::admit(self.places, self.origin, &self.request, &self.spec, starting))
    }

    /// Takes all locks in the order of the spec; says whether it had to wait.
    fn take_locks(
        &self,
        plan: &Plan,
    ) -> Result<std::result::Result<(Vec<locks::Held>, bool), End>> {
        let mut taken = Vec::new();
        let mut waited = false;
        for wanted in &self.spec.locks {
            let longest = plan.max_wait.map_or(wanted.wait, |limit| wanted.wait.min(limit));
            let until = Instant::now() + longest;
            let mut lock = match locks::take(self.places, wanted)? {
                locks::Try::Taken(lock) => lock,
                locks::Try::Waiting(holder, waiting) => {
                    waited = true;
                    let holder = holder.unwrap_or_else(|| "somebody".into());
                    let mut record = Record::new();
                    record.text("lock", &wanted.name);
                    record.text("holder", &holder);
                    self.job.publish_record("waiting", &record)?;
                    adopt::share_with_publisher(self.job, "waiting")?;
                    match self.wait_for(&waiting, until)? {
                        Some(end) => return Ok(Err(end)),
                        None if is_readable(&waiting) => waiting.finish()?,
                        None => {
                            let reason = format!("lock {} is held by {holder}", wanted.name);
                            return Ok(Err(denied(No::new(Exit::Temporary, reason))));
                        }
                    }
                }
            };
            if let Some(before) = lock.sign(self.job.id(), &plan.pusher)?
                && let Some((job, held)) = locks::unsettled(self.places, &before, wanted.shared)?
            {
                // Its script may have outlived its octo-exec: never two at once.
                settle::lost(self.tool, self.places, &job, &held, None)?;
            }
            taken.push(lock);
        }
        let _ = std::fs::remove_file(self.job.file("waiting"));
        Ok(Ok((taken, waited)))
    }

    /// Waits for a lock; an end if the job was cancelled meanwhile.
    fn wait_for(&self, waiting: &locks::Waiting, until: Instant) -> Result<Option<End>> {
        use std::os::fd::AsFd;
        loop {
            self.watch.clear();
            if let Some(who) = self.watch.cancelled() {
                return Ok(Some(cancelled(who)));
            }
            if is_readable(waiting) || Instant::now() >= until {
                return Ok(None);
            }
            self.watch.wait(&[waiting.ready.as_fd()], Some(until))?;
        }
    }

    fn start(self, plan: &Plan, room: &mut Option<Reserved>) -> Result<Progress> {
        let over = |no: No| Ok(Progress::Over(denied(no)));
        let user = match &plan.user {
            Some(name) => User::named(name)?,
            None => User::own(),
        };
        let work = prepare::directories(self.job, &user)?;
        if let Err(no) = prepare::package(self.places, self.job, &self.spec, plan)? {
            return over(no);
        }
        let command = match prepare::script(self.job, &self.spec, plan, &user)? {
            Ok(command) => command,
            Err(no) => return over(no),
        };
        if self.spec.secrets_digest.is_some() {
            no_core::of_us_and_our_children();
        }
        let secrets = match prepare::read_secrets(self.job, &self.spec)? {
            Ok(secrets) => secrets,
            Err(no) => return over(no),
        };
        *room = Some(Reserved::new(self.job.path(), settle::ROOM)?);
        self.job.publish_record("grant", &plan.record())?;
        adopt::share_with_publisher(self.job, "grant")?;
        self.audit_start(plan, &user)?;
        self.write_started()?;
        prepare::unlink_secrets(self.job)?;
        let mut log = LogWriter::create(self.job, plan.max_log)?;
        for name in ["started", "log", "index"] {
            adopt::share_with_publisher(self.job, name)?;
        }
        let words = match command {
            Command::Words(words) => words,
            Command::CantRun(cant) => {
                say(&mut log, &format!("{}: {}", self.spec.summary(), cant.reason));
                return Ok(Progress::Over(supervise::ended(EndKind::Exit(cant.code), &mut log)));
            }
        };
        let launch = self.launch(plan, &user, words, &secrets, work)?;
        let values = || secrets.iter().map(|(_, value)| value.as_slice());
        let maskers = [Masker::new(values()), Masker::new(values())];
        let mut end = supervise::run(&launch, &self.watch, &mut log, maskers)?;
        let trouble = values::take(self.job, &user, &secrets);
        end.reason = settle::joined(end.reason, trouble);
        Ok(Progress::Over(end))
    }

    /// What can't be recorded doesn't start.
    fn audit_start(&self, plan: &Plan, user: &User) -> Result<()> {
        let line = plan.line.as_ref().map_or("local".to_string(), |(number, _)| number.to_string());
        let spec = self.spec_digest.to_string();
        let script = prepare::script_digest(&self.spec, plan).map(|d| d.to_string());
        let package = self.spec.package.as_ref().map(|(d, _)| d.to_string());
        let mut fields = vec![
            ("job", self.job.id().as_str()),
            ("pusher", plan.pusher.as_str()),
            ("line", &line),
            ("user", &user.name),
            ("spec", &spec),
        ];
        fields.extend(script.as_deref().map(|digest| ("script", digest)));
        fields.extend(package.as_deref().map(|digest| ("package", digest)));
        Audit::at(self.places).append("job-start", &fields).map(|_| ())
    }

    /// From here on the job counts as run: whoever finds it without us and
    /// without an end calls it lost.
    fn write_started(&self) -> Result<()> {
        let me = getpid().as_raw_pid();
        let mut record = Record::new();
        record.text("boot", settle::boot());
        record.text("session", me);
        record.text("ticks", tree::process(me).map_or(0, |p| p.started));
        record.text("at", octo_core::base::cli::utc_now());
        self.job.publish_record("started", &record)
    }

    fn launch(
        &self,
        plan: &Plan,
        user: &User,
        words: Vec<OsString>,
        secrets: &[(VariableName, Vec<u8>)],
        work: std::path::PathBuf,
    ) -> Result<Launch> {
        let mut all = privileges(plan, user)?;
        all.extend(words);
        all.extend(self.spec.arguments.iter().map(|a| OsStr::from_bytes(a).to_os_string()));
        let grace = self.spec.grace.unwrap_or(DEFAULT_GRACE).min(LONGEST_GRACE);
        let variables =
            environment::variables(self.places, self.job, plan, &self.spec, secrets, user);
        Ok(Launch {
            words: all,
            variables,
            shut_by: user.shut_out_by(self.job.path()),
            directory: work,
            timeout: plan.timeout,
            grace,
            no_new_privileges: !plan.sudo,
        })
    }
}

fn changed() -> No {
    No::new(Exit::Refused, "its line in the trust file changed while it waited")
}

/// The words that lower our privileges to the job's, before its own.
fn privileges(plan: &Plan, user: &User) -> Result<Vec<OsString>> {
    if !geteuid().is_root() {
        if !plan.sudo {
            rustix::thread::set_no_new_privs(true).map_err(|e| {
                Error::new(Exit::Io, "no-new-privs", octo_core::base::error::describe(&e.into()))
            })?;
        }
        return Ok(Vec::new());
    }
    let mut words: Vec<OsString> = Vec::new();
    if user.uid != 0 {
        words.push(format!("--reuid={}", user.uid).into());
        words.push(format!("--regid={}", user.gid).into());
        words.push("--init-groups".into());
    }
    if !plan.sudo {
        words.push("--no-new-privs".into());
    }
    if !words.is_empty() {
        words.insert(0, setpriv()?);
        words.push("--".into());
    }
    Ok(words)
}

/// setpriv(1), by its whole path: the job's PATH is not where we look.
fn setpriv() -> Result<OsString> {
    let found =
        environment::PATH.split(':').map(|d| Path::new(d).join("setpriv")).find(|p| p.is_file());
    found.map(Into::into).ok_or_else(|| {
        Error::new(
            Exit::Configuration,
            "setpriv",
            "not on this machine, and jobs of another user need it",
        )
        .hint("install util-linux")
    })
}

fn is_readable(waiting: &locks::Waiting) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(&waiting.ready, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(count) if count > 0)
}

fn cancelled(who: String) -> End {
    let mut end = End::now(EndKind::Cancelled, 0);
    end.reason = Some(who);
    end
}

fn expired(reason: &str) -> End {
    let mut end = End::now(EndKind::Expired, 0);
    end.reason = Some(reason.into());
    end
}
