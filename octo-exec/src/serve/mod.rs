//! `octo-exec serve`: the privileged side of a tentacle whose listener is another user.
//! It has no network and parses nothing: woken by the doorbell, it lists the spool and
//! starts `octo-exec take JOB` for each entry. While nothing happens nothing wakes it.

mod again;
mod announcing;
mod children;
mod descriptors;
mod doorbell;
mod held;
mod seen;

use crate::start;
use again::{Again, PAUSE, Pause};
use announcing::Announcing;
use children::{Children, Working};
use doorbell::Doorbell;
use held::Held;
use octo_core::JobId;
use octo_core::base::cgroups::Readiness;
use octo_core::base::cli::Tool;
use octo_core::base::cli::options::Said;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::publish::SWEEP;
use octo_core::base::service::journal::Priority;
use octo_core::base::service::notify;
use octo_core::tentacle::account;
use octo_core::tentacle::job::{self, JobDirectory, State};
use octo_core::tentacle::layout;
use octo_core::tentacle::seal::SealKey;
use octo_core::tentacle::spool::{EntryName, Spool, TRIES};
use rustix::event::{Timespec, poll};
use rustix::io::Errno;
use seen::Seen;
use std::collections::HashSet;
use std::time::Instant;

/// So many entries are taken over at once.
const AT_ONCE: usize = 64;

/// The verb.
pub(crate) fn serve(said: &Said, places: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    layout::make(places)?;
    let doorbell = Doorbell::new(places)?;
    let mut serving = Serving {
        tool: said.tool(),
        places,
        doorbell,
        readiness: Readiness::watch()
            .map_err(|error| Error::new(Exit::Io, "thread", describe(&error)))?,
        children: Children::new(),
        held: Held::default(),
        announcing: Announcing::default(),
        again: Again::default(),
        was_rung: false,
        spool: Pause::default(),
        jobs: Pause::default(),
        looked_over: Instant::now(),
        sweep: Pause::default(),
    };
    serving.sweep.end_now();
    // Where that fails, each look is one at all jobs; and ends are told unsealed.
    for done in [account::rebuild(places), SealKey::load_or_make(places).map(drop)] {
        if let Err(error) = done {
            serving.tool.report(&error);
        }
    }
    if let Err(error) = notify::ready("serving") {
        serving.tool.say_at(Priority::Error, format!("{}: {}", notify::VARIABLE, describe(&error)));
    }
    octo_core::base::cli::print("serving\n")?;
    // What an earlier serve, or a crash, left to do: its supervisors live on.
    serving.jobs.end_now();
    loop {
        serving.look();
        serving.wait()?;
    }
}

struct Serving<'a> {
    tool: &'a Tool,
    places: &'a Places,
    doorbell: Doorbell,
    readiness: Readiness,
    children: Children,
    held: Held,
    announcing: Announcing,
    again: Again,
    /// Since the last look.
    was_rung: bool,
    /// It could not be looked at.
    spool: Pause,
    /// Until all jobs are looked over.
    jobs: Pause,
    /// When that was done last.
    looked_over: Instant,
    /// Until what one that was killed may have left half made is swept: secrets.
    sweep: Pause,
}

