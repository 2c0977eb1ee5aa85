//! What a program says last on its standard error, kept back to be told where it matters.

use crate::base::encoding::printable;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// So many bytes of what it says last are kept.
const KEPT: usize = 4096;
/// So many lines of that are told.
const TOLD: usize = 3;
/// So many characters of each.
const LONGEST_LINE: usize = 200;

/// The last of what a program said on its standard error.
#[derive(Debug)]
pub struct LastWords {
    /// Our end of it.
    errors: UnixStream,
    said: Arc<Mutex<VecDeque<u8>>>,
    listener: Option<JoinHandle<()>>,
}

impl LastWords {
    /// Listens to what is to be the standard error of a program.
    ///
    /// # Errors
    /// Where there is no descriptor or no thread for it.
    pub fn listen() -> io::Result<(LastWords, Stdio)> {
        // Not a pipe: it can be shut from here, whoever else has its other end by then.
        let (errors, theirs) = UnixStream::pair()?;
        let heard = errors.try_clone()?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&said);
        let thread = std::thread::Builder::new().stack_size(64 * 1024);
        let listener = thread.spawn(move || keep_last(heard, &kept))?;
        let words = LastWords { errors, said, listener: Some(listener) };
        Ok((words, Stdio::from(OwnedFd::from(theirs))))
    }

    /// Reads what is there by now, and no more: what the program started may hold it open.
    pub fn finish(&mut self) {
        let _ = self.errors.shutdown(Shutdown::Both);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }

    /// Its last lines, escaped, to stand in one line of ours; empty where it said nothing.
    pub fn told(&self) -> String {
        let said: Vec<u8> =
            self.said.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let lines: Vec<String> = said
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .map(|line| printable(line.trim_ascii()))
            .filter(|line| !line.is_empty())
            .map(|line| line.chars().take(LONGEST_LINE).collect())
            .collect();
        lines[lines.len().saturating_sub(TOLD)..].join(" / ")
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Reads to the end, and keeps the last of it: who isn't read stands still.
fn keep_last(mut errors: UnixStream, kept: &Mutex<VecDeque<u8>>) {
    let mut piece = [0; KEPT];
    while let Ok(count) = errors.read(&mut piece) {
        if count == 0 {
            return;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&piece[..count]);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
}
