//! Asking a tentacle for the heads that are known of it: the last that was proved, the
//! newest, and some back to the first.

use crate::records::heads::known::Known;
use crate::records::heads::line::{Chain, HeadLine, KnownHead, Mark};
use crate::target::attempts;
use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
use octo_core::base::cli::utc;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit};
use octo_core::base::refusal::Refusal;
use octo_core::trust::Verb;
use octo_wire::{Fields, Request};

/// Which heads are asked for.
pub(super) enum Given {
    /// Those that this octopus keeps.
    Known,
    /// Those of this file, for messages by its name, that are of the tentacle.
    Of(Vec<HeadLine>, String),
}

/// What a tentacle said of the heads of one log.
#[derive(Default)]
struct Answers {
    asked: usize,
    held: usize,
    /// The newest of all that hold.
    newest: Option<KnownHead>,
    /// One that is not in the log, and what was said of it.
    changed: Option<(KnownHead, Error)>,
    /// One that had to be seen and is in no file that is kept, and what was said of it.
    hidden: Option<(KnownHead, Error)>,
    /// So many older ones are in no file that is kept.
    gone: usize,
}

/// Asks the reporter's target to prove these heads.
pub(super) fn prove(context: &Context, reporter: &Reporter, given: &Given) -> Outcome {
    let known = match given {
        Given::Known => context.heads.known(&context.targets[reporter.target]),
        Given::Of(..) => Ok(Known::default()),
    };
    let known = match known {
        Ok(known) => known,
        Err(error) => return Outcome::error(OutcomeKind::Failed, OutcomeOrigin::Octopus, error),
    };
    if matches!(given, Given::Known) && Chain::ALL.iter().all(|c| known.of(*c).last().is_none()) {
        reporter.note("no audit head is on record yet: nothing to prove");
        return Outcome::done();
    }
    let answer = attempts::ask(context, reporter, |client| {
        let mut last = None;
        let mut answers = [Answers::default(), Answers::default()];
        for chain in Chain::ALL {
            let (heads, proved) = match given {
                Given::Known => (known.of(chain).asked(), known.of(chain).proved.as_ref()),
                Given::Of(lines, _) => (of_file(lines, client, chain), None),
            };
            let proved = proved.map(HeadLine::known);
            answers[chain as usize] = ask(client, chain, &heads, proved, &mut last)?;
        }
        Ok((answers, last))
    });
    match answer {
        Ok((answers, last)) => {
            let outcome = last.as_ref().map_or_else(Outcome::done, Outcome::answered);
            judge(context, reporter, given, &answers, outcome)
        }
        Err(error) => Outcome::failed(context, error),
    }
}

/// The heads of a file that are of this tentacle, the newest first.
fn of_file(lines: &[HeadLine], client: &TlsClient<'_>, chain: Chain) -> Vec<KnownHead> {
    let peer = client.peer();
    let of_it = lines.iter().filter(|line| line.chain == chain && line.tentacle == peer);
    let mut heads: Vec<KnownHead> = of_it.map(HeadLine::known).collect();
    heads.sort_by_key(|known| std::cmp::Reverse(known.head.seq));
    heads
}

