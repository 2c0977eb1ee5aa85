//! A held job as people read it: nothing of it may drive their terminal, and what is only the
//! tentacle's word is said to be.

use super::held_job::HeldJob;
use octo_core::Digest;
use octo_core::base::argv;
use octo_core::base::cli::utc;
use octo_core::base::encoding::printable;
use octo_core::base::program;
use octo_core::tentacle::spec::{Script, stdin};
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

/// So many files of a script's name are compared with it.
const MOST_LOOKED_AT: usize = 8;

impl HeldJob {
    /// All of it, a line each; a script that is among those `shown` already is not shown again.
    pub(super) fn lines(&self, shown: &mut HashSet<Digest>) -> Vec<String> {
        let safe = |text: &str| printable(text.as_bytes());
        let request = &self.request;
        let mut lines = vec![
            format!("job {}", request.job),
            format!("asked for by {}, at {}", safe(&request.by), utc(request.at)),
            format!("signed by {}: verified here", request.pusher),
        ];
        lines.extend(self.what_runs());
        if let Some((digest, name)) = &self.spec.package {
            lines.push(format!("package {}, sha256 {digest}", safe(name)));
        }
        if let Some(signature) = &self.spec.signature {
            let key = signature.key();
            lines.push(format!(
                "it claims a signature by key {key}: the target verifies that where its line has \
                 signed="
            ));
        }
        if let Some((digest, length)) = &self.spec.stdin {
            lines.push(format!("standard input, {length} bytes, sha256 {digest}"));
        }
        lines.extend(
            self.spec
                .environment
                .iter()
                .map(|(name, value)| format!("variable {name}={}", printable(value))),
        );
        lines.extend(self.spec.secrets.iter().map(|name| format!("secret {name}")));
        lines.extend(self.spec.locks.iter().map(|lock| format!("lock {}", lock.name)));
        lines.extend(
            self.spec.despite.iter().map(|reason| format!("despite a freeze: {}", safe(reason))),
        );
        lines.push(match &self.line {
            Some(line) => format!("by the line, as the target says: {}", safe(line)),
            None => "the target names no line that permits it".into(),
        });
        if self.needs > 1 {
            let by: Vec<String> = self.approved.iter().map(|name| safe(name)).collect();
            let by = if by.is_empty() { "nobody yet".into() } else { by.join(", ") };
            let needs = self.needs;
            lines.push(format!("{needs} have to approve it; as the target says, by now: {by}"));
        }
        lines.extend(self.script_lines(shown));
        lines.extend(self.stdin.iter().flat_map(|bytes| stdin::shown(bytes)));
        lines.extend(self.changes.iter().flat_map(|changes| changes.lines()));
        lines
    }

    fn what_runs(&self) -> Vec<String> {
        let mut lines = match &self.spec.script {
            Script::Sent { name, digest } => {
                vec![format!("script {}, sha256 {digest}", printable(name.as_bytes()))]
            }
            Script::Named(name) => {
                let installed = self.installed.map_or("unknown".into(), |of| of.to_string());
                let name = printable(name.as_bytes());
                vec![format!(
                    "script {name}, installed there; sha256, as the target says: {installed}"
                )]
            }
            // Whole: what its first line hides would be approved, too.
            Script::Command(text) => {
                let shown = text.lines().map(|line| format!("  {}", printable(line.as_bytes())));
                std::iter::once("command:".to_string()).chain(shown).collect()
            }
            Script::Order(_) => Vec::new(),
        };
        if !self.spec.arguments.is_empty() {
            let words: Vec<String> =
                self.spec.arguments.iter().map(|word| printable(word)).collect();
            lines.push(format!("arguments {}", argv::join(words.iter().map(String::as_str))));
        }
        lines
    }

    /// The script, unless it is one that is installed here as well.
    fn script_lines(&self, all: &mut HashSet<Digest>) -> Vec<String> {
        let (Some(script), Script::Sent { name, digest }) = (&self.script, &self.spec.script)
        else {
            return Vec::new();
        };
        let shown = printable(name.as_bytes());
        if is_ours(name, *digest) {
            return vec![format!("the script is the {shown} that is installed here")];
        }
        if !all.insert(*digest) {
            return vec!["the script is the one above".into()];
        }
        let lines = script.split(|byte| *byte == b'\n');
        let lines = lines.map(|line| {
            // A tab drives nothing, and scripts are full of them.
            let words = line.split(|byte| *byte == b'\t').map(printable);
            format!("  {}", words.collect::<Vec<_>>().join("\t"))
        });
        std::iter::once("the script:".to_string()).chain(lines).collect()
    }
}

/// Is it a file of this name beside our own program, or on PATH?
fn is_ours(name: &str, digest: Digest) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = program::own().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let files = std::env::split_paths(&path).chain(beside).map(|directory| directory.join(name));
    // Opened only if it is a plain one: a FIFO would be waited for.
    let files = files.filter(|file| file.metadata().is_ok_and(|found| found.is_file()));
    let found = files.filter_map(|file| File::open(file).ok());
    let is_it = |mut file| Digest::of_reader(&mut file).is_ok_and(|(of, _)| of == digest);
    found.take(MOST_LOOKED_AT).any(is_it)
}
