//! From the command line's words to targets: `failed:LAST`, `unreachable:LAST`, the
//! targets of a job on record, and the warning about clones.

use crate::cli::call::Call;
use crate::cli::options::Common;
use crate::output::screen::Screen;
use crate::records::end_files;
use crate::records::results::{self, RunRecord, TargetResult};
use crate::target::context::Context;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::JobId;
use octo_core::base::nearest::nearest;
use octo_core::base::paths::Places;
use octo_core::targets::{Selection, Target, Targets, Term, fold, words};
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
    let mut common = call.common.clone();
    end_files::check_files(&common, [], [])?;
    let mut screen = Screen::of(call.said.tool());
    let all = Targets::load(&common.places, common.targets.as_ref())?;
    let targets = select(&common, &all, of_job)?;
    if targets.is_empty() {
        return Ok(None);
    }
    if let Some(canary) = &common.rolling.canary {
        let terms = terms(&common.places, canary)?;
        common.rolling.canaries = all.named_by(&terms)?.map(|t| t.name.to_string()).collect();
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
    let places = &common.places;
    let mut selection = Selection {
        all: common.all,
        take: common.take.iter().map(|said| terms(places, said)).collect::<Result<_>>()?,
        leave: Vec::new(),
        shard: common.shard,
    };
    for said in &common.leave {
        selection.leave.extend(terms_or_none(places, said)?);
    }
    let asked = of_job.asked();
    if !selection.all && selection.take.is_empty() && !asked.is_empty() {
        selection.take.push(vec![Term::Names(asked)]);
    }
    Ok(targets.select(&selection)?.into_iter().cloned().collect())
}

/// The terms of one SELECT; each job on record is read once, however often it is named.
///
/// # Errors
/// As [`words`]; exit 65 where no such run is on record or it has no such target, 64 for
/// what is no job, 74 where the journal can't be read.
pub(crate) fn terms(places: &Places, said: &str) -> Result<Vec<Term>> {
    recall(places, said, Recalled::some)
}

/// As [`terms`], of what is left out or not asked: where all were reached that is nobody.
///
/// # Errors
/// As [`terms`].
pub(crate) fn terms_or_none(places: &Places, said: &str) -> Result<Vec<Term>> {
    recall(places, said, Recalled::names)
}

fn recall(places: &Places, said: &str, names: RecalledNames) -> Result<Vec<Term>> {
    let (mut terms, mut seen) = (Vec::new(), HashSet::new());
    for word in words(said)? {
        match word.split_once(':') {
            None => terms.push(Term::Word(word)),
            Some((kind, which)) => match Recalled::named(kind) {
                Some(recalled) if seen.insert(word.clone()) => {
                    terms.push(Term::Names(names(recalled, places, &word, which)?));
                }
                Some(_) => {}
                None => return Err(unknown(kind, &word)),
            },
        }
    }
    Ok(terms)
}

/// No name and no tag has a colon.
fn unknown(kind: &str, word: &str) -> Error {
    let shown = printable(word.as_bytes());
    let error = Error::new(Exit::Data, shown, "no target and no tag has this name");
    let meant = nearest(kind, RECALLED.iter().map(|recalled| recalled.kind));
    error.hint(match meant {
        Some(meant) => format!("did you mean {meant}:LAST?"),
        None => "of a run there are failed: and unreachable:, with JOB or LAST behind it".into(),
    })
}

/// What `failed:JOB` and its kin recall.
struct Recalled {
    kind: &'static str,
    of: fn(&RunRecord) -> HashSet<String>,
    /// What is said where there is none.
    none: &'static str,
}

static RECALLED: [Recalled; 2] = [
    Recalled {
        kind: "failed",
        of: |record| record.with_result(TargetResult::Failed),
        none: "no target failed in that run",
    },
    Recalled {
        kind: "unreachable",
        of: RunRecord::unreachable,
        none: "each target was reached in that run",
    },
];

/// From where things are, the whole word, and what stands behind its colon.
type RecalledNames = fn(&Recalled, &Places, &str, &str) -> Result<HashSet<String>>;

impl Recalled {
    fn named(kind: &str) -> Option<&'static Recalled> {
        RECALLED.iter().find(|recalled| recalled.kind == kind)
    }

    fn names(&self, places: &Places, word: &str, which: &str) -> Result<HashSet<String>> {
        let (shown, kind) = (printable(word.as_bytes()), self.kind);
        let run =
            match which {
                "LAST" => results::last_run(places)?,
                id => Some(JobId::parse(id).ok_or_else(|| {
                    Error::usage(format!("{shown}: not {kind}:LAST or {kind}:JOB"))
                })?),
            };
        let record = match run {
            Some(run) => RunRecord::read(places, &run)?,
            None => RunRecord::default(),
        };
        if !record.has_results() {
            return Err(
                Error::new(Exit::Data, shown, "no such run is on record").hint("octo-push journal")
            );
        }
        Ok((self.of)(&record))
    }

    /// As [`Recalled::names`]; that there is none is an error.
    fn some(&self, places: &Places, word: &str, which: &str) -> Result<HashSet<String>> {
        let names = self.names(places, word, which)?;
        if names.is_empty() {
            return Err(Error::new(Exit::Data, printable(word.as_bytes()), self.none));
        }
        Ok(names)
    }
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
