//! The cgroup of a job (cgroups(7)): who is in it can't leave it without root's rights, and
//! it ends as one, however fast its processes make new ones.

mod group;
mod limits;
mod place;
mod scope;

pub(crate) use group::Group;

use octo_core::base::record::Record;
use octo_core::tentacle::job::JobDirectory;
use octo_core::trust::Resources;
use place::Place;
use rustix::process::getpid;
use std::io;
use std::process::{Child, Command};

/// Where a job's processes are, and which limits of its line hold there.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    pub(crate) group: Option<Group>,
    /// Why there is no cgroup.
    why_not: Option<String>,
    /// The limits that don't hold, each with its reason.
    without: Vec<String>,
}

impl Placed {
    /// Nobody is in it any more, or will be.
    pub(crate) fn remove(&self) {
        self.group.iter().for_each(Group::remove);
    }

    /// The same record with what is to be known about it.
    #[must_use]
    pub(crate) fn add_to(&self, record: Record) -> Record {
        let directory = self.group.as_ref().map(|group| group.directory().display());
        record
            .with_each("cgroup", directory)
            .with_each("no-cgroup", &self.why_not)
            .with_each("unlimited", &self.without)
    }
}

/// Starts what becomes a job and waits to be told what, in a cgroup of its own where there
/// can be one.
///
/// # Errors
/// Where it can't be started at all.
pub(crate) fn start(
    command: Command,
    spawn: impl Fn(Command) -> io::Result<Child>,
    job: &JobDirectory,
    resources: Resources,
) -> io::Result<(Child, Placed)> {
    let place = place::find();
    let name = group::name(job.id(), getpid());
    let mut no_scope = None;
    if let Ok(Place { unit: Some(_), mount, .. }) = &place
        && resources != Resources::default()
    {
        let scope = scope::name(&name);
        match scope::start(mount, &command, &spawn, &scope, resources) {
            Ok((child, directory)) => {
                let group = Group::of_scope(directory, scope);
                return Ok((child, Placed { group: Some(group), ..Placed::default() }));
            }
            Err(why) => no_scope = Some(why),
        }
    }
    let child = spawn(command)?;
    let group = place.and_then(|place| {
        place.check()?;
        group::sweep(&place.parent, job);
        let group = Group::make(&place.parent, &name)?;
        // What waits has not forked: this is all of the job.
        group.add(child.id()).inspect_err(|_| group.remove())?;
        Ok(group)
    });
    let without = match (&group, no_scope) {
        (_, Some(why)) => limits::none(resources, &why),
        (Ok(group), None) => limits::set(group.directory(), resources),
        (Err(_), None) => limits::none(resources, "it has no cgroup"),
    };
    let (group, why_not) = group.map_or_else(|why| (None, Some(why)), |group| (Some(group), None));
    Ok((child, Placed { group, why_not, without }))
}
