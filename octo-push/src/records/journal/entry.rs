//! One line of the journal: `TIME VERB key=value…`.

use super::labels::Labels;
use jiff::Timestamp;
use octo_core::base::cli::utc;
use octo_core::base::digest::Digest;
use octo_core::base::encoding::{decode_text, encode, is_word};
use octo_core::base::error::Exit;
use octo_core::base::names::JobId;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::base::units::whole;
use octo_core::tentacle::audit::Head;

/// The longest line, its LF included.
pub(super) const LONGEST: usize = 8 * 1024;

/// So much of a text is kept: none of ours is longer.
const LONGEST_TEXT: usize = 512;

/// The kind of a line that was written before its job was sent.
pub(crate) const BEGUN: &str = "begun";
/// The kind of a line about what was left out.
pub(crate) const SKIPPED: &str = "skipped";

/// One action at one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When it ended or, of one that is only begun, began; to the second.
    pub(crate) time: Timestamp,
    /// What was asked: `put`, `run`, `cancel`, `audit`, …
    pub(crate) verb: String,
    /// The invocation; all its lines have the same.
    pub(crate) run: JobId,
    /// Who asked: `user@host`.
    pub(crate) who: String,
    pub(crate) target: String,
    /// The tentacle's thumbprint, where it was seen.
    pub(crate) tentacle: Option<Thumbprint>,
    pub(crate) job: Option<JobId>,
    /// The package that was sent or used.
    pub(crate) package: Option<Digest>,
    /// How it ended, a word: `exit`, `signal`, `no`, `failed`, …; or [`BEGUN`].
    pub(crate) kind: String,
    /// The script's code, the signal, or as `kind` has it; none of what is only begun.
    pub(crate) code: Option<u64>,
    /// The exit status that this target alone would give; 0 is success.
    pub(crate) status: Option<u8>,
    /// The head of the listener's audit log, as of the tentacle's last reply.
    pub(crate) audit: Option<Head>,
    /// The head of octo-exec's.
    pub(crate) audit_exec: Option<Head>,
    /// What was wrong with one of them.
    pub(crate) audit_fault: Option<String>,
    /// Those of its run.
    pub(crate) labels: Labels,
}

impl Entry {
    /// Is it over, and did all of it happen?
    pub(crate) fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// Did nobody answer there, so that nothing can have run?
    pub(crate) fn is_unreachable(&self) -> bool {
        self.kind == "failed" && self.status == Some(Exit::Unavailable.code())
    }

    /// Its line, with the LF.
    pub(super) fn encode(&self) -> String {
        let mut line = utc(self.time);
        line.push(' ');
        line.push_str(if is_word(self.verb.as_bytes()) { &self.verb } else { "unknown" });
        let mut add = |key: &str, value: &str| {
            let value = value.as_bytes();
            line.push_str(&format!(" {key}={}", encode(&value[..value.len().min(LONGEST_TEXT)])));
        };
        add("target", &self.target);
        add("kind", &self.kind);
        if let (Some(code), Some(status)) = (self.code, self.status) {
            add("code", &code.to_string());
            add("status", &status.to_string());
        }
        add("run", self.run.as_str());
        add("who", &self.who);
        let mut add = |key, value: Option<String>| {
            if let Some(value) = value {
                add(key, &value);
            }
        };
        add("job", self.job.as_ref().map(JobId::to_string));
        add("package", self.package.map(|digest| digest.to_string()));
        add("tentacle", self.tentacle.map(|thumbprint| thumbprint.to_string()));
        add("audit", self.audit.map(|head| head.to_string()));
        add("audit-exec", self.audit_exec.map(|head| head.to_string()));
        add("audit-fault", self.audit_fault.clone());
        line.push_str(&self.labels.encode());
        line.push('\n');
        line
    }

    /// The entry of a line without its LF, if it is a whole one. Keys that are
    /// not known are passed over.
    pub(super) fn parse(line: &[u8]) -> Option<Entry> {
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let time = words.next()?.parse().ok()?;
        let verb = words.next().filter(|verb| is_word(verb.as_bytes()))?;
        let pairs: Vec<(&str, &str)> =
            words.map(|word| word.split_once('=')).collect::<Option<_>>()?;
        let raw = |key| pairs.iter().find(|pair| pair.0 == key).map(|pair| pair.1);
        let text = |key| decode_text(raw(key)?.as_bytes());
        // A value that is there and wrong makes the line a torn one.
        fn optional<T>(raw: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
            raw.map_or(Some(None), |raw| parse(raw).map(Some))
        }
        let kind = text("kind")?;
        let code = optional(raw("code"), whole)?;
        let status = optional(raw("status"), |raw| whole(raw)?.try_into().ok())?;
        if kind != BEGUN && (code.is_none() || status.is_none()) {
            return None;
        }
        Some(Entry {
            time,
            verb: verb.to_string(),
            run: JobId::parse(raw("run")?)?,
            who: text("who")?,
            target: text("target")?,
            tentacle: optional(raw("tentacle"), |raw| Thumbprint::parse(raw).ok())?,
            job: optional(raw("job"), JobId::parse)?,
            package: optional(raw("package"), Digest::parse)?,
            kind,
            code,
            status,
            audit: optional(raw("audit"), Head::parse)?,
            audit_exec: optional(raw("audit-exec"), Head::parse)?,
            audit_fault: optional(raw("audit-fault"), |raw| decode_text(raw.as_bytes()))?,
            labels: Labels::parse(&pairs)?,
        })
    }
}
