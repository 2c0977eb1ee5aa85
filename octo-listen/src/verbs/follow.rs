//! `follow`: a job's states, output and end, live and afterwards.
//!
//! While nothing happens this sleeps in poll(2) over the job's files and the
//! connection; every 15 s it ticks and asks the trust file again.

use crate::host::{Asked, No};
use crate::session::{Answer, Ended, Session};
use octo_core::JobId;
use octo_core::tentacle::audit::Head;
use octo_core::tentacle::job::{self, End, Event, Follower, JobDirectory, MAXIMUM_OUTPUTS};
use octo_core::tentacle::job::{Refused, SEAL, SEAL_SIGNATURE, State};
use octo_core::tentacle::seal::{self, Sealed};
use octo_core::tentacle::spool::EntryName;
use octo_core::tentacle::statement::MAXIMUM_SIGNATURE;
use octo_core::trust::Verb;
use octo_wire::connection::Heard;
use octo_wire::pace::TICK_EVERY;
use octo_wire::{Duplex, Failure, Fields, StreamWord};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::sync::Once;
use std::time::{Duration, Instant};

/// A held job that is followed is looked at this often: octo-exec ends it when it
/// was held for too long, or when its line is gone.
const LOOK_AT_HELD: Duration = Duration::from_secs(3600);

/// Pieces of output are gathered up to this much for one write.
const GATHERED: usize = 64 * 1024;

/// A job, and how far its follower is.
struct Following<'a, 'b, S> {
    session: &'a mut Session<'b, S>,
    job: JobDirectory,
    follower: Follower,
    /// What the end carries.
    head: Option<Head>,
    /// What is to be sent.
    out: Vec<u8>,
    /// When the trust file was asked last, something was sent, the job looked after.
    judged: Instant,
    told: Instant,
    looked: Instant,
}

pub(crate) fn follow<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let id: JobId = request.need("job")?;
    let offset = request.get("offset").unwrap_or(0);
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Follow, Asked::default())?;
    let job = host.visible(peer, &grant, &id)?;
    let follower = Follower::new(host.watches.as_ref(), &host.places, &job, offset);
    let follower = follower.map_err(|e| No::failed(host, &e))?;
    if follower.is_timed() {
        static SAID: Once = Once::new();
        let line = "followers look 20 times a second, as no inotify watch is left for them: \
                    raise fs.inotify.max_user_watches";
        SAID.call_once(|| host.log.warning(line));
    }
    let head = match session.ran.as_ref() == Some(&id) {
        true => host.log.ok(host.audit.head()).flatten(),
        false => host.record_question(peer, &grant, "follow", id.as_str()),
    };
    // Sent together with how the job stands.
    let out = Answer::ok(Verb::Follow, head).fields.message().encode()?;
    let now = Instant::now();
    Following { session, job, follower, head, out, judged: now, told: now, looked: now }.go()?;
    Err(Ended::Told)
}

impl<S: Duplex> Following<'_, '_, S> {
    /// Tells all, to the job's end.
    fn go(mut self) -> Result<(), Ended> {
        loop {
            let event =
                self.follower.next_event().map_err(|e| No::failed(self.session.host, &e))?;
            if self.judged.elapsed() >= TICK_EVERY {
                self.still_trusted()?;
                self.judged = Instant::now();
            }
            match event {
                Some(Event::Output(chunk)) if chunk.bytes.len() >= GATHERED => {
                    // What is large goes as it is: to gather it is to copy it.
                    self.gather_line(word_of(chunk.stream), &chunk.bytes)?;
                    self.send_gathered()?;
                    self.session.connection.send_bytes(&chunk.bytes)?;
                    continue;
                }
                Some(Event::Output(chunk)) => {
                    self.gather_body(word_of(chunk.stream), &chunk.bytes)?;
                    if self.out.len() >= GATHERED {
                        self.send_gathered()?;
                    }
                    // There may be more, which wakes nobody.
                    continue;
                }
                Some(Event::State(state)) => {
                    self.gather_state(&state)?;
                    continue;
                }
                // Said before the follower is dropped: closing its watch takes milliseconds.
                Some(Event::End(end)) => return self.end(&end),
                None => {}
            }
            if !self.out.is_empty() {
                self.send_gathered()?;
            }
            // What has happened since the look wakes us at once.
            self.idle()?;
        }
    }

    fn send_gathered(&mut self) -> Result<(), Failure> {
        self.session.connection.send_bytes(&self.out)?;
        self.out.clear();
        self.told = Instant::now();
        Ok(())
    }

    /// The line in front of this body.
    fn gather_line(&mut self, word: StreamWord, body: &[u8]) -> Result<(), Failure> {
        let line = Fields::of(word).with("body", body.len());
        self.out.extend(line.message().encode()?);
        Ok(())
    }

    fn gather_body(&mut self, word: StreamWord, bytes: &[u8]) -> Result<(), Failure> {
        self.gather_line(word, bytes)?;
        self.out.extend(bytes);
        Ok(())
    }

