//! One attempt to run a job: decide, wait for approval and locks, prepare, record,
//! run. Whatever the trust file grants takes effect in [`Runner::run`].

use super::entering::{Entered, Entering};
use super::left::allowance::Allowance;
use super::left::artifacts;
use super::left::packages;
use super::left::values;
use super::mask::Masker;
use super::output::{ended, say};
use super::prepare::environment::{self, Sources};
use super::prepare::script::{self, Runnable};
use super::prepare::secrets::{self, Secrets};
use super::prepare::signature::Signed;
use super::prepare::{directories, package, stdin, user};
use super::settle;
use super::supervise::{self, Launch};
use super::turn::Turn;
use super::watch::JobWatch;
use crate::admission::admit::{admit, is_expired};
use crate::admission::approval::{self, Needs};
use crate::admission::unstarted::Unstarted;
use crate::cgroup::Placed;
use crate::enter::identity::Identity;
use crate::enter::message;
use octo_core::base::cli::{Tool, utc_now};
use octo_core::base::error::{Exit, Result};
use octo_core::base::leader::Leader;
use octo_core::base::no_core;
use octo_core::base::paths::Places;
use octo_core::base::publish::Reserved;
use octo_core::base::record::Record;
use octo_core::base::users::User;
use octo_core::tentacle::approval::subject;
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::{End, EndKind, JobDirectory, LogWriter, Origin, Pusher};
use octo_core::tentacle::layout::Side;
use octo_core::tentacle::spec::{Order, Script, Spec};
use octo_core::trust::{Cited, Grant};
use octo_core::{Digest, PusherName};
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// A job that nobody started for this long never runs.
const EXPIRES_AFTER: Duration = Duration::from_secs(3600);
/// TERM, then so long, then KILL.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// No pusher's grace is longer.
const LONGEST_GRACE: Duration = Duration::from_secs(3600);

/// A job whose lock we hold, and what it is.
pub(crate) struct Runner<'a> {
    pub(super) tool: &'a Tool,
    pub(super) places: &'a Places,
    pub(super) job: &'a JobDirectory,
    origin: Origin,
    spec: Spec,
    spec_digest: Digest,
    /// Of all that was sent, in bytes.
    size: u64,
    watch: JobWatch,
    /// What was started ahead of it, until it is used.
    begun: Cell<Option<Entering>>,
}

/// What a job runs with, in its place and checked.
struct Prepared {
    directory: PathBuf,
    stdin: PathBuf,
    command: Runnable,
    secrets: Secrets,
    identity: Identity,
    /// By whose key the package is signed, where that was asked for.
    signed: Option<Signed>,
    /// How much it may leave.
    allowance: Rc<Allowance>,
}

