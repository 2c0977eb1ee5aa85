//! Where a job can have a cgroup: in the tree of version 2, beneath that of this process
//! (cgroups(7)). systemd's units are its own but for those that it has delegated.

use octo_core::base::cgroups;
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A cgroup of this name is octo-exec's alone, and the one above it has controllers to give.
const OWN: &str = "octo-exec";

/// What systemd sets on the directory of a unit with Delegate=yes (systemd.resource-control(5));
/// user. since version 251.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// Where we are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where the tree is mounted.
    pub(super) mount: PathBuf,
    /// The directory beneath which jobs have theirs.
    pub(super) parent: PathBuf,
    /// The unit of systemd that this process belongs to: its directory.
    pub(super) unit: Option<PathBuf>,
}

/// Where this process is.
///
/// # Errors
/// Why it has no place there, in words.
pub(super) fn find() -> Result<Place, String> {
    let read = |path: &str| fs::read(path).map_err(|error| format!("{path}: {error}"));
    let place = of(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)?;
    match place.parent.join("cgroup.procs").exists() {
        true => Ok(place),
        false => Err(format!("{} is no cgroup", place.parent.display())),
    }
}

impl Place {
    /// May we have cgroups of our own here?
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(unit) = &self.unit else { return Ok(()) };
        let is_delegated = |name: &str| {
            let mut value = [0; 8];
            rustix::fs::getxattr(unit, name, &mut value).is_ok_and(|size| value[..size] == *b"1")
        };
        // The manager of a user sets none, and gives the directory to him instead.
        let is_given = !geteuid().is_root()
            && unit.metadata().is_ok_and(|metadata| metadata.uid() == geteuid().as_raw());
        if is_given || DELEGATED.iter().any(|name| is_delegated(name)) {
            return Ok(());
        }
        let name = unit.file_name().unwrap_or_default().display();
        Err(format!("{name} is systemd's own: Delegate=yes in a unit gives it to octo-exec"))
    }
}

/// Read off /proc/self/mountinfo and /proc/self/cgroup (proc(5)).
fn of(mounts: &[u8], own: &[u8]) -> Result<Place, String> {
    let (cgroups::Mount { point: mount, .. }, beneath) = cgroups::place(mounts, own)?;
    let own = mount.join(&beneath);
    let is_ours = beneath.file_name().is_some_and(|name| name == OWN);
    let parent = own.parent().filter(|_| is_ours).unwrap_or(&own).to_path_buf();
    let is_unit =
        |path: &&Path| path.extension().is_some_and(|kind| kind == "service" || kind == "scope");
    // The innermost: a user's manager is a unit, too, and those in it are its own.
    let unit = beneath.ancestors().find(is_unit).map(|unit| mount.join(unit));
    Ok(Place { mount, parent, unit })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:7 - cgroup2 cgroup rw\n";

    fn found(mounts: &str, own: &str) -> Result<(String, Option<String>), String> {
        let place = of(mounts.as_bytes(), own.as_bytes())?;
        let text = |path: &Path| path.display().to_string();
        Ok((text(&place.parent), place.unit.as_deref().map(text)))
    }

    #[test]
    fn it_is_beneath_the_own_cgroup() {
        let pure = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let part = "30 23 0:26 /docker/1 /cg\\040two rw - cgroup2 cgroup2 rw\n";
        for (mounts, own, parent, unit) in [
            (BOTH, "9:name=systemd:/\n0::/\n", "/sys/fs/cgroup/unified/", None),
            (BOTH, "0::/a/b\n", "/sys/fs/cgroup/unified/a/b", None),
            (pure, "0::/octo/octo-exec\n", "/sys/fs/cgroup/octo", None),
            (part, "0::/docker/1/x\n", "/cg two/x", None),
            (
                pure,
                "0::/system.slice/octo-exec.service\n",
                "/sys/fs/cgroup/system.slice/octo-exec.service",
                Some("/sys/fs/cgroup/system.slice/octo-exec.service"),
            ),
            (
                pure,
                "0::/user.slice/user-1.slice/user@1.service/app.slice/x.service/octo-j\n",
                "/sys/fs/cgroup/user.slice/user-1.slice/user@1.service/app.slice/x.service/octo-j",
                Some("/sys/fs/cgroup/user.slice/user-1.slice/user@1.service/app.slice/x.service"),
            ),
        ] {
            let wanted = (parent.to_string(), unit.map(str::to_string));
            let (parent, unit) = found(mounts, own).expect(own);
            assert_eq!((PathBuf::from(parent), unit), (PathBuf::from(wanted.0), wanted.1));
        }
    }

    #[test]
    fn where_there_is_none_it_is_said() {
        let first = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let apart = "30 23 0:26 /docker/1 /cg rw - cgroup2 cgroup2 rw\n";
        for (mounts, own, said) in [
            (first, "0::/\n", "is mounted"),
            (BOTH, "4:memory:/\n", "no cgroup of version 2"),
            (BOTH, "", "no cgroup of version 2"),
            (BOTH, "0::/../x\n", "outside"),
            (apart, "0::/docker/2\n", "is mounted"),
            ("", "0::/\n", "is mounted"),
            ("- cgroup2\n1 2 3\n", "0::/\n", "is mounted"),
        ] {
            let why = found(mounts, own).expect_err(own);
            assert!(why.contains(said), "{why}");
        }
    }
}
