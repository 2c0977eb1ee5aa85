//! Adding lines to a trust file and removing them.
//!
//! Comments and the order stay. The file that results is parsed before it
//! replaces the old one, under a lock, so that two edits don't lose one
//! another's line; owner and mode stay as they are.

use super::head::Owner;
use super::warn::shadow_reason;
use super::{LARGEST, Trust, parse};
use crate::base::error::{Error, Exit, Result};
use crate::base::names::PusherName;
use crate::base::paths::{check_trusted, create_directory, open_trusted, read_bounded};
use crate::base::problem::Problem;
use crate::base::publish;
use crate::base::thumbprint::Thumbprint;
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A line that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The line's number.
    pub number: usize,
    /// The line itself.
    pub text: String,
    /// Older lines of the thumbprint: they decide while their conditions hold.
    pub older: Vec<usize>,
}

/// Whose lines are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those of one key.
    Thumbprint(Thumbprint),
    /// Those of a pusher, with all its keys.
    Name(PusherName),
}

/// What was removed, and what is still wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The lines, with the numbers that they had.
    pub lines: Vec<(usize, String)>,
    /// Nobody is let in as long as there are any.
    pub problems: Vec<Problem>,
}

/// Adds a line at the end; makes the file, and its directory, where there is none.
///
/// # Errors
/// Exit 64 where the options are wrong, 65 where an older line always decides
/// instead, 78 where the file is unsound; it is then as it was.
pub fn add_line(
    path: &Path,
    thumbprint: Thumbprint,
    name: &PusherName,
    options: &str,
) -> Result<Added> {
    let mut text = format!("{thumbprint} {name}");
    if !options.trim().is_empty() {
        text.push(' ');
        text.push_str(options.trim());
    }
    if text.contains('\n') {
        return Err(Error::new(Exit::Usage, "options", "a line break is in them"));
    }
    parse::line(1, text.as_bytes()).map_err(|reason| {
        Error::new(Exit::Usage, "options", reason).hint("octo-trust(5) describes the options")
    })?;

    let edit = Edit::begin(path)?;
    Trust::parse(path, &edit.bytes).map_err(|problems| Problem::error(&problems))?;
    let mut bytes = edit.bytes.clone();
    if bytes.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    let number = bytes.iter().filter(|b| **b == b'\n').count() + 1;
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(b'\n');
    let trust = Trust::parse(path, &bytes).map_err(|problems| Problem::error(&problems))?;
    if let Some(shadowed) = trust.unreachable().iter().find(|u| u.line.number == number) {
        let mut error = Error::new(
            Exit::Data,
            path.display(),
            format!("not added, as it {}", shadow_reason(&shadowed.by)),
        );
        for line in &shadowed.by {
            error = error.hint(format!("line {}: {}", line.number, line.text));
        }
        return Err(error.hint(format!("octo-keys distrust {thumbprint}, or edit that line")));
    }
    edit.commit(&bytes)?;
    let older = trust.of(thumbprint).map(|line| line.number).filter(|n| *n != number).collect();
    Ok(Added { number, text, older })
}

/// Removes all lines of a thumbprint or a name, also from an unsound file.
///
/// # Errors
/// Exit 65 where there are none, 78 where the file can't be believed.
pub fn remove_lines(path: &Path, whose: &Whose) -> Result<Removed> {
    if is_missing(path) {
        return Err(Error::new(Exit::Data, path.display(), "there is no such file"));
    }
    let edit = Edit::begin(path)?;
    let mut kept = Vec::with_capacity(edit.bytes.len());
    let mut lines = Vec::new();
    let mut number = 1;
    for piece in pieces(&edit.bytes) {
        let owner = Owner::of(piece);
        let is_theirs = match whose {
            Whose::Thumbprint(thumbprint) => owner.thumbprint.as_ref() == Some(thumbprint),
            Whose::Name(name) => owner.names.contains(name),
        };
        if is_theirs {
            lines.push((number, String::from_utf8_lossy(piece.trim_ascii()).into_owned()));
        } else {
            kept.extend_from_slice(piece);
        }
        number += usize::from(piece.ends_with(b"\n"));
    }
    if lines.is_empty() {
        let whose = match whose {
            Whose::Thumbprint(thumbprint) => thumbprint.to_string(),
            Whose::Name(name) => name.to_string(),
        };
        return Err(Error::new(Exit::Data, path.display(), format!("no line of {whose}")));
    }
    edit.commit(&kept)?;
    let problems = Trust::parse(path, &kept).err().unwrap_or_default();
    Ok(Removed { lines, problems })
}

