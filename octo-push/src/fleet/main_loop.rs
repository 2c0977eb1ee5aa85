//! The main thread of a run over many targets: it alone prints, keeps the records
//! and decides.

use crate::fleet::rolling::hook::Departure;
use crate::fleet::signals::{self, Signal};
use crate::fleet::workers::{self, FleetEvent, Task, WorkQueue};
use crate::output::progress::ProgressLine;
use crate::output::screen::Screen;
use crate::output::views::choice::Views;
use crate::records::writer::JournalWriter;
use crate::target::context::Context;
use crate::target::event::TargetEvent;
use crate::target::outcome::Outcome;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::names::JobId;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Output waits in so many pieces of 64 KiB at most: a pager that has stopped
/// reading stops the workers, not the jobs.
const WAITING: usize = 16;
/// How often a progress line is drawn while bytes flow.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// A run over many targets.
pub(crate) struct Fleet {
    /// What the workers share.
    pub(crate) context: Arc<Context>,
    /// Where we print.
    pub(crate) screen: Screen,
    /// How each target ended.
    pub(crate) outcomes: BTreeMap<usize, Outcome>,
    /// Is there anything to upload, whose progress can be shown?
    pub(crate) transfers: bool,
    /// Did the person leave before the end?
    pub(crate) left: bool,
    /// When whatever isn't over is left to itself.
    deadline: Option<Instant>,
    views: Views,
    journal: Option<JournalWriter>,
    progress: ProgressLine,
    sender: SyncSender<FleetEvent>,
    events: Receiver<FleetEvent>,
    /// Targets that are being served, with the jobs they accepted.
    running: HashMap<usize, Option<JobId>>,
    /// The jobs that the journal says are begun.
    jobs: HashMap<usize, JobId>,
    interrupts: u32,
    /// Was it told that heads of audit logs can't be kept?
    warned_of_heads: bool,
    /// What is to be done before the process ends, also by the watchdog of a stuck one.
    pub(crate) departure: Arc<Departure>,
}

impl Fleet {
    /// A fleet that prints by these views and writes this journal. Catches
    /// signals from now on.
    pub(crate) fn new(
        context: Context,
        screen: Screen,
        views: Views,
        journal: Option<JournalWriter>,
    ) -> Result<Fleet> {
        let (sender, events) = sync_channel(WAITING);
        let signals = sender.clone();
        let departure = Arc::new(Departure::default());
        let watched = Arc::clone(&departure);
        signals::catch(move |signal| {
            // The main thread may be stuck in a full pipe: it gets two seconds.
            if signals.try_send(FleetEvent::Signal(signal)).is_err() {
                signals::leave_soon(&watched, Exit::UnknownEnd.code());
                let _ = signals.send(FleetEvent::Signal(signal));
            }
        })
        .map_err(|error| Error::new(Exit::Io, "signals", describe(&error)))?;
        let progress = ProgressLine::of(context.targets.len());
        Ok(Fleet {
            context: Arc::new(context),
            screen,
            outcomes: BTreeMap::new(),
            transfers: false,
            left: false,
            deadline: None,
            views,
            journal,
            progress,
            sender,
            events,
            running: HashMap::new(),
            jobs: HashMap::new(),
            interrupts: 0,
            warned_of_heads: false,
            departure,
        })
    }

    /// Writes down that these targets are about to be asked for these jobs.
    ///
    /// # Errors
    /// Exit 73 or 74: a job that can't be written down must not be sent.
    pub(crate) fn begin(&mut self, jobs: impl IntoIterator<Item = (usize, JobId)>) -> Result<()> {
        let jobs: Vec<(usize, JobId)> = jobs.into_iter().collect();
        if let Some(journal) = &self.journal {
            journal.begin(jobs.iter().map(|(target, job)| (self.context.name(*target), job)))?;
        }
        self.jobs.extend(jobs);
        Ok(())
    }

    /// Writes down that these targets were not asked after all.
    pub(crate) fn withdraw(&mut self, targets: &[usize]) {
        let outcome = Outcome::skipped("the rollout stopped");
        for target in targets {
            self.record(*target, &outcome);
            self.jobs.remove(target);
        }
    }

    /// Writes down that a rollout stopped before these targets.
    pub(crate) fn pass_over(&mut self, targets: impl Iterator<Item = usize>) {
        if let Some(journal) = &self.journal {
            let passed = journal.pass_over(targets.map(|target| self.context.name(target)));
            self.screen.remember(passed);
        }
    }

