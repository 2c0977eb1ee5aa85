//! Many targets at once: workers that each serve one target at a time, and the
//! main thread, which alone prints, keeps the records and decides.

use crate::fleet::signals::{self, Signal};
use crate::output::{Progress, Screen, View};
use crate::records::results::JournalWriter;
use crate::target::job;
use crate::target::outcome::Outcome;
use crate::target::retry::{Context, Reporter, TargetEvent};
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::names::JobId;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Output waits in so many pieces of 64 KiB at most: a pager that has stopped
/// reading stops the workers, not the jobs.
const WAITING: usize = 16;
/// TLS handshakes need most of it; 64 workers then take 32 MiB of address space
/// and what they touch of it.
const STACK: usize = 512 * 1024;
/// How often a progress line is drawn while bytes flow.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// What a worker does with one target.
pub(crate) type Task = dyn Fn(&Context, &Reporter) -> Outcome + Send + Sync;

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
    views: Vec<Box<dyn View>>,
    journal: Option<JournalWriter>,
    progress: Progress,
    sender: SyncSender<TargetEvent>,
    news: Receiver<TargetEvent>,
    /// Targets that are being worked on, with the jobs they accepted.
    running: HashMap<usize, Option<JobId>>,
    interrupts: u32,
    /// Set for the watchdog that ends a stuck process.
    gone: Arc<AtomicBool>,
}