/// Asks for these heads of one log, in their order.
fn ask(
    client: &mut TlsClient<'_>,
    chain: Chain,
    heads: &[KnownHead],
    proved: Option<KnownHead>,
    last: &mut Option<Fields>,
) -> Result<Answers, ClientError> {
    let mut answers = Answers { asked: heads.len(), ..Answers::default() };
    for (index, given) in heads.iter().enumerate() {
        match client.ask(&question(chain, given), b"") {
            Ok(reply) => {
                *last = Some(reply);
                answers.held += 1;
                let newest = answers.newest.into_iter().chain([*given]);
                answers.newest = newest.max_by_key(|known| known.head.seq);
            }
            Err(ClientError::Refused(Refusal::Mismatch, error, _)) => {
                answers.changed = Some((*given, error));
                break;
            }
            Err(ClientError::Refused(Refusal::Missing | Refusal::Unseen, error, _))
                if Some(*given) == proved =>
            {
                answers.hidden = Some((*given, error));
            }
            // What is older yet is in no newer file.
            Err(ClientError::Refused(Refusal::Missing | Refusal::Unseen, ..))
                if answers.held > 0 =>
            {
                answers.gone = heads.len() - index;
                break;
            }
            Err(ClientError::Refused(Refusal::Missing | Refusal::Unseen, error, _)) => {
                answers.hidden = Some((*given, error));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

fn question(chain: Chain, given: &KnownHead) -> Request {
    let request =
        Request::new(Verb::Audit).with("seq", given.head.seq).with("head", given.head.hash);
    match chain {
        Chain::Listener => request,
        Chain::Exec => request.with("chain", "exec"),
    }
}

/// What the answers mean, and what is kept of them.
fn judge(
    context: &Context,
    reporter: &Reporter,
    given: &Given,
    answers: &[Answers; 2],
    outcome: Outcome,
) -> Outcome {
    let of_chains = || Chain::ALL.into_iter().zip(answers);
    if let Given::Of(_, file) = given {
        if let Some((chain, known, said)) =
            of_chains().find_map(|(c, a)| a.changed.as_ref().map(|(known, said)| (c, known, said)))
        {
            let file = printable(file.as_bytes());
            let object = format!("{}, head {} of {file}", chain.whose(), known.head.seq);
            let error = Error::new(Exit::Data, object, "is not in it");
            return refused(outcome, Refusal::Mismatch, with_hints(error, said));
        }
    } else {
        let mut heard = reporter.heard.borrow_mut();
        for (chain, answers) in of_chains() {
            let lines = learnt(chain, answers);
            lines.into_iter().for_each(|line| heard.learn(line));
        }
        if let Some(fault) = heard.fault() {
            let error = Error { exit: Exit::Data, message: fault.fault(), hints: Vec::new() };
            let said = answers.iter().find_map(|answers| Some(&answers.changed.as_ref()?.1));
            let error = match said {
                Some(said) => with_hints(error, said),
                None => error.hint("on the target: octo-listen --check-audit"),
            };
            let name = context.name(reporter.target);
            let (path, kept) = (context.heads.path(name), context.heads.kept_elsewhere(name));
            let anew = format!("mv {} {}", path.display(), kept.display());
            let error = error.hint(format!("once it is clear why, to begin anew: {anew}"));
            return refused(outcome, Refusal::Mismatch, error);
        }
    }
    if let Some((chain, known, said)) =
        of_chains().find_map(|(c, a)| a.hidden.as_ref().map(|(known, said)| (c, known, said)))
    {
        let object = format!("{}, head {} of {}", chain.whose(), known.head.seq, utc(known.time));
        let error = Error::new(Exit::Unavailable, object, "can't be seen any more");
        let error = error.hint(format!("the tentacle said: {}", said.message));
        return refused(outcome, Refusal::Missing, error);
    }
    let sum = |of: fn(&Answers) -> usize| answers.iter().map(of).sum::<usize>();
    let (asked, held, gone) = (sum(|a| a.asked), sum(|a| a.held), sum(|a| a.gone));
    if let (0, Given::Of(_, file)) = (asked, given) {
        return nothing_proved(file);
    }
    let mut message = format!("{held} of {asked} heads hold");
    if gone > 0 {
        message.push_str(&format!(", {gone} are older than what is kept there"));
    }
    Outcome { message, ..outcome }
}

/// Who reads the status alone must not take it for a proof.
fn nothing_proved(file: &str) -> Outcome {
    let object = printable(file.as_bytes());
    let error = Error::new(Exit::Unavailable, object, "no head of this tentacle");
    Outcome::error(OutcomeKind::Failed, OutcomeOrigin::Octopus, error)
}

/// What is kept of the answers about one log. Of one that was changed nothing is proved.
fn learnt(chain: Chain, answers: &Answers) -> Vec<HeadLine> {
    let line = |mark, known: KnownHead| HeadLine::now(mark, chain, known.head);
    if let Some((was, _)) = answers.changed {
        return vec![HeadLine { was: Some(was), ..line(Mark::Changed, was) }];
    }
    let Some(newest) = answers.newest else { return Vec::new() };
    let hidden = answers.hidden.as_ref().map(|(known, _)| line(Mark::Unseen, *known));
    hidden.into_iter().chain([line(Mark::Proved, newest)]).collect()
}

fn with_hints(error: Error, said: &Error) -> Error {
    error
        .hint(format!("the tentacle said: {}", said.message))
        .hint("on the target: octo-listen --check-audit")
}

/// The outcome of an answer that is not the right one; it keeps the heads that came with it.
fn refused(answered: Outcome, refusal: Refusal, error: Error) -> Outcome {
    let Outcome { audit, audit_exec, .. } = answered;
    let outcome = Outcome::error(OutcomeKind::Refused(refusal), OutcomeOrigin::Tentacle, error);
    Outcome { audit, audit_exec, ..outcome }
}