    /// Does the task with these targets. `each` is told every outcome and says
    /// whether further ones may be begun; those that were not are returned.
    pub(crate) fn serve(
        &mut self,
        targets: &[usize],
        task: &Arc<Task>,
        each: &mut dyn FnMut(usize, &Outcome) -> bool,
    ) -> Result<Vec<usize>> {
        let queue = WorkQueue::new(targets.iter().copied());
        self.start(&queue, targets.len().min(self.context.common.fanout), task)?;
        let mut left = targets.len();
        let mut held_back = Vec::new();
        while left > 0 && !self.left {
            self.draw();
            match self.wait() {
                None => {}
                Some(FleetEvent::Target(target, TargetEvent::Done(outcome))) => {
                    left -= 1;
                    self.end(target, *outcome);
                    if !each(target, &self.outcomes[&target]) {
                        let rest = queue.take_all();
                        left -= rest.len();
                        held_back.extend(rest);
                    }
                }
                Some(FleetEvent::Target(target, event)) => self.show(target, event),
                Some(FleetEvent::Signal(signal)) => {
                    let why = self.obey(signal);
                    for target in queue.take_all() {
                        left -= 1;
                        self.end(target, Outcome::skipped(why));
                        each(target, &self.outcomes[&target]);
                    }
                }
            }
        }
        self.screen.clear();
        if self.left {
            // A worker may have taken one of them without our having heard of it yet.
            let held: HashSet<&usize> = held_back.iter().collect();
            for target in targets.iter().filter(|target| !held.contains(target)) {
                if !self.outcomes.contains_key(target) {
                    self.running.entry(*target).or_insert(None);
                }
            }
        }
        Ok(held_back)
    }

    /// Starts workers, which dial while the disk takes what they are to ask for.
    fn start(&self, queue: &Arc<WorkQueue<usize>>, count: usize, task: &Arc<Task>) -> Result<()> {
        let mut unwritten = self.context.unwritten();
        workers::start(count, &self.context, queue, task, &self.sender)?;
        if let (None, Some(journal)) = (&*unwritten, &self.journal) {
            *unwritten = journal.sync().err();
        }
        Ok(())
    }