impl Fleet {
    /// A fleet that prints by these views and writes this journal. Catches
    /// signals from now on.
    ///
    /// # Errors
    /// Where the kernel gives no sockets or no thread.
    pub(crate) fn new(
        context: Context,
        screen: Screen,
        views: Vec<Box<dyn View>>,
        journal: Option<JournalWriter>,
    ) -> Result<Fleet> {
        let (sender, news) = sync_channel(WAITING);
        let signals = sender.clone();
        let gone = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&gone);
        signals::catch(move |signal| {
            // The main thread may be stuck in a full pipe: it gets two seconds.
            if signals.try_send(TargetEvent::Signal(signal)).is_err() {
                signals::leave_soon(&watched, Exit::UnknownEnd.code());
                let _ = signals.send(TargetEvent::Signal(signal));
            }
        })
        .map_err(|error| Error::new(Exit::Io, "signals", describe(&error)))?;
        let progress = Progress::of(context.targets.len());
        Ok(Fleet {
            context: Arc::new(context),
            screen,
            outcomes: BTreeMap::new(),
            transfers: false,
            left: false,
            views,
            journal,
            progress,
            sender,
            news,
            running: HashMap::new(),
            interrupts: 0,
            gone,
        })
    }

    /// Does the task with these targets. `each` is told every outcome and says
    /// whether further ones may be begun; those that were not are returned.
    ///
    /// # Errors
    /// Where not even one thread can be had.
    pub(crate) fn go(
        &mut self,
        targets: &[usize],
        task: &Arc<Task>,
        each: &mut dyn FnMut(usize, &Outcome) -> bool,
    ) -> Result<Vec<usize>> {
        let queue = Arc::new(Mutex::new(targets.iter().copied().collect::<VecDeque<usize>>()));
        self.spawn(targets.len().min(self.context.common.fanout), &queue, task)?;
        let mut left = targets.len();
        let mut held_back = Vec::new();
        while left > 0 && !self.left {
            self.draw();
            let Some(news) = self.wait() else { continue };
            match news {
                TargetEvent::Done(target, outcome) => {
                    left -= 1;
                    self.done(target, *outcome);
                    let outcome = &self.outcomes[&target];
                    if !each(target, outcome) {
                        let rest = take_all(&queue);
                        left -= rest.len();
                        held_back.extend(rest);
                    }
                }
                TargetEvent::Signal(signal) => {
                    let unbegun = self.signal(signal, &queue);
                    left -= unbegun.len();
                    for target in unbegun {
                        self.done(target, Outcome::skipped("cancelled before it began"));
                        each(target, &self.outcomes[&target]);
                    }
                }
                other => self.heard(other),
            }
        }
        self.screen.clear();
        Ok(held_back)
    }

    /// A target that was begun and is left to itself.
    pub(crate) fn leave(&mut self, target: usize, outcome: Outcome) {
        self.note(target, &outcome);
        self.outcomes.entry(target).or_insert(outcome);
    }

    /// Ends the views and the journal.
    pub(crate) fn finish(&mut self) {
        if let Some(journal) = &self.journal
            && let Err(error) = journal.sync()
        {
            self.screen.remember(error);
        }
        for view in &mut self.views {
            view.finish(&mut self.screen);
        }
        self.gone.store(true, Ordering::Relaxed);
    }

    fn accepted(&self) -> impl Iterator<Item = (usize, &JobId)> {
        self.running.iter().filter_map(|(target, job)| Some((*target, job.as_ref()?)))
    }

    /// Targets that were begun and are not over, with the jobs they accepted.
    pub(crate) fn begun(&self) -> Vec<(usize, Option<JobId>)> {
        self.running.iter().map(|(target, job)| (*target, job.clone())).collect()
    }

    /// Waits between two batches, unless a signal comes.
    pub(crate) fn pause(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match self.news.recv_timeout(left) {
                Ok(TargetEvent::Signal(signal)) => {
                    self.signal(signal, &Mutex::default());
                    return;
                }
                Ok(other) => self.heard(other),
                Err(_) => return,
            }
        }
    }

    /// Was Ctrl-C pressed?
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupts > 0
    }

    fn spawn(
        &self,
        count: usize,
        queue: &Arc<Mutex<VecDeque<usize>>>,
        task: &Arc<Task>,
    ) -> Result<()> {
        for index in 0..count {
            let (context, queue) = (Arc::clone(&self.context), Arc::clone(queue));
            let (task, sender) = (Arc::clone(task), self.sender.clone());
            let worker = move || {
                while let Some(target) = next(&queue) {
                    let reporter =
                        Reporter { target, sender: sender.clone(), peer: Cell::default() };
                    reporter.tell(TargetEvent::Begun(target));
                    let began = Instant::now();
                    let mut outcome = task(&context, &reporter);
                    outcome.elapsed = began.elapsed();
                    outcome.tentacle = reporter.peer.get();
                    reporter.tell(TargetEvent::Done(target, Box::new(outcome)));
                }
            };
            let spawned = std::thread::Builder::new()
                .name(format!("worker {index}"))
                .stack_size(STACK)
                .spawn(worker);
            match spawned {
                Ok(_) => {}
                // Fewer at once is slower, and nothing worse.
                Err(_) if index > 0 => return Ok(()),
                Err(error) => return Err(Error::new(Exit::Io, "thread", describe(&error))),
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Option<TargetEvent> {
        // Bytes flow until a job is accepted; nobody wakes up for anything else.
        let drawing = self.transfers
            && self.screen.err_is_terminal
            && !self.context.common.quiet
            && self.running.values().any(Option::is_none);
        if !drawing {
            return self.news.recv().ok();
        }
        self.news.recv_timeout(DRAWN_EVERY).ok()
    }

    fn draw(&mut self) {
        if self.context.common.quiet {
            return;
        }
        self.progress.running = self.running.len();
        match self.progress.line(&self.context.counters) {
            Some(line) => self.screen.progress(&line),
            None => self.screen.clear(),
        }
    }

    fn heard(&mut self, news: TargetEvent) {
        match news {
            TargetEvent::Begun(target) => {
                self.running.insert(target, None);
            }
            TargetEvent::Accepted(target, job) => {
                for view in &mut self.views {
                    view.started(&mut self.screen, target, job.as_str());
                }
                self.running.insert(target, Some(job));
            }
            TargetEvent::Output(target, stream, bytes) => {
                for view in &mut self.views {
                    view.output(&mut self.screen, target, stream, &bytes);
                }
            }
            TargetEvent::Note(target, text) => {
                if !self.context.common.quiet {
                    self.say(target, &text);
                }
            }
            TargetEvent::Detail(target, text) => {
                if self.context.common.verbose {
                    self.say(target, &text);
                }
            }
            TargetEvent::Done(..) | TargetEvent::Signal(_) => {}
        }
    }

    fn say(&mut self, target: usize, text: &str) {
        let name = &self.context.targets[target].name;
        self.screen.say(format!("{name}: {text}"));
    }

    fn done(&mut self, target: usize, outcome: Outcome) {
        self.running.remove(&target);
        if outcome.succeeded() {
            self.progress.done += 1;
        } else {
            self.progress.failed += 1;
        }
        for view in &mut self.views {
            view.ended(&mut self.screen, target, &outcome);
        }
        self.note(target, &outcome);
        self.outcomes.insert(target, outcome);
    }

    fn note(&mut self, target: usize, outcome: &Outcome) {
        let name = self.context.targets[target].name.as_str();
        if let Some(journal) = &self.journal
            && let Err(error) = journal.note(name, outcome)
        {
            self.screen.remember(error);
        }
    }

    /// The first Ctrl-C cancels what runs and drops what has not begun, which is
    /// returned; the second, or a closed terminal, leaves.
    fn signal(&mut self, signal: Signal, queue: &Mutex<VecDeque<usize>>) -> Vec<usize> {
        self.context.stop.set();
        if signal == Signal::Leave || self.interrupts > 0 {
            self.left = true;
            return Vec::new();
        }
        self.interrupts += 1;
        let unbegun = take_all(queue);
        let jobs: VecDeque<(usize, JobId)> =
            self.accepted().map(|(target, job)| (target, job.clone())).collect();
        match jobs.len() {
            0 => self.screen.say("stopping; Ctrl-C again leaves at once"),
            1 => self.screen.say("asked to cancel; Ctrl-C again leaves at once, and lets it run"),
            count => self.screen.say(format!(
                "asking {count} targets to cancel; Ctrl-C again leaves at once, and lets them run"
            )),
        }
        self.cancel(jobs);
        unbegun
    }

    fn cancel(&self, jobs: VecDeque<(usize, JobId)>) {
        let count = jobs.len().min(self.context.common.fanout);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..count {
            let (context, jobs) = (Arc::clone(&self.context), Arc::clone(&jobs));
            let sender = self.sender.clone();
            let worker = move || {
                while let Some((target, job)) = next(&jobs) {
                    if let Err(error) = job::cancel(&context, target, &job) {
                        let error = error.into_error();
                        let text = format!("can't cancel: {}", error.message);
                        let _ = sender.send(TargetEvent::Note(target, text));
                    }
                }
            };
            // Where no thread can be had, the job runs on, and its follower says so.
            let _ = std::thread::Builder::new().stack_size(STACK).spawn(worker);
        }
    }
}

fn next<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn take_all(queue: &Mutex<VecDeque<usize>>) -> Vec<usize> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}
