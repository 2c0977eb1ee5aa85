//! Workers: threads that each serve one target at a time, and report to the main
//! thread.

use crate::fleet::signals::Signal;
use crate::target::context::Context;
use crate::target::event::{Reporter, TargetEvent};
use crate::target::job;
use crate::target::outcome::Outcome;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::names::JobId;
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// TLS handshakes need most of it; 64 workers then take 32 MiB of address space
/// and what they touch of it.
const STACK: usize = 512 * 1024;

/// What a worker does with one target.
pub(crate) type Task = dyn Fn(&Context, &Reporter) -> Outcome + Send + Sync;

/// What the main thread is told.
#[derive(Debug)]
pub(super) enum FleetEvent {
    /// Something happened at a target.
    Target(usize, TargetEvent),
    /// Ctrl-C, or another signal.
    Signal(Signal),
}

/// Items that workers take one by one.
#[derive(Debug)]
pub(super) struct WorkQueue<T>(Mutex<VecDeque<T>>);

impl<T> WorkQueue<T> {
    pub(super) fn new(items: impl IntoIterator<Item = T>) -> Arc<WorkQueue<T>> {
        Arc::new(WorkQueue(Mutex::new(items.into_iter().collect())))
    }

    fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// What no worker has taken yet, which none will take now.
    pub(super) fn take_all(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

/// Starts so many workers, which do the task with the queue's targets.
pub(super) fn start(
    count: usize,
    context: &Arc<Context>,
    queue: &Arc<WorkQueue<usize>>,
    task: &Arc<Task>,
    sender: &SyncSender<FleetEvent>,
) -> Result<()> {
    for index in 0..count {
        let (context, queue) = (Arc::clone(context), Arc::clone(queue));
        let (task, sender) = (Arc::clone(task), sender.clone());
        let worker = move || {
            while let Some(target) = queue.next() {
                serve(target, &context, &*task, &sender);
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

fn serve(target: usize, context: &Context, task: &Task, sender: &SyncSender<FleetEvent>) {
    let reporter = reporter(target, sender);
    reporter.report(TargetEvent::Begun);
    let began = Instant::now();
    let mut outcome = task(context, &reporter);
    outcome.elapsed = began.elapsed();
    outcome.tentacle = reporter.peer.get();
    outcome.sent = reporter.sent.get();
    outcome.heard = reporter.heard.take();
    reporter.report(TargetEvent::Done(Box::new(outcome)));
}

fn reporter(target: usize, sender: &SyncSender<FleetEvent>) -> Reporter {
    let sender = sender.clone();
    Reporter::new(target, move |event| {
        // The main thread is gone: the process is about to end.
        let _ = sender.send(FleetEvent::Target(target, event));
    })
}

/// Asks for the end of these jobs, from workers of their own.
pub(super) fn cancel(
    jobs: Vec<(usize, JobId)>,
    context: &Arc<Context>,
    sender: &SyncSender<FleetEvent>,
) {
    let count = jobs.len().min(context.common.fanout);
    let jobs = WorkQueue::new(jobs);
    for _ in 0..count {
        let (context, jobs, sender) = (Arc::clone(context), Arc::clone(&jobs), sender.clone());
        let worker = move || {
            while let Some((target, job)) = jobs.next() {
                let reporter = reporter(target, &sender);
                if let Err(why) = job::cancel(&context, &reporter, &job) {
                    reporter.note(why);
                }
            }
        };
        // Where no thread can be had, the job runs on, and its follower says so.
        let _ = std::thread::Builder::new().stack_size(STACK).spawn(worker);
    }
}