impl<'a> Runner<'a> {
    /// Reads what the job is.
    pub(crate) fn new(
        tool: &'a Tool,
        places: &'a Places,
        job: &'a JobDirectory,
        begun: Option<Entering>,
    ) -> Result<Runner<'a>> {
        let origin = job.origin()?;
        let (spec, spec_digest) = job.spec()?;
        let watch = JobWatch::new(job)?;
        let sent = ["spec", "script", "stdin", "secrets"].map(|name| job.file(name).metadata());
        let size = sent.iter().flatten().map(Metadata::len).sum();
        let begun = Cell::new(begun);
        Ok(Runner { tool, places, job, origin, spec, spec_digest, size, watch, begun })
    }

    /// What octo-exec does itself, where that is all.
    pub(super) fn order(&self) -> Option<&Order> {
        match &self.spec.script {
            Script::Order(order) => Some(order),
            Script::Sent { .. } | Script::Named(_) | Script::Command(_) => None,
        }
    }

    /// Runs the job to its end, which is not written yet; `room` is for that, from
    /// the moment the job starts.
    ///
    /// # Errors
    /// Where it doesn't start.
    pub(crate) fn run(&self, room: &mut Option<Reserved>) -> std::result::Result<End, Unstarted> {
        self.still_wanted()?;
        // A window says when a job may start, not when it may wait for approval.
        let grant = self.decide(false)?;
        // Whole: an option that has no effect doesn't compile. Of a `_`, where it has one.
        let Grant {
            name,
            line,
            allow: _,     // trust/decide.rs; whose packages: prepare/package.rs
            max_jobs: _,  // take/room.rs
            max_store: _, // take/room.rs, left/allowance.rs
            max_size: _,  // trust/decide.rs, left/; get: octo-listen/src/verbs
            user,
            sudo: _, // `launch`
            scripts,
            signed: _, // prepare/signature.rs
            hold,
            set: _, // prepare/environment.rs
            max_wait,
            max_log: _,    // `start`
            timeout: _,    // `launch`
            resources: _,  // `prepare`, `launch`
            about_runs: _, // `granted`
        } = &grant;
        let (line, scripts) = (line.as_ref(), scripts.as_deref());
        let (pusher, subject) = (self.pusher(name, line), self.subject(line, scripts));
        self.wait_for_approval(*hold, name, &subject)?;
        self.decide_again(&grant)?;
        let locks = self.turn(&pusher, *max_wait).take(&self.spec.locks)?;
        if locks.waited {
            self.decide_again(&grant)?;
        }
        // An installed script may be another one now than what was approved.
        if *hold > 0 && self.subject(line, scripts) != subject {
            let reason = "its script changed after it was approved";
            return Err(Unstarted::denied(Exit::Refused, reason));
        }
        let user = user::of_job(user.as_deref())?;
        let (entering, prepared) = self.prepare(&user, &grant, scripts)?;
        let (signed, allowance) = (prepared.signed.as_ref(), Rc::clone(&prepared.allowance));
        *room = Some(Reserved::new(self.job.path(), settle::ROOM)?);
        self.audit_start(&pusher, &grant.place(), &self.told(&user, scripts, signed))?;
        let entered = entering.wait()?;
        let mut log = self.start(&grant, &entered.placed, &allowance, signed)?;
        let variables = environment::variables(&Sources {
            places: self.places,
            job: self.job,
            spec: &self.spec,
            secrets: &prepared.secrets,
            user: &user,
            pusher: &pusher,
            grant: &grant,
            is_installed: scripts.is_some(),
            signed: signed.map(|signed| signed.key),
            grace: self.grace(),
        });
        let mut end = self.launch(entered, prepared, &user, &grant, variables, &mut log)?;
        artifacts::keep(self.job, &allowance).into_iter().for_each(|why| end.add_reason(why));
        Ok(end)
    }

    /// Nobody wants it to end before it has begun.
    pub(super) fn still_wanted(&self) -> std::result::Result<(), Unstarted> {
        self.watch.cancelled().map_or(Ok(()), |who| Err(Unstarted::cancelled(who)))
    }

    /// Who asks for it; nobody for a job of this machine.
    pub(super) fn asker(&self) -> Option<&Pusher> {
        self.origin.pusher.as_ref()
    }

    /// When it came, RFC 3339.
    pub(super) fn received(&self) -> &str {
        &self.origin.received
    }

    pub(super) fn decide(&self, starting: bool) -> std::result::Result<Grant, Unstarted> {
        admit(self.places, &self.origin, &self.spec, self.size, starting)
    }

    /// It may start now, with just what it was granted.
    fn decide_again(&self, grant: &Grant) -> std::result::Result<(), Unstarted> {
        if self.decide(true)? == *grant {
            return Ok(());
        }
        let reason = "its line in the trust file changed while it waited";
        Err(Unstarted::denied(Exit::Refused, reason))
    }

    /// How others see whose job it is.
    pub(super) fn pusher(&self, name: &PusherName, line: Option<&Cited>) -> String {
        match line {
            Some(_) => name.to_string(),
            None => format!("local:{}", self.origin.by),
        }
    }

    fn subject(&self, line: Option<&Cited>, scripts: Option<&Path>) -> Record {
        let script = script::digest(&self.spec, scripts);
        let line = line.map(|line| line.text.as_str());
        subject(self.job.id(), &self.spec, &self.spec_digest, script, line)
    }

    /// An approved job is queued from its approval on.
    fn wait_for_approval(
        &self,
        hold: u8,
        name: &PusherName,
        subject: &Record,
    ) -> std::result::Result<(), Unstarted> {
        let mut approved = None;
        if hold > 0 {
            let (places, asker) = (self.places, self.asker());
            let needs = Needs { places, asker, name, count: hold };
            approved = Some(approval::require(self.job, subject, needs)?);
        }
        in_time(approved.as_deref().unwrap_or(&self.origin.received))
    }

    fn turn<'b>(&'b self, pusher: &'b str, longest: Option<Duration>) -> Turn<'b> {
        let (tool, places, job, watch) = (self.tool, self.places, self.job, &self.watch);
        Turn { tool, places, job, watch, pusher, longest }
    }

    fn prepare(
        &self,
        user: &User,
        grant: &Grant,
        scripts: Option<&Path>,
    ) -> std::result::Result<(Entering, Prepared), Unstarted> {
        let identity = user::identity(user)?;
        user::keep_apart(self.places, user, &identity)?;
        let directory = directories::make(self.job, user)?;
        let begun = self.begun.take().filter(|begun| begun.is_with(grant.resources));
        let entering = match begun {
            Some(begun) => begun,
            None => {
                if self.spec.secrets_digest.is_some() {
                    // Before there is a child: it has it from us.
                    no_core::of_us_and_our_children();
                }
                Entering::begin(self.places, self.job, grant.resources)?
            }
        };
        let signed = package::prepare(self.places, self.job, &self.spec, grant)?;
        let stdin = stdin::prepare(self.job, &self.spec)?;
        let command = script::prepare(self.job, &self.spec, scripts, user)?;
        let secrets = secrets::read(self.job, &self.spec)?;
        let allowance = Rc::new(Allowance::of(self.places, self.job, grant));
        let prepared = Prepared { directory, stdin, command, secrets, identity, signed, allowance };
        Ok((entering, prepared))
    }

    /// What the audit log has of its start besides who asked for what.
    fn told(
        &self,
        user: &User,
        scripts: Option<&Path>,
        signed: Option<&Signed>,
    ) -> Vec<(&'static str, String)> {
        let script = script::digest(&self.spec, scripts).map(|digest| digest.to_string());
        let package = self.spec.package.as_ref().map(|(digest, _)| digest.to_string());
        let mut told = vec![("user", user.name.clone())];
        told.extend(script.map(|digest| ("script", digest)));
        told.extend(package.map(|digest| ("package", digest)));
        told.extend(self.spec.stdin.map(|(digest, _)| ("stdin", digest.to_string())));
        told.extend(signed.map(|signed| ("signed", signed.key.to_string())));
        told.extend(self.spec.despite.clone().map(|reason| ("despite", reason)));
        told
    }

    /// What can't be recorded doesn't start.
    pub(super) fn audit_start(
        &self,
        pusher: &str,
        place: &str,
        more: &[(&'static str, String)],
    ) -> Result<()> {
        let spec = self.spec_digest.to_string();
        let job = self.job.id().as_str();
        let mut fields = vec![("job", job), ("pusher", pusher), ("line", place), ("spec", &spec)];
        fields.extend(more.iter().map(|(key, value)| (*key, value.as_str())));
        Audit::of(Side::Executor, self.places).append("job-start", &fields).map(|_| ())
    }

    /// From here on the job counts as run: whoever finds it without us and
    /// without an end calls it lost.
    pub(super) fn start(
        &self,
        grant: &Grant,
        placed: &Placed,
        allowance: &Rc<Allowance>,
        signed: Option<&Signed>,
    ) -> Result<LogWriter> {
        let started = Leader::this_process().add_to(Record::new()).with("at", utc_now());
        let mut started = placed.add_to(started);
        if let Some(Signed { key, comment }) = signed {
            started.push("signed", &[key.to_string().as_bytes(), comment.as_bytes()]);
        }
        self.job.publish_records(&[("grant", granted(grant)), ("started", started)])?;
        secrets::unlink(self.job)?;
        LogWriter::create(self.job, grant.max_log, Allowance::room(allowance))
    }

    fn launch(
        &self,
        entered: Entered,
        prepared: Prepared,
        user: &User,
        grant: &Grant,
        variables: Vec<(OsString, OsString)>,
        log: &mut LogWriter,
    ) -> std::result::Result<End, Unstarted> {
        let mut words = vec![prepared.directory.into_os_string(), prepared.stdin.into_os_string()];
        match prepared.command {
            Runnable::Words(command) => words.extend(command),
            Runnable::CantRun(cant) => {
                say(log, &format!("{}: {}", self.spec.summary(), cant.reason));
                return Ok(ended(EndKind::Exit(cant.code), log));
            }
        };
        words.extend(self.spec.arguments.iter().map(|a| OsStr::from_bytes(a).to_os_string()));
        let launch = Launch {
            places: self.places,
            shut_by: user::shut_out(user, self.job.path()),
            resources: grant.resources,
            timeout: shorter(self.spec.timeout, grant.timeout),
            grace: self.grace(),
            no_new_privileges: !grant.sudo,
        };
        let entry = message::encode(&prepared.identity, !grant.sudo, &words, &variables);
        let values = || prepared.secrets.iter().map(|(_, value)| value.as_slice());
        let maskers = [Masker::new(values()), Masker::new(values())];
        let (child, placed) = entered.tell(&entry)?;
        let mut end = supervise::run(&launch, child, placed, &self.watch, log, maskers)?;
        for trouble in values::take(self.job, user, &prepared.secrets, &prepared.allowance) {
            end.add_reason(trouble);
        }
        packages::keep(self.job, grant, &prepared.allowance, &mut end);
        Ok(end)
    }

    /// From TERM to KILL.
    fn grace(&self) -> Duration {
        self.spec.grace.unwrap_or(DEFAULT_GRACE).min(LONGEST_GRACE)
    }
}

/// Has it not waited for too long, since then?
pub(super) fn in_time(since: &str) -> std::result::Result<(), Unstarted> {
    match is_expired(since, EXPIRES_AFTER) {
        true => Err(Unstarted::expired("nobody started it in time")),
        false => Ok(()),
    }
}

/// The shorter of two limits, as far as there are any.
fn shorter(asked: Option<Duration>, granted: Option<Duration>) -> Option<Duration> {
    match (asked, granted) {
        (Some(asked), Some(granted)) => Some(asked.min(granted)),
        (asked, granted) => asked.or(granted),
    }
}

/// The `grant` of the record.
fn granted(grant: &Grant) -> Record {
    let (line, about_runs) = (grant.line.as_ref(), &grant.about_runs);
    let record = Record::new()
        .with_each("line", line.map(|line| line.number))
        .with_each("text", line.map(|line| &line.text))
        .with_each("name", line.map(|_| &grant.name));
    let record = about_runs.iter().fold(record, |record, (key, value)| record.with(key, value));
    record.with("at", utc_now())
}
