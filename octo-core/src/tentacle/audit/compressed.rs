//! Rotated files that are compressed: read through the system's own program, which sees
//! an open file and no name.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Behind the names of compressed files, and who unpacks them.
const ENDINGS: [(&str, &str); 5] =
    [(".gz", "gzip"), (".xz", "xz"), (".zst", "zstd"), (".bz2", "bzip2"), (".lz4", "lz4")];

/// Each line has a hash, which nothing makes shorter: a file that becomes so many times
/// as long is none of ours, and may have no end.
const MOST_TIMES: u64 = 1024;
/// What a short file may become besides.
const MOST_BESIDES: u64 = 1 << 20;

/// A program that prints nothing for so long is given up.
const SILENT: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// Of what it says is wrong.
const LONGEST_MESSAGE: u64 = 1000;

/// In place of as much memory as a file asks for.
const BOUNDS: &str = "-T1 --memlimit-decompress=256MiB";

/// Who unpacks a file of this name, if it is one of a compressed file.
pub(super) fn program(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, program)| *program)
}

/// The names that a file may have once it is compressed.
pub(super) fn names(path: &Path) -> impl Iterator<Item = PathBuf> {
    ENDINGS.iter().map(|(ending, _)| PathBuf::from(format!("{}{ending}", path.display())))
}

/// What a compressed file holds. Reading fails as [`ErrorKind::InvalidData`] where it is
/// damaged; any other error says that it can't be looked at.
#[derive(Debug)]
pub(super) struct Unpacked {
    program: &'static str,
    child: Child,
    output: ChildStdout,
    left: u64,
}

impl Unpacked {
    /// Starts this program over the file, from its beginning.
    pub(super) fn start(program: &'static str, file: &File) -> io::Result<Unpacked> {
        let mut input = file.try_clone()?;
        input.seek(SeekFrom::Start(0))?;
        let metadata = input.metadata()?;
        let mut command = Command::new(program);
        command.arg("-dc").env_clear().env("LC_ALL", "C").env("XZ_OPT", BOUNDS);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What another user made is not for a program of root's to trip over.
        if geteuid().is_root() && metadata.uid() != 0 {
            command.uid(metadata.uid()).gid(metadata.gid());
        }
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => io::Error::other(format!("{program} is not installed")),
            _ => io::Error::other(format!("{program} can't be started: {error}")),
        })?;
        match child.stdout.take() {
            Some(output) => {
                let left = metadata.len().saturating_mul(MOST_TIMES).saturating_add(MOST_BESIDES);
                Ok(Unpacked { program, child, output, left })
            }
            None => Err(io::Error::other(format!("{program} has no output"))),
        }
    }

    /// How it ended, once it prints nothing more.
    fn end(&mut self) -> io::Result<usize> {
        let mut said = Vec::new();
        if let Some(errors) = self.child.stderr.take() {
            errors.take(LONGEST_MESSAGE).read_to_end(&mut said)?;
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(0);
        }
        let said = String::from_utf8_lossy(&said);
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
        let first = first.trim().strip_prefix(self.program).unwrap_or(first.trim());
        let reason = format!("{}: {}", self.program, first.trim_start_matches([':', ' ']));
        // Memory that it may not have, and a signal, say nothing of the file.
        match status.code() {
            Some(_) if !first.to_ascii_lowercase().contains("memory") => {
                Err(io::Error::new(ErrorKind::InvalidData, reason))
            }
            _ => Err(io::Error::other(format!("{reason} ({status})"))),
        }
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&SILENT)) {
                Ok(0) => {
                    let reason = format!("{} prints nothing for {} s", self.program, SILENT.tv_sec);
                    return Err(io::Error::other(reason));
                }
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match self.output.read(buffer)? {
            0 => self.end(),
            count if count as u64 > self.left => {
                let reason = format!("becomes more than {MOST_TIMES} times as long: it is no log");
                Err(io::Error::new(ErrorKind::InvalidData, reason))
            }
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // One that has ended is neither killed nor waited for twice.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
