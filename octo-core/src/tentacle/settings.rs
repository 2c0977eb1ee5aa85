//! CONFIG/octo-exec: settings of octo-exec on this machine, a line each.
//!
//! ```text
//! notify=/usr/local/sbin/octo-waits --to ops@example.com
//! ```

use crate::base::argv::split;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{Places, check_trusted, open_trusted, read_bounded};
use crate::base::problem::Problem;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A larger file is none.
const LARGEST: u64 = 64 << 10;

/// What is set; without the file nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The program that tells an approver that a job waits, and its arguments.
    pub notify: Option<Vec<String>>,
}

/// A setting: its key, and how its value is read into its field.
struct Row {
    key: &'static str,
    read: fn(&mut Settings, &str) -> std::result::Result<(), String>,
}

static ROWS: &[Row] =
    &[Row { key: "notify", read: |settings, value| once(&mut settings.notify, command(value)?) }];

fn once<T>(field: &mut Option<T>, value: T) -> std::result::Result<(), String> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err("is set a second time".into()),
    }
}

/// A program by its absolute path: which one a name means, PATH would say.
fn command(value: &str) -> std::result::Result<Vec<String>, String> {
    let words = split(value)?;
    match words.first().is_some_and(|program| program.starts_with('/')) {
        true => Ok(words),
        false => Err("a command begins with the absolute path of its program".into()),
    }
}

impl Settings {
    /// Those of this machine.
    ///
    /// # Errors
    /// Exit 78 where the file is unsound or could be somebody else's.
    pub fn load(places: &Places) -> Result<Settings> {
        Settings::read(&places.settings())
    }

    /// As [`Settings::load`], from any file; one that isn't there sets nothing.
    ///
    /// # Errors
    /// As there.
    pub fn read(path: &Path) -> Result<Settings> {
        let unsound = |error: Error| error.exit(Exit::Configuration);
        if path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            return Ok(Settings::default());
        }
        let mut file = open_trusted(path).map_err(unsound)?;
        let bytes = read_bounded(&mut file, path, LARGEST).map_err(unsound)?;
        Settings::parse(path, &bytes).map_err(|problems| Problem::error(&problems))
    }

    /// Reads its lines.
    ///
    /// # Errors
    /// What is wrong with them.
    fn parse(path: &Path, bytes: &[u8]) -> std::result::Result<Settings, Vec<Problem>> {
        let mut settings = Settings::default();
        let mut problems = Vec::new();
        for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
            if let Err(reason) = settings.line(line) {
                problems.push(Problem::new(path, index + 1, line, reason));
            }
        }
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    fn line(&mut self, line: &[u8]) -> std::result::Result<(), String> {
        let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
        let text = text.trim_ascii();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        let (key, value) = text.split_once('=').ok_or("not of the form KEY=VALUE")?;
        let row = ROWS.iter().find(|row| row.key == key).ok_or_else(|| {
            let known: Vec<&str> = ROWS.iter().map(|row| row.key).collect();
            format!("no such setting; there are: {}", known.join(", "))
        })?;
        (row.read)(self, value).map_err(|why| format!("{key}=: {why}"))
    }

    /// Can what is set be used? For who is about to, and for who checks.
    ///
    /// # Errors
    /// Exit 78 for a program that others could have written, 65 for none.
    pub fn check(&self) -> Result<()> {
        let Some(program) = self.notify.iter().flatten().next() else { return Ok(()) };
        let resolved = check_trusted(Path::new(program))?;
        let metadata = resolved.metadata().map_err(|e| Error::io(&resolved, &e))?;
        if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
            return Ok(());
        }
        let reason = "can't be executed, and notify= names it";
        Err(Error::new(Exit::Configuration, program, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> std::result::Result<Settings, Vec<Problem>> {
        Settings::parse(Path::new("octo-exec"), text)
    }

    #[test]
    fn what_is_set_is_read_and_all_else_is_named_with_its_line() {
        let words = ["/bin/mail", "-s", "a job waits", "ops"].map(String::from).to_vec();
        let text = b"# who approves\n\n  notify=/bin/mail -s \"a job waits\" ops\r\n";
        assert_eq!(parse(text), Ok(Settings { notify: Some(words) }));
        assert_eq!(parse(b""), Ok(Settings::default()));
        for (text, said) in [
            (&b"\nnotfy=/bin/true\n"[..], ":2: no such setting; there are: notify"),
            (b"notify=mail ops\n", ":1: notify=: a command begins with the absolute path"),
            (b"notify=\n", ":1: notify=: no command"),
            (b"notify=/bin/a 'b\n", ":1: notify=: the quote ' is not closed"),
            (b"notify=/bin/a\nnotify=/bin/b\n", ":2: notify=: is set a second time"),
            (b"notify\n", ":1: not of the form KEY=VALUE"),
            (b"\xff\n", ":1: the line is not UTF-8"),
        ] {
            let problems = parse(text).expect_err(said);
            assert!(problems[0].heading().contains(said), "{}", problems[0].heading());
        }
    }

    #[test]
    fn a_file_or_a_program_that_others_could_have_written_is_refused() {
        let top = tempfile::tempdir().expect("tempdir");
        let (path, program) = (top.path().join("octo-exec"), top.path().join("tell"));
        assert_eq!(Settings::read(&path).expect("none"), Settings::default());
        let mode = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        };
        std::fs::write(&path, format!("notify={}\n", program.display())).expect("write");
        mode(&path, 0o666);
        assert_eq!(Settings::read(&path).expect_err("writable").exit, Exit::Configuration);
        mode(&path, 0o644);
        let settings = Settings::read(&path).expect("sound");
        assert!(settings.check().is_err(), "there is none");
        std::fs::write(&program, "#!/bin/sh\n").expect("write");
        mode(&program, 0o644);
        assert!(settings.check().expect_err("no program").message.contains("can't be executed"));
        mode(&program, 0o777);
        assert!(settings.check().expect_err("others'").to_string().contains("writable"));
        mode(&program, 0o755);
        assert!(settings.check().is_ok());
    }
}
