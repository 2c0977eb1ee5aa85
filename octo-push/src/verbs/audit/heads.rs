//! `audit --heads`: the heads that are known, for somebody else to keep or to check; and
//! reading them back.

use crate::cli::call::Call;
use crate::cli::options::Common;
use crate::fleet::select;
use crate::output::json::JsonObject;
use crate::records::heads::known::ChainHeads;
use crate::records::heads::line::{Chain, HeadLine, Mark};
use crate::records::heads::store::HeadStore;
use crate::records::results::RunRecord;
use octo_core::base::cli::{print, standard_input, utc};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::thumbprint::Thumbprint;
use octo_core::targets::Targets;
use octo_core::tentacle::audit::Head;
use std::fs::File;
use std::io::Read;

/// A file of heads is no longer: some 100,000 lines.
const LARGEST: u64 = 32 << 20;

/// Prints the newest head of each log: of all targets that heads are known of, or of those
/// that are selected. Nobody is asked.
///
/// # Errors
/// Where they can't be read or printed.
pub(super) fn print_known(call: &Call) -> Result<u8> {
    let common = &call.common;
    let store = HeadStore::at(&common.places);
    let narrowed = !common.take.is_empty() || !common.leave.is_empty() || common.shard.is_some();
    let names = if narrowed {
        let whole = Common { all: common.take.is_empty(), ..common.clone() };
        let all = Targets::load(&common.places, common.targets.as_ref())?;
        let selected = select::select(&whole, &all, &RunRecord::default())?;
        selected.iter().map(|target| target.name.to_string()).collect()
    } else {
        store.targets()?
    };
    for name in &names {
        let known = store.known_last(name)?;
        for chain in Chain::ALL {
            let heads = known.of(chain);
            if let Some(last) = heads.last() {
                let show = if common.json { object } else { line };
                print(&show(name, last, heads))?;
            }
        }
    }
    Ok(0)
}

/// `proved`, `seen`, or what is wrong with it.
fn state(last: &HeadLine, heads: &ChainHeads) -> &'static str {
    let proved = heads.proved.as_ref().is_some_and(|proved| proved.head == last.head);
    match heads.fault() {
        Some(fault) => fault.mark.word(),
        None if proved => Mark::Proved.word(),
        None => Mark::Seen.word(),
    }
}

fn line(name: &str, last: &HeadLine, heads: &ChainHeads) -> String {
    let tentacle = last.tentacle.map_or_else(|| "-".into(), |seen| seen.to_string());
    let (chain, time, state) = (last.chain.word(), utc(last.time), state(last, heads));
    let name = printable(name.as_bytes());
    format!("{name} {tentacle} {chain} {} {time} {state}\n", last.head)
}

fn object(name: &str, last: &HeadLine, heads: &ChainHeads) -> String {
    let proved = heads.proved.as_ref();
    JsonObject::of("head")
        .text("target", name)
        .text_or_null("thumbprint", last.tentacle.map(|seen| seen.to_string()).as_deref())
        .text("chain", last.chain.word())
        .text("head", &last.head.to_string())
        .text("time", &utc(last.time))
        .text("state", state(last, heads))
        .text_or_null("proved", proved.map(|line| line.head.to_string()).as_deref())
        .text_or_null("proved_time", proved.map(|line| utc(line.time)).as_deref())
        .text_or_null("fault", heads.fault().map(HeadLine::fault).as_deref())
        .list(
            "unseen",
            heads
                .unseen
                .iter()
                .map(|line| line.head.to_string())
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        )
        .line()
}

/// The heads of a file that `--heads` printed, `-` for standard input.
///
/// # Errors
/// Exit 65 for a line that is none, with its number.
pub(super) fn read(file: &str) -> Result<Vec<HeadLine>> {
    let failed = |error: std::io::Error| Error::io(std::path::Path::new(file), &error);
    let mut text = String::new();
    let read = match file {
        "-" => standard_input()?.take(LARGEST + 1).read_to_string(&mut text),
        path => File::open(path).and_then(|f| f.take(LARGEST + 1).read_to_string(&mut text)),
    };
    let shown = printable(file.as_bytes());
    if read.map_err(failed)? as u64 > LARGEST {
        return Err(Error::new(Exit::Data, shown, "is larger than 32 MiB"));
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(index, line)| {
        parse(line).ok_or_else(|| {
            let reason = "is no line of audit --heads: TARGET THUMBPRINT CHAIN SEQ:HASH TIME";
            Error::new(Exit::Data, format!("{shown}:{}", index + 1), reason)
        })
    });
    parsed.collect()
}

fn parse(line: &str) -> Option<HeadLine> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let tentacle = Thumbprint::parse(words.next()?).ok()?;
    let chain = Chain::parse(words.next()?)?;
    let head = Head::parse(words.next()?)?;
    let time = words.next()?.parse().ok()?;
    Some(HeadLine { time, mark: Mark::Seen, chain, head, tentacle: Some(tentacle), was: None })
}