/// The lines of a file, their ends included. A CR alone is none, but whoever
/// mends the file will make one of it.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let ends = |at: usize| match rest[at] {
            b'\r' => rest.get(at + 1) != Some(&b'\n'),
            byte => byte == b'\n',
        };
        let end = (0..rest.len()).find(|at| ends(*at)).map_or(rest.len(), |at| at + 1);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// An edit under way; the lock is held until it is dropped.
struct Edit {
    /// The file without links: a rename would else replace the link.
    path: PathBuf,
    bytes: Vec<u8>,
    old: Option<Metadata>,
    _lock: File,
}

impl Edit {
    fn begin(path: &Path) -> Result<Edit> {
        let named = path.file_name().ok_or_else(|| Error::usage("not the path of a file"))?;
        let directory = publish::parent(path);
        let missing = is_missing(path);
        let path = if missing {
            create_directory(directory, 0o755)?;
            check_trusted(directory)?.join(named)
        } else {
            check_trusted(path)?
        };
        let directory = publish::parent(&path);
        let lock = lock(directory)?;
        // Only now: another edit may have made or changed it meanwhile.
        if is_missing(&path) {
            return Ok(Edit { path, bytes: Vec::new(), old: None, _lock: lock });
        }
        let unsound = |error: Error| error.exit(Exit::Configuration);
        let mut file = open_trusted(&path).map_err(unsound)?;
        let old = file.metadata().map_err(|e| Error::io(&path, &e))?;
        let bytes = read_bounded(&mut file, &path, LARGEST).map_err(unsound)?;
        Ok(Edit { path, bytes, old: Some(old), _lock: lock })
    }

    fn commit(&self, bytes: &[u8]) -> Result<()> {
        match &self.old {
            Some(old) => publish::replace_like(&self.path, bytes, old),
            None => publish::replace(&self.path, bytes, 0o644),
        }
    }
}

/// Waits for other edits to end. The file is nobody else's to open: a lock on the
/// directory or the trust file could be held for ever by whoever may read them.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(".trusted.lock");
    let failed = |e: std::io::Error| Error::doing("lock", &path, &e);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed(e.into()))?;
    let file = File::from(file);
    let owner = directory.metadata().map_err(failed)?.uid();
    if file.metadata().map_err(failed)?.uid() != owner {
        // Root edits for a service, which must be able to do so itself later.
        std::os::unix::fs::fchown(&file, Some(owner), None).map_err(failed)?;
    }
    file.lock().map_err(failed)?;
    Ok(file)
}

