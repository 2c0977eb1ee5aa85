//! Jobs as objects, for `--json` and `--record`: `start`, `output` and `end` of
//! octo-json(5).

use super::opened_file::OpenedFile;
use super::view::{STREAMS, View, index};
use crate::output::escape::unfinished;
use crate::output::json::JsonObject;
use crate::output::screen::Screen;
use crate::target::outcome::Outcome;
use octo_core::base::cli::{utc, utc_now};
use octo_core::base::names::JobId;
use octo_core::tentacle::job::Stream;
use std::collections::HashSet;
use std::path::Path;

/// Where objects go.
pub(crate) enum JsonSink {
    Screen,
    /// The file of `--record`, open from the first target that begins.
    Record(OpenedFile),
}

impl JsonSink {
    /// The file of `--record`, which is not touched yet.
    pub(crate) fn record(path: &Path) -> JsonSink {
        JsonSink::Record(OpenedFile::new(path.to_path_buf()))
    }

    fn write(&mut self, screen: &mut Screen, object: JsonObject) {
        self.write_bytes(screen, object.line().as_bytes());
    }

    fn write_bytes(&mut self, screen: &mut Screen, bytes: &[u8]) {
        match self {
            JsonSink::Screen => screen.print(Stream::Out, bytes),
            JsonSink::Record(file) => screen.remember(file.write(bytes)),
        }
    }
}

/// One object for each thing that happens.
pub(crate) struct JsonView {
    names: Vec<String>,
    /// The output of lists is objects already, which another view shows.
    ends_only: bool,
    /// The first bytes of a letter that was split, for each target and stream.
    partial: Vec<[Vec<u8>; 2]>,
    sink: JsonSink,
}

impl JsonView {
    /// `start`, `output` and `end`.
    pub(crate) fn of_jobs(names: Vec<String>, sink: JsonSink) -> JsonView {
        let partial = names.iter().map(|_| Default::default()).collect();
        JsonView { names, ends_only: false, partial, sink }
    }

    /// Each `end`.
    pub(crate) fn of_lists(names: Vec<String>, sink: JsonSink) -> JsonView {
        JsonView { ends_only: true, ..JsonView::of_jobs(names, sink) }
    }

    fn piece(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]) {
        if !bytes.is_empty() {
            let object = JsonObject::of("output")
                .text("target", &self.names[target])
                .text("stream", stream_name(stream))
                .bytes("text", bytes);
            self.sink.write(screen, object);
        }
    }
}

impl View for JsonView {
    fn begun(&mut self, screen: &mut Screen, _target: usize) {
        self.sink.write_bytes(screen, b"");
    }

    fn started(&mut self, screen: &mut Screen, target: usize, job: &str) {
        let object = JsonObject::of("start")
            .text("target", &self.names[target])
            .text("job", job)
            .text("time", &utc_now());
        self.sink.write(screen, object);
    }

    fn output(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]) {
        if self.ends_only {
            return;
        }
        let mut whole = std::mem::take(&mut self.partial[target][index(stream)]);
        whole.extend_from_slice(bytes);
        let rest = whole.split_off(whole.len() - unfinished(&whole));
        self.partial[target][index(stream)] = rest;
        self.piece(screen, target, stream, &whole);
    }

    fn ended(&mut self, screen: &mut Screen, target: usize, outcome: &Outcome) {
        for stream in STREAMS {
            let rest = std::mem::take(&mut self.partial[target][index(stream)]);
            self.piece(screen, target, stream, &rest);
        }
        self.sink.write(screen, end(&self.names[target], outcome));
    }

    fn finish(&mut self, screen: &mut Screen) {
        if let JsonSink::Record(file) = &mut self.sink {
            screen.remember(file.close());
        }
    }
}

fn stream_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Out => "stdout",
        Stream::Err => "stderr",
    }
}

fn end(target: &str, outcome: &Outcome) -> JsonObject {
    let (kind, code) = outcome.kind_and_code();
    JsonObject::of("end")
        .text("target", target)
        .text_or_null("job", outcome.job.as_ref().map(JobId::as_str))
        .text("kind", kind)
        .number("code", code)
        .text("origin", outcome.origin.word())
        .number("status", outcome.status.into())
        .text_or_null("refusal", outcome.refusal())
        .text_or_null("message", Some(outcome.message.as_str()).filter(|m| !m.is_empty()))
        .text_or_null("not_certain_before", outcome.not_certain_before.map(utc).as_deref())
        .flag_or_null("proved", outcome.proved)
        .object("outputs", outputs(outcome.outputs.as_deref().unwrap_or_default()))
        .number_or_null("size", outcome.sent.map(|sent| sent.size))
        .number_or_null("wire", outcome.sent.map(|sent| sent.wire))
        .text_or_null("audit", outcome.audit.map(|head| head.to_string()).as_deref())
        .text_or_null("audit_exec", outcome.audit_exec.map(|head| head.to_string()).as_deref())
        .text_or_null("audit_fault", outcome.audit_fault().as_deref())
        .seconds("seconds", outcome.elapsed)
}

/// `NAME=VALUE` lines; of a name that stands twice the last value counts.
fn outputs(lines: &[u8]) -> JsonObject {
    let mut seen = HashSet::new();
    let mut last = Vec::new();
    for line in lines.split(|b| *b == b'\n').rev() {
        if let Some(equals) = line.iter().position(|b| *b == b'=')
            && let Ok(name) = std::str::from_utf8(&line[..equals])
            && seen.insert(name)
        {
            last.push((name, &line[equals + 1..]));
        }
    }
    last.into_iter()
        .rev()
        .fold(JsonObject::new(), |object, (name, value)| object.bytes(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::tentacle::job::EndKind;

    #[test]
    fn the_end_is_told_apart_from_a_script_that_imitates_it() {
        let mut script = Outcome::ended(EndKind::Exit(124), None);
        script.outputs = Some(b"URL=http://x\nno line\nA=1\nA=\xff\n=\n".to_vec());
        let line = end("web1", &script).line();
        assert_eq!(
            line.trim_end(),
            concat!(
                r#"{"type":"end","target":"web1","job":null,"kind":"exit","code":124,"#,
                r#""origin":"script","status":124,"refusal":null,"message":"exit 124","#,
                r#""not_certain_before":null,"proved":null,"outputs":{"URL":"http://x","A":{"hex":"ff"},"":""},"#,
                r#""size":null,"wire":null,"audit":null,"audit_exec":null,"audit_fault":null,"seconds":0.000}"#
            )
        );
    }
}
