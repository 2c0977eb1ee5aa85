//! What goes to the audit log, before the action that it records.
//!
//! `accepted` and `refused` are connections; an event of a verb's name is a
//! request that was granted, `denied` one that was not; `stored` is a package.

use crate::admission::refused::{Attempt, Note};
use crate::host::{Host, No, Peer};
use octo_core::tentacle::audit::Head;
use octo_core::tentacle::layout;
use octo_core::trust::{Grant, Verb};
use octo_core::{Refusal, Result};
use std::net::IpAddr;
use std::sync::atomic::Ordering;

impl Host {
    /// Records an event of this connection; before its first one, the connection.
    fn record(&self, peer: &Peer, event: &str, fields: &[(&str, &str)]) -> Result<Head> {
        let thumbprint = peer.thumbprint.to_string();
        let address = peer.to_string();
        let who = [("address", address.as_str()), ("thumbprint", thumbprint.as_str())];
        let all = [&who, fields].concat();
        if peer.recorded.load(Ordering::Relaxed) {
            return self.audit.append(event, &all);
        }
        let head = self.audit.append_all(&[("accepted", &who), (event, &all)])?;
        peer.recorded.store(true, Ordering::Relaxed);
        Ok(head)
    }

    /// Records a connection that ended without a request.
    pub(crate) fn record_accepted(&self, peer: &Peer) {
        let is_told = [&peer.recorded, &peer.counted].iter().any(|is| is.load(Ordering::Relaxed));
        if !is_told && self.chatter.is_new_question(peer.thumbprint, "left", "") {
            self.log.ok(self.record(peer, "left", &[]));
        }
    }

    /// What a reply carries whose request was only counted: the newest head.
    fn counted(&self, peer: &Peer) -> Option<Head> {
        peer.counted.store(true, Ordering::Relaxed);
        self.log.ok(self.audit.head()).flatten()
    }

    /// Says in the log that a pusher finds no place.
    pub(crate) fn say_turned_away(&self, peer: &Peer, reason: &str) {
        if self.chatter.is_new_refusal(peer.thumbprint, "connect", "busy") {
            self.log.warning(format_args!("{peer}: turned away: {reason}"));
        }
    }

    /// Records a request that was granted, and that must not happen unrecorded; the
    /// head is for the reply.
    ///
    /// # Errors
    /// The refusal of the request.
    pub(crate) fn must_record(
        &self,
        peer: &Peer,
        grant: &Grant,
        event: &str,
        fields: &[(&str, &str)],
    ) -> std::result::Result<Option<Head>, No> {
        let place = grant.place();
        let granted = [("name", grant.name.as_str()), ("line", place.as_str())];
        let head = self.log.ok(self.record(peer, event, &[&granted, fields].concat()));
        let reason = "the tentacle can't write its audit log, and does nothing unrecorded";
        head.map(Some).ok_or_else(|| No::new(Refusal::Io, reason))
    }

    /// As [`Host::must_record`], for what must happen even unrecorded.
    pub(crate) fn record_or_log(
        &self,
        peer: &Peer,
        grant: &Grant,
        event: &str,
        fields: &[(&str, &str)],
    ) -> Option<Head> {
        self.must_record(peer, grant, event, fields).unwrap_or(None)
    }

    /// Records a question that was answered, and of which nothing comes: the first of its
    /// kind at once. `job` is what it is about, or empty.
    pub(crate) fn record_question(
        &self,
        peer: &Peer,
        grant: &Grant,
        event: &str,
        job: &str,
    ) -> Option<Head> {
        if !self.chatter.is_new_question(peer.thumbprint, event, job) {
            return self.counted(peer);
        }
        let fields = if job.is_empty() { &[][..] } else { &[("job", job)] };
        self.record_or_log(peer, grant, event, fields)
    }

    /// Records a no to somebody who is trusted, and hands it back with the head. The first
    /// of its kind at once.
    pub(crate) fn record_no(&self, peer: &Peer, verb: Verb, no: No) -> No {
        if !self.chatter.is_new_refusal(peer.thumbprint, verb.word(), no.refusal.word()) {
            return No { head: self.counted(peer), ..no };
        }
        let place = no.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        let (code, line) = (no.refusal.to_string(), no.line.unwrap_or(0).to_string());
        let mut fields = vec![("verb", verb.word()), ("code", &code), ("reason", &no.reason)];
        if no.line.is_some() {
            fields.push(("line", &line));
        }
        // Whoever reads no log must not keep it out of the record.
        let head = self.log.ok(self.record(peer, "denied", &fields));
        let what = format!("{}: {}: {}{place}", verb.word(), no.refusal, no.reason);
        self.log.warning(format_args!("{peer}: {what}"));
        No { head, ..no }
    }

    /// Records a refusal before trust, and says in the log how to end it.
    pub(crate) fn record_refusal(&self, note: &Note) {
        let (address, count, attempts) = match note {
            Note::First(address, attempt) => (address, 1, std::slice::from_ref(attempt)),
            Note::Another(address, attempt) => return self.say_refused(&shown(*address), attempt),
            Note::More(address, count, attempts) => (address, *count, &attempts[..]),
        };
        let from = shown(*address);
        let count = count.to_string();
        let mut fields = vec![("address", from.as_str()), ("count", &count)];
        let list =
            |texts: Vec<String>, between| Some(texts.join(between)).filter(|list| !list.is_empty());
        let who = attempts.iter().filter_map(|a| Some(a.thumbprint?.to_string())).collect();
        let why = attempts.iter().map(|a| a.reason.clone()).filter(|r| !r.is_empty()).collect();
        let (who, why) = (list(who, ","), list(why, "; "));
        fields.extend(who.as_deref().map(|who| ("thumbprint", who)));
        fields.extend(why.as_deref().map(|why| ("reason", why)));
        self.log.ok(self.audit.append("refused", &fields));
        match note {
            Note::More(..) => self.log.warning(format_args!("{from}: refused {count} times more")),
            _ => attempts.iter().for_each(|attempt| self.say_refused(&from, attempt)),
        }
    }

    fn say_refused(&self, from: &str, attempt: &Attempt) {
        match attempt.thumbprint {
            // No reason means that no line names it.
            Some(thumbprint) if attempt.reason.is_empty() => {
                let config = self.places.config.display();
                let option = match config.to_string().as_str() {
                    "/etc/octo" => String::new(),
                    other => format!("--config {other} "),
                };
                self.log.warning(format_args!("{from}: refused: {thumbprint} is not trusted"));
                // An octo-exec that is root runs nothing for a line that doesn't say as whom.
                let user =
                    if layout::executor(&self.places).uid == 0 { "-o user=USER " } else { "" };
                self.log.warning(format_args!(
                    "hint: to trust it: octo-keys {option}trust {user}{thumbprint} NAME"
                ));
            }
            Some(thumbprint) => {
                self.log.warning(format_args!("{from}: refused: {thumbprint}: {}", attempt.reason));
            }
            None => self.log.warning(format_args!("{from}: refused: {}", attempt.reason)),
        }
    }
}

fn shown(address: Option<IpAddr>) -> String {
    address.map_or("some addresses".into(), |address| address.to_canonical().to_string())
}
