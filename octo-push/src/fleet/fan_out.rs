//! One task for all targets, and its summary: every verb but run and follow.

use crate::cli::call::Call;
use crate::fleet::main_loop::Fleet;
use crate::fleet::workers::Task;
use crate::fleet::{conclusion, select};
use crate::output::screen::Screen;
use crate::output::views::choice;
use crate::records::end_files;
use crate::records::writer::{JournalWriter, new_id};
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use crate::target::package::upload::Package;
use octo_core::base::cli::print;
use octo_core::base::error::Result;
use octo_core::trust::Verb;
use std::sync::Arc;
use std::time::Duration;

/// The stack of the thread that hashes.
const STACK: usize = 64 * 1024;

/// What is done with each target.
pub(crate) struct FanOut {
    /// What `--dry-run` says of it.
    pub(crate) what: String,
    /// Its verb in the journal; a question changes nothing and leaves no line.
    pub(crate) journal: Option<Verb>,
    /// What is sent.
    pub(crate) packages: Vec<Arc<Package>>,
    /// What a worker does with one target.
    pub(crate) task: Arc<Task>,
    /// Those that are not done by then are left to themselves.
    pub(crate) within: Option<Duration>,
}

impl FanOut {
    /// A question.
    pub(crate) fn asking(
        task: impl Fn(&Context, &Reporter) -> Outcome + Send + Sync + 'static,
    ) -> FanOut {
        FanOut {
            what: "ask".into(),
            journal: None,
            packages: Vec::new(),
            task: Arc::new(task),
            within: None,
        }
    }
}

/// Asks the selected targets a question that has no arguments.
pub(crate) fn ask(
    call: &Call,
    question: impl Fn(&Context, &Reporter) -> Outcome + Send + Sync + 'static,
) -> Result<u8> {
    call.said.counted(0..=0)?;
    match select::begin(call)? {
        Some((screen, context)) => run(screen, context, FanOut::asking(question)),
        None => Ok(0),
    }
}

/// Does it with all targets, or says what it would do.
///
/// # Errors
/// What is wrong before anything is sent; later errors are in the exit status.
pub(crate) fn run(screen: Screen, context: Context, fan_out: FanOut) -> Result<u8> {
    if context.common.dry_run {
        return describe(&context, &fan_out.what);
    }
    let mut fleet = gather(screen, context, fan_out)?;
    Ok(conclusion::of_questions(&mut fleet))
}

/// Does it with all targets, and leaves it to its caller to conclude.
///
/// # Errors
/// As [`run`].
pub(crate) fn gather(screen: Screen, context: Context, fan_out: FanOut) -> Result<Fleet> {
    let FanOut { what: _, journal, packages, task, within } = fan_out;
    let (places, by) = (&context.common.places, &context.client_config.by);
    let writer =
        |verb: Verb| Ok(JournalWriter::new(places, verb.word(), &new_id()?, by, packages.clone()));
    let journal = journal.map(writer).transpose()?;
    let views = choice::of_lists(&context.common, &context.names());
    let all: Vec<usize> = (0..context.targets.len()).collect();
    let mut fleet = Fleet::new(context, screen, views, journal)?;
    fleet.transfers = !packages.is_empty();
    fleet.leave_after(within);
    hash_meanwhile(&packages, &fleet.context);
    end_files::begin_record(&fleet.context.common)?;
    fleet.serve(&all, &task, &mut |_, _| true)?;
    conclusion::leave_questions(&mut fleet);
    Ok(fleet)
}

/// Says what would be done with each target.
///
/// # Errors
/// Exit 74 where that can't be printed.
pub(crate) fn describe(context: &Context, what: &str) -> Result<u8> {
    let targets = context.targets.iter();
    let lines = targets.map(|target| format!("{} ({}): {what}\n", target.name, target.roads));
    print(&lines.collect::<String>())?;
    Ok(0)
}

/// Hashes, one after the other, what is sent already.
fn hash_meanwhile(packages: &[Arc<Package>], context: &Arc<Context>) {
    if packages.iter().all(|package| package.unhashed().is_none()) {
        return;
    }
    let (hashed, of) = (packages.to_vec(), Arc::clone(context));
    let hasher = move || hashed.iter().for_each(|package| package.hash(&of.stop));
    let thread = std::thread::Builder::new().name("hasher".into()).stack_size(STACK);
    if thread.spawn(hasher).is_err() {
        packages.iter().for_each(|package| package.hash(&context.stop));
    }
}
