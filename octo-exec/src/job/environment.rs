//! The environment of a job: cleared, then what is listed here and nothing else.

use crate::admission::admit::Plan;
use crate::job::user::User;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::Spec;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The path of every job, and of the base utilities we call.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All variables of a job, in the order in which later ones win: the pusher's,
/// the sysadmin's set=, ours.
pub(crate) fn variables(
    places: &Places,
    job: &JobDirectory,
    plan: &Plan,
    spec: &Spec,
    secrets: &[(octo_core::VariableName, Vec<u8>)],
    user: &User,
) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = Vec::new();
    let text = |value: &str| OsString::from(value);
    all.push((text("LANG"), text("C.UTF-8")));
    for (name, value) in spec.environment.iter().chain(secrets) {
        all.push((text(name.as_str()), OsStr::from_bytes(value).to_os_string()));
    }
    for (name, value) in &plan.set {
        all.push((text(name.as_str()), text(value)));
    }
    let mut ours = |name: &str, value: OsString| all.push((text(name), value));
    ours("PATH", text(PATH));
    ours("HOME", text(&user.home));
    ours("USER", text(&user.name));
    ours("LOGNAME", text(&user.name));
    ours("SHELL", text(&user.shell));
    ours("OCTO_JOB", text(job.id().as_str()));
    ours("OCTO_PUSHER", text(&plan.pusher));
    ours("OCTO_CONFIG", places.config.clone().into_os_string());
    ours("OCTO_OUTPUT", job.file(crate::job::prepare::VALUES).into_os_string());
    ours("OCTO_ARTIFACTS", job.file("artifacts").into_os_string());
    if plan.named.is_some() {
        ours("OCTO_NAMED", text("1"));
    }
    if let Some((digest, name)) = &spec.package {
        ours("OCTO_PACKAGE", job.file("package").into_os_string());
        ours("OCTO_PACKAGE_NAME", OsString::from_vec(name.clone().into_bytes()));
        ours("OCTO_PACKAGE_SHA256", text(&digest.to_string()));
    }
    all
}
