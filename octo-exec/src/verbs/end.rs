//! `octo-exec end FILE...`: what files of `--end` say, a line each, so that no
//! script has to know how a record is written.

use octo_core::JobId;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::{Places, if_there, read_bounded};
use octo_core::base::record::Record;
use octo_core::tentacle::job::EndKind;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::path::Path;

/// A record of an end holds a message and few numbers.
const LARGEST: u64 = 1 << 20;

/// The line of a file that isn't there.
const NOT_BEGUN: &str = "none\t-\t1\t-\tnot begun\n";

/// The verb. It prints nothing where one of the files is damaged: a script that
/// reads a line a file must not take one for another.
pub(super) fn end(said: &Said, _: &Places) -> Result<u8> {
    let files = said.counted(1..=usize::MAX)?;
    if files.iter().any(String::is_empty) {
        return Err(said.misuse("'': a file has a name"));
    }
    let lines: Result<String> = files.iter().map(|file| read(Path::new(file))).collect();
    print(&lines?)?;
    Ok(0)
}

fn read(path: &Path) -> Result<String> {
    // A pipe that nobody writes to would be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(Into::into);
    let Some(opened) = if_there(path, opened)? else { return Ok(NOT_BEGUN.into()) };
    let mut file = File::from(opened);
    if !file.metadata().map_err(|e| Error::io(path, &e))?.is_file() {
        return Err(Error::new(Exit::Data, path.display(), "is not a regular file"));
    }
    let bytes = read_bounded(&mut file, path, LARGEST)?;
    line(&bytes).map_err(|reason| Error::new(Exit::Data, path.display(), reason))
}

/// `kind code status job message`, with tabs between and `-` for what is absent:
/// tabs in a row would be one to bash. Nothing of it drives a terminal.
fn line(bytes: &[u8]) -> std::result::Result<String, String> {
    let record = Record::parse(bytes).map_err(|line| format!("line {line} is not of the form"))?;
    if record.all("kind").count() > 1 {
        return Err("holds more than one end: --end FILE with %n gives each target its own".into());
    }
    let missing = |key: &str| format!("is no record of an end: its {key} is missing or wrong");
    let byte = |key: &str| {
        let number = record.number(key).filter(|number| *number <= u64::from(u8::MAX));
        number.ok_or_else(|| missing(key))
    };
    let kind = record.first("kind").ok_or_else(|| missing("kind"))?;
    let (code, status) = (byte("code")?, byte("status")?);
    match EndKind::from_words(kind, code) {
        Some(EndKind::Exit(_)) if code != status => return Err(missing("status")),
        None if !EndKind::OF_NO_JOB.contains(&kind) => return Err(missing("kind")),
        _ => {}
    }
    let job = match record.all("job").next() {
        None => "-",
        Some(_) => {
            let job = record.first("job").filter(|job| JobId::parse(job).is_some());
            job.ok_or_else(|| missing("job"))?
        }
    };
    // octo-push says message, the record of a job that octo-exec ran says reason.
    let said = record.all("message").chain(record.all("reason")).next();
    let said = said.map_or(Vec::new(), <[Vec<u8>]>::concat);
    let message = if said.is_empty() { "-".into() } else { printable(&said) };
    Ok(format!("{kind}\t{code}\t{status}\t{job}\t{message}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_that_is_safe_to_show() {
        let job = "20260101T000000-abcdefghijklm";
        for (record, wanted) in [
            ("kind exit\ncode 0\nstatus 0\n".to_string(), "exit\t0\t0\t-\t-\n".to_string()),
            (
                format!(
                    "target web1\nkind exit\ncode 3\norigin script\nstatus 3\njob {job}\nmessage exit%203\n"
                ),
                format!("exit\t3\t3\t{job}\texit 3\n"),
            ),
            (
                "kind no\ncode 77\nstatus 77\nmessage a%09b%0Ac%1B%5B31m%E2%80%AE%FF%C3%A9\n"
                    .into(),
                "no\t77\t77\t-\ta\\tb\\nc\\x1b[31m\\u{202e}\\xffé\n".into(),
            ),
            (
                "kind timeout\ncode 124\nat x\nlog 0\nreason too%20long\nstatus 124\n".into(),
                "timeout\t124\t124\t-\ttoo long\n".into(),
            ),
        ] {
            assert_eq!(line(record.as_bytes()), Ok(wanted), "{record}");
        }
    }

    #[test]
    fn what_is_no_record_of_an_end_is_refused() {
        for (bytes, said) in [
            ("", "kind"),
            ("kind exit\ncode 0\nstatus 0", "line 3"),
            ("kind exit\ncode 0\n", "status"),
            ("kind exit\ncode 256\nstatus 0\n", "code"),
            ("kind exitt\ncode 0\nstatus 0\n", "kind"),
            ("kind exit\ncode 0\nstatus 1\n", "status"),
            ("kind Exit\ncode 0\nstatus 0\n", "kind"),
            ("kind exit%0A\ncode 0\nstatus 0\n", "kind"),
            ("kind exit\ncode 0\nstatus 0\njob ../x\n", "job"),
            ("kind exit\ncode 0\nstatus 0\nkind exit\ncode 0\nstatus 0\n", "more than one"),
            ("\u{0}\u{ff}\n", "line 1"),
        ] {
            let reason = line(bytes.as_bytes()).expect_err(bytes);
            assert!(reason.contains(said), "{bytes:?}: {reason}");
        }
    }
}
