//! Files in which scripts find what came of a run (`--end`, `--outputs`): whole
//! or not there, and never those of an older run.
//!
//! What is no regular file, such as a pipe, is written to as it is; so is a link
//! in /dev or /proc: /dev/stdout may lead to a file, and is not ours to replace.

use crate::base::error::{Error, Exit, Result};
use crate::base::publish::{TEMPORARY_PREFIX, parent, replace, replace_together};
use rustix::fs::{Access, access};
use rustix::process::geteuid;
use std::collections::{HashMap, HashSet};
use std::fs::{Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Could [`write()`] write it? Touches nothing: asked before anything is begun.
///
/// # Errors
/// Exit 73, with what is in the way.
pub fn check(path: &Path) -> Result<()> {
    could(path, true).map_err(|error| cannot(path, &error))
}

/// As [`check`], of a file that is opened and emptied where it is.
///
/// # Errors
/// As there.
pub fn check_opened(path: &Path) -> Result<()> {
    could(path, false).map_err(|error| cannot(path, &error))
}

/// Are the results of different options different files, and none of the run's own
/// inputs? Each file comes with the option that names it. What is no file, such as
/// a terminal or /dev/null, may be shared.
///
/// # Errors
/// Exit 64, naming both options.
pub fn check_apart<'a>(
    inputs: impl IntoIterator<Item = (&'a str, PathBuf)>,
    results: impl IntoIterator<Item = (&'a str, PathBuf)>,
) -> Result<()> {
    let mut results = results.into_iter().peekable();
    if results.peek().is_none() {
        // Most calls make none: nothing is looked at.
        return Ok(());
    }
    let mut taken: HashMap<FileIdentity, &str> = HashMap::new();
    for (option, path) in inputs {
        taken.extend(identities(&path).map(|identity| (identity, option)));
    }
    for (option, path) in results {
        for identity in identities(&path) {
            let other = *taken.entry(identity).or_insert(option);
            if other != option {
                let shown = path.display();
                return Err(Error::usage(format!("{option} {shown}: {other} is the same file")));
            }
        }
    }
    Ok(())
}

/// What makes two paths the same file: also one that isn't there yet has a place.
#[derive(PartialEq, Eq, Hash)]
enum FileIdentity {
    Place(PathBuf),
    File(u64, u64),
}

fn identities(path: &Path) -> impl Iterator<Item = FileIdentity> {
    let (mut place, mut file) = (None, None);
    if is_replaced(path) {
        let directory = parent(path).canonicalize().ok();
        let name = path.file_name();
        place =
            directory.zip(name).map(|(directory, name)| FileIdentity::Place(directory.join(name)));
        file = path.metadata().ok().map(|found| FileIdentity::File(found.dev(), found.ino()));
    }
    place.into_iter().chain(file)
}

/// Right before a run begins: makes sure that its files can be made where [`check`]
/// thought so, then removes those of an older run. Whoever finds one from then on
/// has this run's.
///
/// # Errors
/// Exit 73, or 74 and its kin where an old file can't be removed.
pub fn begin(paths: &[PathBuf]) -> Result<()> {
    let replaced = || paths.iter().filter(|path| is_replaced(path));
    try_parents(replaced())?;
    for path in replaced().filter(|path| path.exists()) {
        std::fs::remove_file(path).map_err(|error| {
            let said = Error::doing("remove", path, &error);
            let is_denied = error.kind() == ErrorKind::PermissionDenied;
            if is_denied { said.exit(Exit::CannotCreate) } else { said }
        })?;
    }
    Ok(())
}

/// Right before a run begins: makes sure that those files can be made which are
/// opened where they are, and are not there yet. It makes and empties none.
///
/// # Errors
/// Exit 73.
pub fn try_opened(paths: &[PathBuf]) -> Result<()> {
    try_parents(paths.iter().filter(|path| !path.exists()))
}

/// Writes it.
///
/// # Errors
/// Exit 73 or 74.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    if is_replaced(path) {
        return replace(path, bytes, mode);
    }
    OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|error| Error::io(path, &error))
}

