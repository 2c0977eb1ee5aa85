//! `releases`: what is released on this machine, by octo-exec's copies; what is frozen; and
//! what this pusher may do about it. Nothing runs for that, whatever its line says of runs.

pub(crate) mod freshness;

use crate::host::{Asked, Host, No};
use crate::session::{Answer, Ended, Session};
use freshness::{Journal, Seen};
use octo_core::tentacle::releases::{self, Freeze, Released};
use octo_core::trust::{Grant, Verb, scripts::installed};
use octo_wire::{Duplex, Fields};
use std::collections::{BTreeMap, BTreeSet};

/// So many lines a list has at most.
const LISTED: usize = 10_000;
/// So long all of them are at most, in bytes: an octopus takes twice as much.
const LONGEST_LIST: usize = 32 << 20;
/// What is offered is at most so long, in bytes: half of the longest line.
const LONGEST_OFFERS: usize = 8 << 10;

pub(crate) fn releases<S: Duplex>(session: &mut Session<'_, S>) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Releases, Asked::default())?;
    let head = host.record_question(peer, &grant, "releases", "");
    let (items, left_out) = items(host, &grant).map_err(|error| No::failed(host, &error))?;
    if left_out > 0 {
        host.log.warning(format_args!("releases: too many: {left_out} are not told"));
    }
    let mut answer = Answer::ok(Verb::Releases, head).with("offers", offers(host, &grant));
    if left_out > 0 {
        answer = answer.with("more", "yes");
    }
    Ok(answer.listing(&items)?)
}

/// The lines, by application and BASE; and how many more there would be.
fn items(host: &Host, grant: &Grant) -> octo_core::Result<(Vec<Fields>, usize)> {
    let (mut copies, wrong) = releases::all(&host.places, grant.user.as_deref())?;
    wrong.iter().for_each(|error| host.log.error(error));
    let (freezes, wrong) = releases::freezes(&host.places, jiff::Timestamp::now())?;
    wrong.iter().for_each(|error| host.log.error(error));
    let mut left_out = copies.len().saturating_sub(LISTED);
    copies.truncate(LISTED);
    let journals = copies.iter().map(|copy| Journal {
        user: copy.user.clone(),
        directory: copy.directory.clone(),
        was: copy.journal,
    });
    let seen = host.freshness.look(journals.collect());
    let frozen: BTreeMap<&str, &Freeze> =
        freezes.iter().map(|freeze| (freeze.application.as_str(), freeze)).collect();
    let mut items: Vec<Fields> = copies
        .iter()
        .zip(seen)
        .map(|(copy, seen)| {
            let freeze = frozen.get(copy.directory.application.as_str()).copied();
            with_freeze(item(copy, seen), freeze)
        })
        .collect();
    let released: BTreeSet<&str> =
        copies.iter().map(|copy| copy.directory.application.as_str()).collect();
    for freeze in freezes.iter().filter(|freeze| !released.contains(freeze.application.as_str())) {
        let item = Fields::item(Verb::Releases).with("application", &freeze.application);
        items.push(with_freeze(item, Some(freeze)));
    }
    left_out += bound(&mut items);
    Ok((items, left_out))
}

/// Users of this machine say what the lines are: one who says much must not leave the others
/// without an answer. How many are left out?
fn bound(items: &mut Vec<Fields>) -> usize {
    let (all, mut length) = (items.len(), 0_usize);
    items.truncate(LISTED);
    items.retain(|item| {
        let line = item.message().encode().map_or(usize::MAX, |line| line.len());
        length = length.saturating_add(line);
        length <= LONGEST_LIST
    });
    all - items.len()
}

fn item(copy: &Released, seen: Seen) -> Fields {
    let Released { user, directory, as_of, looked: _, job: _, journal: _, is_behind, facts } = copy;
    let seen = if *is_behind { Seen::Changed } else { seen };
    let item = Fields::item(Verb::Releases)
        .with("application", &directory.application)
        .with("base", &directory.base)
        .with("user", user);
    let item = facts.each().fold(item, |item, (key, value)| item.with(key, value));
    item.with("as-of", as_of).maybe("seen", seen.word())
}

