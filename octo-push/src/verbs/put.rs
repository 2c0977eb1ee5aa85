//! `put`: files into the package store of each target.

use crate::cli::call::Call;
use crate::fleet::fan_out::{self, FanOut};
use crate::fleet::packages::{hash, with_bases};
use crate::fleet::select;
use crate::records::end_files;
use crate::target::attempts;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use crate::target::package::digests::DigestCache;
use crate::target::package::upload::{Package, Put};
use crate::target::question;
use crate::target::request::JobPlan;
use crate::target::retry::Gain;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::trust::Verb;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) fn run(call: &Call) -> Result<u8> {
    let files = call.said.counted(1..=usize::MAX)?;
    let Some((mut screen, context)) = select::begin(call)? else { return Ok(0) };
    let inputs = files.iter().map(|file| ("FILE", PathBuf::from(file)));
    end_files::check_files(&context.common, inputs, [])?;
    let mut digests = DigestCache::load(&call.common.places);
    let mut packages: Vec<Arc<Package>> = Vec::new();
    for file in files {
        let package = Package::open(file, &digests)?;
        let package = with_bases(package, &call.common, &mut digests)?;
        // Of many uploads the hashing would get but a small share of the processor, and a
        // patch is not sent ahead.
        let alone = context.targets.len() == 1 && !package.has_bases();
        if call.common.dry_run || !alone || !package.is_large() {
            hash(&package, &mut digests, &mut screen)?;
        }
        packages.push(Arc::new(package));
    }
    let what = if call.common.dry_run { described(&packages)? } else { String::new() };
    let sent = packages.clone();
    let fan_out = FanOut {
        what,
        journal: Some(Verb::Put),
        packages: packages.clone(),
        ..FanOut::asking(move |context, reporter| put(context, reporter, &sent, None))
    };
    let status = fan_out::run(screen, context, fan_out)?;
    packages.iter().for_each(|package| package.remember(&mut digests));
    Ok(status)
}

/// What is put, in a few words.
///
/// # Errors
/// Where it could not be hashed.
pub(super) fn described(packages: &[Arc<Package>]) -> Result<String> {
    let mut said = Vec::new();
    for package in packages {
        said.push(format!("put {} {}", printable(package.name.as_bytes()), package.digest()?));
    }
    Ok(said.join(", "))
}

/// Puts them, where the job that they are for would be accepted.
pub(super) fn put(
    context: &Context,
    reporter: &Reporter,
    packages: &[Arc<Package>],
    job: Option<&JobPlan>,
) -> Outcome {
    let mut said = Vec::new();
    let done = attempts::transfer(context, reporter, |client, retry| {
        if let Some(plan) = job {
            question::ask(client, &context.targets[reporter.target], plan, &plan.id)?;
        }
        // What was put over a connection that broke since is put.
        for package in &packages[said.len()..] {
            let name = printable(package.name.as_bytes());
            said.push(match package.put(client, context, reporter, retry)? {
                Put::There => format!("{name} was there"),
                Put::Sent(sent) => format!("{name} put, {}", sent.said()),
            });
            retry.gain(Gain::Files, said.len() as u64);
        }
        Ok(())
    });
    match done {
        Ok(()) => {
            said.splice(0..0, job.map(|_| question::YES.to_string()));
            Outcome { message: said.join(", "), ..Outcome::done() }
        }
        Err(error) => {
            // The journal names what was not put: it is waited for here, not there.
            packages.iter().for_each(|package| drop(package.digest()));
            Outcome::failed(context, error)
        }
    }
}