    fn gather_state(&mut self, state: &State) -> Result<(), Failure> {
        if *state == State::Lost {
            self.session.host.push_on(self.job.id(), state);
            // That it is lost, octo-exec says, when it has looked.
            return Ok(());
        }
        let holder = if let State::Waiting(holder) = state { holder.as_ref() } else { None };
        let line = Fields::of(StreamWord::State).with("is", state.word()).maybe("holder", holder);
        self.out.extend(line.message().encode()?);
        Ok(())
    }

    fn end(mut self, end: &End) -> Result<(), Ended> {
        let host = self.session.host;
        // Secrets may be in them: none outlives its job.
        for name in [EntryName::request(self.job.id()), EntryName::cancel(self.job.id())] {
            host.log.ok(host.spool.remove(&name));
        }
        host.janitor.drop_taken();
        let values = self.job.read("outputs", MAXIMUM_OUTPUTS);
        if let Some(values) = values.map_err(|e| No::failed(host, &e))? {
            self.gather_body(StreamWord::Outputs, &values)?;
        }
        // What proves nothing is left out: the end is told all the same.
        if let Some((sealed, certificate)) = host.log.ok(self.sealed()).flatten() {
            let Sealed { seal, signature } = &sealed;
            let body = [seal.as_slice(), signature, &certificate].concat();
            let line = Fields::of(StreamWord::Seal)
                .with("seal", seal.len())
                .with("signature", signature.len())
                .with("body", body.len());
            self.out.extend(line.message().encode()?);
            self.out.extend(body);
        }
        let strays = Some(end.strays.join("\n")).filter(|strays| !strays.is_empty());
        let line = Fields::of(StreamWord::End)
            .with("kind", end.kind.word())
            .with("code", end.kind.code())
            .with("at", &end.at)
            .with("log", end.log)
            .maybe("reason", end.reason.as_ref())
            .maybe("truncated", end.truncated.then_some("yes"))
            .maybe("strays", strays)
            .maybe("audit", self.head)
            .maybe("audit-exec", host.exec_head());
        self.out.extend(line.message().encode()?);
        Ok(self.session.connection.send_bytes(&self.out)?)
    }

    /// What seals the end, and the certificate of its key.
    fn sealed(&self) -> octo_core::Result<Option<(Sealed, Vec<u8>)>> {
        let places = &self.session.host.places;
        let sealed = match self.job.exists() {
            true => {
                let seal = self.job.read(SEAL, seal::MAXIMUM)?;
                let signature = self.job.read(SEAL_SIGNATURE, MAXIMUM_SIGNATURE)?;
                seal.zip(signature).map(|(seal, signature)| Sealed { seal, signature })
            }
            false => Refused::of(places, self.job.id())?.and_then(|refused| refused.sealed),
        };
        Ok(sealed.zip(seal::certificate(places)?))
    }

    /// Nothing is to be told: ticks where it is time, and waits.
    fn idle(&mut self) -> Result<(), Ended> {
        if self.told.elapsed() >= TICK_EVERY {
            self.session.tick()?;
            self.told = Instant::now();
            // Whatever was to start it may have failed for a while.
            match self.session.host.state(&self.job) {
                Ok(State::Held) if self.looked.elapsed() < LOOK_AT_HELD => {}
                Ok(state) => {
                    self.session.host.push_on(self.job.id(), &state);
                    self.looked = Instant::now();
                }
                Err(_) => {}
            }
        }
        self.wait(self.told.min(self.judged) + TICK_EVERY)
    }

    /// Sleeps until something may be new, or until this moment.
    fn wait(&mut self, until: Instant) -> Result<(), Ended> {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).ok();
        // There may be hundreds who wait for hours.
        self.out = Vec::new();
        self.session.connection.rest();
        let spoke = {
            let input = self.session.connection.stream().input();
            let files = self.follower.wait_on().collect::<Vec<_>>();
            let mut fds: Vec<PollFd<'_>> = files
                .iter()
                .copied()
                .chain(input)
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .collect();
            match poll(&mut fds, left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Failure::Io(error.into()).into()),
            }
            fds.len() > files.len() && fds.last().is_some_and(|fd| !fd.revents().is_empty())
        };
        if !spoke && !self.session.connection.has_buffered() {
            return Ok(());
        }
        // While a stream runs the pusher is silent: it can only have left.
        match self.session.connection.heard()? {
            Heard::Nothing => Ok(()),
            Heard::Farewell => Err(Ended::Over),
            Heard::Bytes => Err(Failure::Malformed("a request while a stream runs".into()).into()),
        }
    }

    fn still_trusted(&self) -> Result<(), Ended> {
        let (host, peer) = (self.session.host, self.session.peer);
        let judged = host.judge(peer, Verb::Follow, Asked::default());
        match judged.and_then(|grant| host.visible(peer, &grant, self.job.id())) {
            Ok(_) => Ok(()),
            Err(no) => {
                let reason = format!("no longer: {}", no.reason);
                Err(Ended::Hopeless(No { reason, ..no }))
            }
        }
    }
}

fn word_of(stream: job::Stream) -> StreamWord {
    match stream {
        job::Stream::Out => StreamWord::Out,
        job::Stream::Err => StreamWord::Err,
    }
}
