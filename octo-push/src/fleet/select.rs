//! From the command line's words to targets: `failed:LAST`, the targets of a
//! job on record, and the warning about clones.

use crate::cli::call::Call;
use crate::cli::options::Common;
use crate::output::screen::Screen;
use crate::records::end_files;
use crate::records::results::{self, RunRecord, TargetResult};
use crate::target::context::Context;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::JobId;
use octo_core::targets::{Selection, Target, Targets, Term, fold, names_file, read_names};
use std::collections::HashSet;

/// The targets that are meant with what all workers share, and where we print;
/// `None` where a shard has no target: the others have all there is.
///
/// # Errors
/// As [`select`]; exit 78 for targets file or identity, 64 or 73 for a file of
/// `--record` that can't be.
pub(crate) fn begin(call: &Call) -> Result<Option<(Screen, Context)>> {
    begin_with(call, &RunRecord::default())
}

/// As [`begin`], with what is on record of this job: unless told otherwise, the targets
/// that it was pushed to are meant.
///
/// # Errors
/// As [`begin`]; exit 74, where the journal can't be read.
pub(crate) fn begin_of_job(
    call: &Call,
    job: &JobId,
) -> Result<Option<(Screen, Context, RunRecord)>> {
    let record = RunRecord::read(&call.common.places, job)?;
    Ok(begin_with(call, &record)?.map(|(screen, context)| (screen, context, record)))
}

fn begin_with(call: &Call, of_job: &RunRecord) -> Result<Option<(Screen, Context)>> {
    let common = call.common.clone();
    end_files::check_files(&common, [], [])?;
    let mut screen = Screen::of(call.said.tool());
    let all = Targets::load(&common.places, common.targets.as_ref())?;
    let targets = select(&common, &all, of_job)?;
    if targets.is_empty() {
        return Ok(None);
    }
    if !common.quiet {
        for said in &all.said {
            screen.say(said);
        }
        warn_of_clones(&mut screen, &all, &targets);
    }
    Ok(Some((screen, Context::new(common, targets)?)))
}

/// The targets that are meant: where nothing is said, those of this record.
///
/// # Errors
/// As [`Targets::select`].
pub(crate) fn select(
    common: &Common,
    targets: &Targets,
    of_job: &RunRecord,
) -> Result<Vec<Target>> {
    let mut selection = Selection {
        all: common.all,
        take: common.take.iter().map(|said| terms(common, said)).collect::<Result<_>>()?,
        leave: Vec::new(),
        shard: common.shard,
    };
    for said in &common.leave {
        selection.leave.extend(terms(common, said)?);
    }
    let asked = of_job.asked();
    if !selection.all && selection.take.is_empty() && !asked.is_empty() {
        selection.take.push(vec![Term::Names(asked)]);
    }
    Ok(targets.select(&selection)?.into_iter().cloned().collect())
}

fn terms(common: &Common, said: &str) -> Result<Vec<Term>> {
    let Some(file) = names_file(said) else {
        return said.split(',').map(|word| term(common, word)).collect();
    };
    Ok(read_names(file)?.into_iter().map(Term::Word).collect())
}

fn term(common: &Common, word: &str) -> Result<Term> {
    let Some(which) = word.strip_prefix("failed:") else { return Ok(Term::Word(word.to_string())) };
    let shown = printable(word.as_bytes());
    let run = match which {
        "LAST" => results::last_run(&common.places)?,
        id => Some(
            JobId::parse(id)
                .ok_or_else(|| Error::usage(format!("{shown}: not failed:LAST or failed:JOB")))?,
        ),
    };
    let record = match run {
        Some(run) => RunRecord::read(&common.places, &run)?,
        None => RunRecord::default(),
    };
    if !record.has_results() {
        return Err(
            Error::new(Exit::Data, shown, "no such run is on record").hint("octo-push journal")
        );
    }
    let failed = record.with_result(TargetResult::Failed);
    if failed.is_empty() {
        return Err(Error::new(Exit::Data, shown, "no target failed in that run"));
    }
    Ok(Term::Names(failed))
}

/// Warns where targets share a thumbprint: a cloned machine would take what is
/// meant for another.
fn warn_of_clones(screen: &mut Screen, all: &Targets, selected: &[Target]) {
    let shared = all.shared_thumbprints();
    if shared.is_empty() {
        return;
    }
    let selected: HashSet<&str> = selected.iter().map(|t| t.name.as_str()).collect();
    for (thumbprint, targets) in shared {
        let names: Vec<&str> = targets.iter().map(|t| t.name.as_str()).collect();
        if names.iter().any(|name| selected.contains(name)) {
            screen.say(format!(
                "warning: {} share the thumbprint {thumbprint}: is one a clone of another?",
                fold(names)
            ));
        }
    }
}