impl Serving<'_> {
    /// A job that is no child's of ours: it is watched where somebody brings it forward,
    /// else it is held, or to be started, or to be settled.
    fn look_after(&mut self, job: &JobDirectory) {
        if self.children.find(self.places, job.id()) {
            return;
        }
        match job.state() {
            Ok(State::Over(_)) => {}
            // It began between the two looks: watched it must be, or its loss is nobody's.
            Ok(State::Running | State::Waiting(_)) => self.again.put_off(job.id()),
            // Whoever was to say so may have been killed; said twice it isn't.
            Ok(State::Held) if self.held.notes(job) => self.announcing.put(job.id()),
            Ok(_) => self.start(job.id(), None, None),
            Err(error) => {
                self.tool.report(&error);
                self.again.put_off(job.id());
            }
        }
    }

    /// A ring may be about a job that nobody here works on: somebody else has started it,
    /// and who follows it has found it lost. To look for it takes as long as there are
    /// jobs: behind the start of what is new, and once a second at most.
    fn look(&mut self) {
        for job in self.held.changed(self.places) {
            self.look_after(&JobDirectory::of(self.places, &job));
        }
        let is_new = self.look_at_spool();
        if std::mem::take(&mut self.was_rung) {
            let last = if is_new { Instant::now() } else { self.looked_over };
            self.jobs.end_at(last + PAUSE);
        }
        if self.jobs.is_due() {
            match self.look_over() {
                Err(error) if self.jobs.begin() => self.tool.report(&error),
                _ => {}
            }
        }
    }

    /// Each job that is not over is watched, waits, or is started: as many at once as may be.
    fn look_over(&mut self) -> Result<()> {
        let jobs = JobDirectory::under_way(self.places)?;
        self.looked_over = Instant::now();
        self.jobs.end();
        for job in jobs {
            let id = job.id();
            if self.again.holds(id) || self.held.holds(id) {
                continue;
            }
            if self.children.taking() < AT_ONCE {
                self.look_after(&job);
            } else if !self.children.find(self.places, id) {
                self.jobs.end_at(self.looked_over + PAUSE);
            }
        }
        Ok(())
    }

    /// Starts what is new in the spool, as many at once as may be; was there anything?
    fn look_at_spool(&mut self) -> bool {
        if self.spool.is_on() {
            return false;
        }
        let names = match Spool::at(self.places).names() {
            Ok(names) => names,
            Err(error) => {
                if self.spool.begin() {
                    self.tool.report(&error);
                }
                return false;
            }
        };
        self.spool.end();
        self.children.forget_but(&names.iter().collect());
        let jobs: HashSet<&JobId> = names.iter().map(|name| &name.job).collect();
        self.again.forget_but(|job| jobs.contains(job) || self.children.hold(job));
        let mut is_new = false;
        for name in names {
            if self.children.taking() >= AT_ONCE {
                break;
            }
            is_new |= self.try_entry(name);
        }
        is_new
    }

    /// What can't be taken over is noted, and as long as that can't be either, it is tried
    /// again: its pusher must be told some time. Was it tried?
    fn try_entry(&mut self, name: EntryName) -> bool {
        let waits = self.again.holds(&name.job) || self.children.takes(&name.job);
        if waits || name.is_done(self.places) {
            return false;
        }
        let Some(entry) = Seen::of(self.places, name) else { return false };
        // Its octo-exec may have failed and not have ended yet.
        if self.children.tries_now(&entry) {
            return false;
        }
        let why = format!("octo-exec could not take it over in {TRIES} tries: see its log");
        let not = (self.children.tries(&entry) >= TRIES).then_some(why.as_str());
        self.start(&entry.name.job, Some(&entry), not);
        true
    }

    fn start(&mut self, job: &JobId, entry: Option<&Seen>, not: Option<&str>) {
        let program = || start::taking(self.places, job, not);
        match self.children.start(job, entry, program) {
            Ok(true) => {}
            Ok(false) => self.again.put_off(job),
            // It was no try of the entry: that may be a good one.
            Err(error) => {
                self.tool.report(&error);
                self.again.put_off(job);
            }
        }
    }

    /// Sleeps until something happens, and notes what.
    fn wait(&mut self) -> Result<()> {
        let pauses = [&self.spool, &self.jobs, &self.sweep].map(Pause::until);
        self.announcing.go_on(self.tool, self.places, &self.children);
        let others = [
            self.doorbell.rests_until(),
            self.again.next(),
            self.held.next(),
            self.announcing.next(),
        ];
        let until = pauses.into_iter().chain(others).flatten().min();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let polled: Vec<bool> = {
            let mut fds = vec![self.doorbell.descriptor()];
            fds.extend(self.children.descriptors());
            fds.extend(self.announcing.descriptors());
            match poll(&mut fds, left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Error::new(Exit::Io, "poll", describe(&error.into()))),
            }
            fds.iter().map(|fd| !fd.revents().is_empty()).collect()
        };
        // Before the look at the spool: who rings after it wakes us once more.
        self.was_rung = self.doorbell.clear(self.tool);
        if self.was_rung {
            self.readiness.make();
        }
        let woken = self.children.woken(polled.get(1..).unwrap_or_default());
        for ended in self.children.settle(woken) {
            self.ended(&ended);
        }
        self.start_due();
        Ok(())
    }

    /// One that ended before its job did was killed, or couldn't go on.
    fn ended(&mut self, ended: &Working) {
        if ended.was_killed {
            self.sweep.end_now();
        }
        let id = &ended.job;
        let job = JobDirectory::of(self.places, id);
        if self.is_to_go_on(&job, ended.was_killed)
            || ended.entry.as_ref().is_some_and(|entry| entry.is_left(self.places))
        {
            // Not at once: whatever failed fails as fast as it can be started.
            self.again.put_off(id);
        } else {
            self.again.forget(id);
        }
    }

    /// Does this job need another octo-exec, as the last has ended?
    fn is_to_go_on(&mut self, job: &JobDirectory, was_killed: bool) -> bool {
        if !job.exists() || job.file("end").exists() || self.children.find(self.places, job.id()) {
            return false;
        }
        match job.state() {
            Ok(State::Over(_)) => false,
            Ok(State::Held) => !self.held.notes(job),
            Ok(state) => {
                if was_killed || state == State::Lost {
                    let died = format!("job {}: its octo-exec died", job.id());
                    self.tool.say_at(Priority::Error, died);
                }
                true
            }
            Err(error) => {
                self.tool.report(&error);
                true
            }
        }
    }

    fn start_due(&mut self) {
        if self.sweep.is_due() {
            match job::sweep(self.places, SWEEP) {
                Ok(true) => self.sweep.end(),
                Err(error) if self.sweep.begin() => self.tool.report(&error),
                Err(_) => {}
                Ok(false) => {
                    self.sweep.begin();
                }
            }
        }
        for job in self.again.due().into_iter().chain(self.held.due()) {
            // What is in the spool only is looked at next, and its tries are counted.
            let job = JobDirectory::of(self.places, &job);
            if job.exists() && !job.file("end").exists() {
                self.look_after(&job);
            }
        }
    }
}
