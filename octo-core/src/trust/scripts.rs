//! scripts=: the scripts that a target's sysadmin installed for a pusher.

use super::decide::is_script_name;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{check_trusted, open_resolved};
use std::fs::File;
use std::path::{Path, PathBuf};

/// An entry of a scripts= directory that could be a script.
#[derive(Debug)]
pub struct Installed {
    /// By which it is run.
    pub name: String,
    /// Why it can't be.
    pub unsound: Option<Error>,
}

/// Opens a script of this directory by its name, and says where it is, links
/// resolved. It, what it links to, and all directories above them must be such
/// that only root or this user could have written them.
///
/// # Errors
/// Exit 65 where there is none of this name, 78 where it can't be believed.
pub fn open(directory: &Path, name: &str) -> Result<(File, PathBuf)> {
    if !is_script_name(name) {
        return Err(Error::new(Exit::Data, format!("'{name}'"), "not the name of a script"));
    }
    open_resolved(&directory.join(name))
}

/// What is installed in this directory, in the order of the names.
///
/// # Errors
/// Where the directory can't be believed or read.
pub fn installed(directory: &Path) -> Result<Vec<Installed>> {
    let resolved = check_trusted(directory)?;
    let entries = std::fs::read_dir(&resolved).map_err(|e| Error::io(directory, &e))?;
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(directory, &e))?;
        let Some(name) = entry.file_name().to_str().map(str::to_string) else { continue };
        if !is_script_name(&name) || entry.path().is_dir() {
            continue;
        }
        let unsound = open(directory, &name).err();
        all.push(Installed { name, unsound });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_what_nobody_else_could_have_written() {
        let top = tempfile::tempdir().expect("tempdir");
        let (scripts, loose) = (top.path().join("scripts"), top.path().join("loose"));
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        };
        for (directory, bits) in [(&scripts, 0o755), (&loose, 0o777)] {
            std::fs::create_dir(directory).expect("mkdir");
            mode(directory, bits);
            std::fs::write(directory.join("release"), "#!/bin/sh\n").expect("write");
            mode(&directory.join("release"), 0o755);
        }
        std::fs::write(scripts.join("writable"), "").expect("write");
        mode(&scripts.join("writable"), 0o666);
        std::fs::write(scripts.join(".hidden"), "").expect("write");
        std::fs::create_dir(scripts.join("folder")).expect("mkdir");
        symlink("release", scripts.join("linked")).expect("symlink");
        symlink("../loose/release", scripts.join("out")).expect("symlink");
        symlink("nowhere", scripts.join("dangling")).expect("symlink");

        let (_, path) = open(&scripts, "linked").expect("sound");
        assert_eq!(path, scripts.join("release").canonicalize().expect("canonical"));
        for (name, exit) in [
            ("none", Exit::Data),
            ("dangling", Exit::Data),
            ("../scripts/release", Exit::Data),
            ("..", Exit::Data),
            (".hidden", Exit::Data),
            ("-release", Exit::Data),
            ("release\n", Exit::Data),
            ("folder", Exit::Configuration),
            ("writable", Exit::Configuration),
            ("out", Exit::Configuration),
        ] {
            assert_eq!(open(&scripts, name).expect_err(name).exit, exit, "{name}");
        }
        // The directory's own name may be a link out of a safe place.
        let link = top.path().join("link");
        symlink("loose", &link).expect("symlink");
        assert_eq!(open(&link, "release").expect_err("loose").exit, Exit::Configuration);
        let all = installed(&scripts).expect("readable");
        let sound: Vec<&str> =
            all.iter().filter(|s| s.unsound.is_none()).map(|s| s.name.as_str()).collect();
        assert_eq!(sound, ["linked", "release"]);
        assert_eq!(all.len(), 5);
        assert_eq!(installed(&loose).expect_err("unsound").exit, Exit::Configuration);
    }
}