fn is_missing(path: &Path) -> bool {
    matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn print(seed: &str) -> Thumbprint {
        Thumbprint::of_certificate(seed.as_bytes())
    }

    fn name(text: &str) -> PusherName {
        PusherName::parse(text).expect("a name")
    }

    #[test]
    fn lines_come_and_go_and_comments_stay() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("etc/trusted");
        let added =
            add_line(&path, print("a"), &name("ci"), "from=10.0.0.0/8 sudo").expect("added");
        assert_eq!((added.number, added.older), (1, vec![]));
        let mode = |path: &Path| path.metadata().expect("stat").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("parent"))), (0o644, 0o755));
        let text = format!(
            "# kept\n{}\r\n\n# the end, unfinished",
            std::fs::read_to_string(&path).expect("read").trim_end()
        );
        std::fs::write(&path, text).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let added = add_line(&path, print("a"), &name("ci2"), "").expect("added");
        assert_eq!((added.number, added.older), (5, vec![2]));
        add_line(&path, print("b"), &name("ci"), " hold ").expect("added");
        assert_eq!(mode(&path), 0o600);
        let before = std::fs::read_to_string(&path).expect("read");
        let (a, b) = (print("a"), print("b"));
        assert_eq!(
            before,
            format!(
                "# kept\n{a} ci from=10.0.0.0/8 sudo\r\n\n# the end, unfinished\n{a} ci2\n{b} ci hold\n"
            )
        );

        for (thumbprint, options, said) in [
            ("a", "expires=2027-01-01", (Exit::Data, "line 5 holds whenever")),
            ("c", "shell=sh", (Exit::Usage, "unknown option")),
            ("c", "sudo\nx", (Exit::Usage, "line break")),
            ("c", "user=\"x", (Exit::Usage, "not closed")),
        ] {
            let error =
                add_line(&path, print(thumbprint), &name("new"), options).expect_err(options);
            assert_eq!(error.exit, said.0);
            assert!(error.message.contains(said.1), "{error}");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), before);
        }

        let removed = remove_lines(&path, &Whose::Name(name("ci"))).expect("removed");
        assert_eq!(removed.lines.iter().map(|l| l.0).collect::<Vec<_>>(), [2, 6]);
        assert_eq!(removed.problems, []);
        let after = std::fs::read_to_string(&path).expect("read");
        assert_eq!(after, format!("# kept\n\n# the end, unfinished\n{a} ci2\n"));
        assert_eq!(
            remove_lines(&path, &Whose::Name(name("ci"))).expect_err("none").exit,
            Exit::Data
        );
        remove_lines(&path, &Whose::Thumbprint(print("a"))).expect("removed");
        assert_eq!(Trust::load(&path).expect("sound").lines, []);
    }

    #[test]
    fn an_unsound_file_takes_no_line_but_gives_one_up() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("trusted");
        let text = format!("{} ci\n{} ci oops\nx y\n# {} ci\n", print("a"), print("a"), print("a"));
        std::fs::write(&path, &text).expect("write");
        let error = add_line(&path, print("b"), &name("new"), "").expect_err("unsound");
        assert_eq!(error.exit, Exit::Configuration);
        assert!(error.message.contains("trusted:2: unknown option 'oops'"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
        let removed = remove_lines(&path, &Whose::Thumbprint(print("a"))).expect("removed");
        assert_eq!((removed.lines.len(), removed.problems.len()), (2, 1));
    }

    #[test]
    fn faulty_lines_go_by_key_and_by_name() {
        let hex = print("a").to_string();
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("trusted");
        let other = print("b");
        // A damaged digit hides the key, not the name; the CR of old line ends is one.
        let text = format!(
            "\u{feff}{hex} ci\r\n{other} bob\n{}0 ci\n{hex} é\r{other} eve\r{hex} ci oops\n",
            &hex[..62]
        );
        std::fs::write(&path, &text).expect("write");
        let removed = remove_lines(&path, &Whose::Thumbprint(print("a"))).expect("removed");
        assert_eq!(removed.lines.iter().map(|l| l.0).collect::<Vec<_>>(), [1, 4, 4]);
        assert_eq!(remove_lines(&path, &Whose::Name(name("ci"))).expect("removed").lines.len(), 1);
        let left = std::fs::read_to_string(&path).expect("read");
        assert_eq!(left, format!("{other} bob\n{other} eve\r"));
        assert_eq!(
            remove_lines(&path, &Whose::Name(name("ci"))).expect_err("none").exit,
            Exit::Data
        );
    }

    #[test]
    fn edits_at_once_lose_nothing() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("trusted");
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for turn in 0..5 {
                        let who = format!("p{worker}-{turn}");
                        add_line(path, print(&who), &name(&who), "").expect("added");
                    }
                });
            }
        });
        assert_eq!(Trust::load(&path).expect("sound").lines.len(), 40);
    }

    #[test]
    fn a_link_stays_a_link() {
        let top = tempfile::tempdir().expect("tempdir");
        let real = top.path().join("real");
        std::fs::create_dir(&real).expect("mkdir");
        std::fs::write(real.join("trusted"), "").expect("write");
        let link = top.path().join("trusted");
        std::os::unix::fs::symlink("real/trusted", &link).expect("symlink");
        add_line(&link, print("a"), &name("ci"), "").expect("added");
        assert!(link.is_symlink());
        assert_eq!(Trust::load(&link).expect("sound").lines.len(), 1);
        std::fs::remove_file(real.join("trusted")).expect("unlink");
        assert_eq!(
            add_line(&link, print("b"), &name("b"), "").expect_err("dangles").exit,
            Exit::Data
        );
    }
}