    /// Waits between two batches, unless a signal comes. One that came while nobody
    /// listened, as during a gate, is obeyed now.
    pub(crate) fn pause(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.tick(left) || left.is_zero() {
                return;
            }
        }
    }

    /// Waits for so long at most, or for what happens first; says whether that was a
    /// signal. Events are taken in all the time, or the thread of the signals would wait.
    pub(crate) fn tick(&mut self, time: Duration) -> bool {
        match self.events.recv_timeout(time) {
            Ok(FleetEvent::Signal(signal)) => {
                self.obey(signal);
                return true;
            }
            // Of a target that was left to itself.
            Ok(FleetEvent::Target(target, TargetEvent::Done(outcome))) => {
                self.end(target, *outcome);
            }
            Ok(FleetEvent::Target(target, event)) => self.show(target, event),
            Err(_) => {}
        }
        false
    }

    /// How a target of a batch stands, in a word of `OCTO_BATCH`.
    pub(crate) fn state(&self, target: usize) -> &'static str {
        match self.outcomes.get(&target) {
            None if self.running.contains_key(&target) => "unknown",
            None => "skipped",
            Some(outcome) => outcome.state(),
        }
    }

    /// Did the person press Ctrl-C, or leave?
    pub(crate) fn is_interrupted(&self) -> bool {
        self.left || self.interrupts > 0
    }

    /// Leaves to themselves the targets that are still served; `outcome` says how one
    /// of them stands, by its job and whether that was accepted. Returns whether any was.
    pub(crate) fn abandon(&mut self, outcome: &dyn Fn(Option<&JobId>, bool) -> Outcome) -> bool {
        let mut any_accepted = false;
        for (target, accepted) in std::mem::take(&mut self.running) {
            any_accepted |= accepted.is_some();
            let job = accepted.as_ref().or(self.jobs.get(&target));
            let outcome = outcome(job, accepted.is_some());
            self.record(target, &outcome);
            self.outcomes.entry(target).or_insert(outcome);
        }
        any_accepted
    }

    /// Ends the views and the journal.
    pub(crate) fn finish(&mut self) {
        if let Some(journal) = &self.journal {
            self.screen.remember(journal.sync());
        }
        let synced = self.context.heads.sync();
        self.remember_heads(synced);
        for view in &mut self.views {
            view.finish(&mut self.screen);
        }
        self.departure.is_over();
    }

    /// From now on it may take so long.
    pub(super) fn leave_after(&mut self, time: Option<Duration>) {
        self.deadline = time.and_then(|time| Instant::now().checked_add(time));
    }

    /// Was anything left to itself because its time was over?
    pub(crate) fn is_overdue(&self) -> bool {
        self.left && self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn wait(&mut self) -> Option<FleetEvent> {
        if let Some(deadline) = self.deadline {
            let event =
                self.events.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            self.left |= event.is_err();
            return event.ok();
        }
        // Bytes are sent until a job is accepted; only then is there progress to draw.
        let drawing = self.transfers
            && self.screen.err_is_terminal
            && !self.context.common.quiet
            && self.running.values().any(Option::is_none);
        if !drawing {
            return self.events.recv().ok();
        }
        self.events.recv_timeout(DRAWN_EVERY).ok()
    }

    fn draw(&mut self) {
        if self.context.common.quiet {
            return;
        }
        self.progress.running = self.running.len();
        let mut running: Vec<usize> = self.running.keys().copied().collect();
        running.sort_unstable();
        let names = running.into_iter().map(|target| self.context.name(target));
        match self.progress.line(&self.context.counters, names, self.screen.progress_columns()) {
            Some(line) => self.screen.progress(&line),
            None => self.screen.clear(),
        }
    }

    fn show(&mut self, target: usize, event: TargetEvent) {
        match event {
            TargetEvent::Begun => {
                for view in &mut self.views {
                    view.begun(&mut self.screen, target);
                }
                self.running.insert(target, None);
            }
            TargetEvent::Accepted(job) => {
                for view in &mut self.views {
                    view.started(&mut self.screen, target, job.as_str());
                }
                self.running.insert(target, Some(job));
            }
            TargetEvent::Output(stream, bytes) => {
                for view in &mut self.views {
                    view.output(&mut self.screen, target, stream, &bytes);
                }
            }
            TargetEvent::Waits(text) => self.say(target, &text),
            TargetEvent::Note(text) if !self.context.common.quiet => self.say(target, &text),
            TargetEvent::Detail(text) if self.context.common.verbose => self.say(target, &text),
            TargetEvent::Note(_) | TargetEvent::Detail(_) | TargetEvent::Done(_) => {}
        }
    }

    fn say(&mut self, target: usize, text: &str) {
        self.screen.say(format!("{}: {text}", self.context.name(target)));
    }

    /// Shows and writes down how it went with a target.
    pub(crate) fn end(&mut self, target: usize, outcome: Outcome) {
        self.running.remove(&target);
        self.keep_heads(target, &outcome);
        if outcome.succeeded() {
            self.progress.done += 1;
        } else {
            self.progress.failed += 1;
        }
        for view in &mut self.views {
            view.ended(&mut self.screen, target, &outcome);
        }
        self.record(target, &outcome);
        self.outcomes.insert(target, outcome);
    }

    /// Keeps what it said of its audit logs, and says what is wrong with them.
    fn keep_heads(&mut self, target: usize, outcome: &Outcome) {
        let context = Arc::clone(&self.context);
        let kept = context.heads.keep(context.name(target), outcome.tentacle, &outcome.heard);
        self.remember_heads(kept);
        if let Some(fault) = outcome.audit_fault().filter(|fault| outcome.message != *fault) {
            self.say(target, &format!("warning: {fault}"));
        }
    }

    /// Whoever only asks, as a monitor does that may write nothing here, has got the answer;
    /// that it leaves no evidence is told once.
    fn remember_heads(&mut self, kept: Result<()>) {
        match kept {
            Err(error) if self.journal.is_none() => {
                if !std::mem::replace(&mut self.warned_of_heads, true) {
                    self.screen.say(format!("warning: no audit head is kept: {}", error.message));
                }
            }
            kept => self.screen.remember(kept),
        }
    }

    /// Each job that the journal has as begun gets its end there, also where nothing
    /// was asked.
    fn record(&mut self, target: usize, outcome: &Outcome) {
        let job = outcome.job.as_ref().or(self.jobs.get(&target));
        if let Some(journal) = &self.journal {
            self.screen.remember(journal.end(self.context.name(target), job, outcome));
        }
    }

    /// The first Ctrl-C cancels what runs; the second, or a closed terminal, leaves.
    /// Returns what becomes of those that have not begun.
    fn obey(&mut self, signal: Signal) -> &'static str {
        self.context.stop.set();
        if signal == Signal::Leave || self.interrupts > 0 {
            self.left = true;
            return "left before it began";
        }
        self.interrupts += 1;
        let accepted = self.running.iter().filter_map(|(t, job)| Some((*t, job.clone()?)));
        let jobs: Vec<(usize, JobId)> = accepted.collect();
        match jobs.len() {
            0 => self.screen.say("stopping; Ctrl-C again leaves at once"),
            1 => self.screen.say("asked to cancel; Ctrl-C again leaves at once, and lets it run"),
            count => self.screen.say(format!(
                "asking {count} targets to cancel; Ctrl-C again leaves at once, and lets them run"
            )),
        }
        workers::cancel(jobs, &self.context, &self.sender);
        "cancelled before it began"
    }
}