/// Writes those of these that are files of their own, and brings them to the disk
/// together; the others, such as pipes, get nothing.
///
/// # Errors
/// Exit 73 or 74.
pub fn write_together(mut files: Vec<(PathBuf, Vec<u8>)>, mode: u32) -> Result<()> {
    files.retain(|(path, _)| is_replaced(path));
    replace_together(&files, mode)
}

fn try_parents<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    let mut tried = HashSet::new();
    for path in paths.filter(|path| tried.insert(parent(path))) {
        let mut probe = tempfile::Builder::new();
        let probe = probe.prefix(TEMPORARY_PREFIX).tempfile_in(parent(path));
        probe.and_then(|probe| probe.close()).map_err(|error| cannot(path, &error))?;
    }
    Ok(())
}

fn could(path: &Path, replaces: bool) -> io::Result<()> {
    let name = path.as_os_str().as_bytes();
    match path.metadata() {
        Ok(found) if found.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(_) if !replaces || !is_replaced(path) => Ok(access(path, Access::WRITE_OK)?),
        Err(error) if error.kind() != ErrorKind::NotFound || name.is_empty() => Err(error),
        Err(_) if name.ends_with(b"/") => Err(ErrorKind::IsADirectory.into()),
        // Also where it is there: it is renamed in, and the old one removed.
        _ => {
            access(parent(path), Access::WRITE_OK | Access::EXEC_OK)?;
            match path.symlink_metadata() {
                Ok(entry) => may_remove(&parent(path).metadata()?, &entry, geteuid().as_raw()),
                Err(_) => Ok(()),
            }
        }
    }
}

/// In a sticky directory, access(2) says yes to what unlink(2) and rename(2) refuse.
fn may_remove(directory: &Metadata, entry: &Metadata, us: u32) -> io::Result<()> {
    let is_sticky = directory.mode() & 0o1000 != 0;
    if is_sticky && us != 0 && directory.uid() != us && entry.uid() != us {
        return Err(rustix::io::Errno::PERM.into());
    }
    Ok(())
}

fn cannot(path: &Path, error: &io::Error) -> Error {
    Error::doing("create", path, error).exit(Exit::CannotCreate)
}

