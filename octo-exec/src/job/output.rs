//! What a job prints, on its way into its log. Room for it is asked for under the account of
//! its pusher, which others may hold for long: what finds that locked is kept back and asked
//! for again, so that whoever watches over the job never waits.

use octo_core::base::error::{Error, Exit, Result};
use octo_core::tentacle::job::{End, EndKind, LogWriter, Stream};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// How long output is kept back, and the job stands still that prints it, before its log is
/// cut: a slow disk is no reason to lose any.
const PATIENCE: Duration = Duration::from_secs(300);
/// The same for words of ours, and for the last ones of a job, when nothing else is waited for.
const AT_LAST: Duration = Duration::from_secs(5);

/// The end of this kind of a job whose log this is. What is lost of the log is
/// told in the record, and changes nothing about how the script ended.
pub(crate) fn ended(kind: EndKind, log: &mut LogWriter) -> End {
    let finished = log.finish();
    let mut end = End::now(kind, finished.length);
    end.log_digest = Some(Box::new(finished.digest));
    end.truncated = finished.truncated;
    end.reason = finished.trouble.map(|e| format!("output may be lost: {}", e.message));
    end
}

/// A word of ours in the job's output, told from the script's by its beginning.
pub(crate) fn say(log: &mut LogWriter, text: &str) {
    let line = format!("octo-exec: {text}\n");
    let _ = append_at_last(log, Stream::Err, line.as_bytes());
}

/// Appends now or in a while, each try of which waits a moment itself; then the log is cut.
fn append_at_last(log: &mut LogWriter, stream: Stream, bytes: &[u8]) -> Result<()> {
    let begun = Instant::now();
    loop {
        match log.append(stream, bytes) {
            Err(error) if is_not_now(&error) && begun.elapsed() < AT_LAST => {}
            other => return other.inspect_err(|error| cut(log, error)),
        }
    }
}

/// What is not asked for again leaves a gap, behind which nothing may come.
fn cut(log: &mut LogWriter, error: &Error) {
    if is_not_now(error) {
        log.cut();
    }
}

fn is_not_now(error: &Error) -> bool {
    error.exit == Exit::Temporary
}

/// The output of a job that runs.
pub(super) struct Output<'a> {
    pub(super) log: &'a mut LogWriter,
    kept_back: Option<KeptBack>,
    /// Why some of it was lost.
    lost: Option<String>,
}

/// A piece for which there was no word on its room yet.
struct KeptBack {
    stream: Stream,
    bytes: Vec<u8>,
    since: Instant,
    asked: Instant,
    why: String,
}

impl<'a> Output<'a> {
    pub(super) fn to(log: &'a mut LogWriter) -> Output<'a> {
        Output { log, kept_back: None, lost: None }
    }

    /// Takes a piece. A full disk must not end a deployment half-way: its output is drained,
    /// and the record says what was lost.
    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8]) {
        self.put(stream, Cow::Borrowed(bytes), Instant::now());
    }

    fn put(&mut self, stream: Stream, bytes: Cow<'_, [u8]>, since: Instant) {
        match self.log.append(stream, &bytes) {
            Err(error) if is_not_now(&error) && since.elapsed() < PATIENCE => {
                let (asked, why, bytes) = (Instant::now(), error.message, bytes.into_owned());
                self.kept_back = Some(KeptBack { stream, bytes, since, asked, why });
            }
            other => {
                let done = other.inspect_err(|error| cut(self.log, error));
                self.note(done);
            }
        }
    }

    fn note(&mut self, done: Result<()>) {
        if let Err(error) = done {
            self.lost.get_or_insert(error.message);
        }
    }

    /// Is a piece kept back? No other may be read then.
    pub(super) fn is_kept_back(&self) -> bool {
        self.kept_back.is_some()
    }

    /// Asks again for what is kept back; says for how long nothing was read.
    pub(super) fn ask_again(&mut self) -> Duration {
        let Some(piece) = self.kept_back.take() else { return Duration::ZERO };
        self.put(piece.stream, Cow::Owned(piece.bytes), piece.since);
        piece.asked.elapsed()
    }

    /// The last of it, when the job is over. What is still kept back is lost, with what was
    /// not read because of it.
    pub(super) fn finish(&mut self, rest: impl IntoIterator<Item = (Stream, Vec<u8>)>) {
        if let Some(piece) = self.kept_back.take() {
            self.log.cut();
            self.lost.get_or_insert(piece.why);
        }
        for (stream, bytes) in rest {
            let done = append_at_last(self.log, stream, &bytes);
            self.note(done);
        }
    }

    /// Why some of it was lost, if it was.
    pub(super) fn lost(&self) -> Option<String> {
        self.lost.as_ref().map(|why| format!("output was lost: {why}"))
    }
}