fn with_freeze(item: Fields, freeze: Option<&Freeze>) -> Fields {
    let Some(Freeze { application: _, until, by, reason }) = freeze else { return item };
    item.with("frozen-until", until).with("frozen-by", by).with("frozen-why", reason)
}

/// What this pusher may do here, by its words of allow=. Who may run installed scripts only
/// is told which, none where that can't be known: others it would ask for in vain.
fn offers(host: &Host, grant: &Grant) -> String {
    let mut offers: Vec<String> = grant.allow.offers().map(str::to_string).collect();
    if let Some(directory) = &grant.scripts
        && let Some(run) = offers.iter().position(|offer| *offer == Verb::Run.word())
    {
        offers.remove(run);
        for script in host.log.ok(installed(directory)).unwrap_or_default() {
            match script.unsound {
                // A comma would make two of one.
                None if script.name.contains(',') => {}
                None => offers.push(format!("name:{}", script.name)),
                Some(error) => host.log.error(&error),
            }
        }
    }
    let mut joined = String::new();
    for offer in offers {
        if joined.len() + offer.len() + 1 > LONGEST_OFFERS {
            break;
        }
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(&offer);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::base::record::Record;

    /// One line that is too long would be no answer at all, for nobody.
    #[test]
    fn the_longest_line_is_one() {
        let wide = |bytes: usize| "%C3%A9".repeat(bytes / 2);
        let list = (0..150).map(|n| format!("VARIABLE_OF_{n:04}")).collect::<Vec<_>>().join(",");
        let (name, text) = ("a".repeat(128), wide(128));
        let (time, digest) = ("2026-01-01T00:00:00Z", "0".repeat(64));
        let mut record = format!(
            "user {}\nbase /{}\nas-of {time}\nlooked 1\njob x\napplication {}\nnumber {}\n",
            wide(255),
            wide(998),
            "a".repeat(100),
            i64::MAX
        );
        for key in ["version", "release", "last-version", "back-release", "back-version"] {
            record += &format!("{key} {name}\n");
        }
        for key in ["by", "environment", "last-by", "back-environment"] {
            record += &format!("{key} {text}\n");
        }
        for key in ["sha256", "content", "back-sha256"] {
            record += &format!("{key} {digest}\n");
        }
        record += &format!("since {time}\nlast-at {time}\nnames {list}\nback-names {list}\n");
        record += &format!("verified {time}\nchanged {}\nsigned {}\n", i64::MAX, "A".repeat(16));
        record += "result interrupted\nlast-result interrupted\nlast-what unhealthy\n";
        let copy = Record::parse(record.as_bytes()).expect("a record");
        let copy = Released::of(&copy).expect("a copy");
        assert_eq!(copy.facts.each().count(), releases::KEYS.len());
        let freeze = Freeze {
            application: "x".into(),
            until: time.into(),
            by: "\u{10ffff}".repeat(64),
            reason: "é".repeat(250),
        };
        let item = with_freeze(item(&copy, Seen::Unchecked), Some(&freeze));
        assert_eq!(item.each().filter(|(_, value)| value.is_none()).count(), 0);
        item.message().encode().expect("it fits");
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let item = || Fields::item(Verb::Releases).with("application", "shop");
        let mut few = vec![item(), item()];
        assert_eq!((bound(&mut few), few.len()), (0, 2));
        let mut many: Vec<Fields> = (0..LISTED + 3).map(|_| item()).collect();
        assert_eq!((bound(&mut many), many.len()), (3, LISTED));
        let long = "x".repeat(15 << 10);
        let mut long: Vec<Fields> =
            (0..3000).map(|_| item().with("frozen-why", long.as_str())).collect();
        let left_out = bound(&mut long);
        assert!(left_out > 0 && left_out + long.len() == 3000, "{left_out}");
    }
}