/// Is it a file of its own, whose older content goes? What is none keeps what it has.
pub fn is_replaced(path: &Path) -> bool {
    if path.exists() && !path.is_file() {
        return false;
    }
    let full = std::path::absolute(path).unwrap_or_default();
    !(path.is_symlink() && (full.starts_with("/dev") || full.starts_with("/proc")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_could_not_be_written_is_said_and_nothing_is_touched() {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "old").expect("write");
        std::fs::create_dir(at("sub")).expect("mkdir");
        let long = "x".repeat(300);
        for (name, said) in [
            ("none/x", "no such file"),
            ("file/x", "not a directory"),
            ("file/", "not a directory"),
            ("sub", "is a directory"),
            ("new/", "is a directory"),
            (&long, "name too long"),
        ] {
            for error in
                [check(&at(name)).expect_err(name), check_opened(&at(name)).expect_err(name)]
            {
                assert_eq!(error.exit, Exit::CannotCreate, "{name}");
                assert!(error.message.contains(said), "{error}");
            }
        }
        assert_eq!(check(Path::new("")).expect_err("no name").exit, Exit::CannotCreate);
        for name in ["file", "new", "sub/new"] {
            check(&at(name)).and_then(|()| check_opened(&at(name))).expect(name);
        }
        check(Path::new("a-file-of-the-working-directory")).expect("its parent is .");
        assert_eq!(std::fs::read(at("file")).expect("read"), b"old");
        assert!(!at("new").exists());
        // Where only trying can tell, it is tried before an older file goes.
        let error = begin(&[at("file"), "/proc/new".into()]).expect_err("not in /proc");
        assert_eq!(error.exit, Exit::CannotCreate);
        assert_eq!(std::fs::read(at("file")).expect("read"), b"old");
    }

    #[test]
    fn what_is_not_ours_in_a_sticky_directory_stays_there() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path();
        std::fs::write(path.join("file"), "old").expect("write");
        let metadata = |path: &Path| path.metadata().expect("stat");
        let ours = metadata(path).uid();
        let removed = |us| may_remove(&metadata(path), &metadata(&path.join("file")), us);
        let other = ours + 1;
        removed(other).expect("what the directory's mode says is asked elsewhere");
        std::fs::set_permissions(path, Permissions::from_mode(0o1777)).expect("chmod");
        for (us, may) in [(ours, true), (0, true), (other, false)] {
            assert_eq!(removed(us).is_ok(), may, "{us}");
        }
        let error = cannot(path, &removed(other).expect_err("not ours"));
        assert_eq!(error.exit, Exit::CannotCreate);
    }

    #[test]
    fn one_file_is_no_result_of_two_options() {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("old"), "old").expect("write");
        std::fs::hard_link(at("old"), at("hard")).expect("link");
        std::os::unix::fs::symlink("old", at("soft")).expect("symlink");
        std::os::unix::fs::symlink(".", at("here")).expect("symlink");
        mkfifoat(CWD, at("pipe"), Mode::from_raw_mode(0o600)).expect("mkfifo");
        for (one, other, apart) in [
            ("new", "new", false),
            ("new", "./new", false),
            ("new", "here/new", false),
            ("old", "hard", false),
            ("soft", "old", false),
            ("new", "other", true),
            ("pipe", "pipe", true),
            ("/dev/null", "/dev/null", true),
            ("/dev/stdout", "/dev/stdout", true),
        ] {
            let checked = check_apart([], [("--end", at(one)), ("-o", at(other))]);
            assert_eq!(checked.is_ok(), apart, "{one} {other}");
            let checked = check_apart([("-S", at(one))], [("--end", at(other))]);
            assert_eq!(checked.is_ok(), apart, "{one} {other}");
        }
        let same = check_apart([], [("--end", at("new")), ("-o", at("new"))]).expect_err("same");
        let said = format!("-o {}: --end is the same file", at("new").display());
        assert_eq!((same.exit, same.message), (Exit::Usage, said));
        // Two inputs may be, and the targets of one option are told apart by their names.
        check_apart([("-S", at("old")), ("-E", at("hard"))], []).expect("only read");
        check_apart([], [("--end", at("old")), ("--end", at("hard"))]).expect("one option");
    }

    #[test]
    fn a_file_is_replaced_and_what_is_none_is_written_to() {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "old").expect("write");
        begin(&[at("file"), at("new")]).expect("begun");
        assert!(!at("file").exists());
        write(&at("file"), b"new", 0o600).expect("written");
        assert_eq!(std::fs::read(at("file")).expect("read"), b"new");
        mkfifoat(CWD, at("pipe"), Mode::from_raw_mode(0o600)).expect("mkfifo");
        check(&at("pipe")).and_then(|()| begin(&[at("pipe")])).expect("a pipe stays");
        let reader = std::thread::spawn({
            let pipe = at("pipe");
            move || std::fs::read(pipe).expect("read")
        });
        write(&at("pipe"), b"new", 0o600).expect("written");
        assert_eq!(reader.join().expect("read"), b"new");
        // As a shell's /dev/stdout, where it goes to a file.
        let open = OpenOptions::new().append(true).open(at("file")).expect("open");
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
        let link = Path::new(&link);
        check(link).and_then(|()| begin(&[link.into()])).expect("the file stays");
        write(link, b"er", 0o600).expect("written");
        assert_eq!(std::fs::read(at("file")).expect("read"), b"newer");
    }
}
