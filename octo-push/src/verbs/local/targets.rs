//! `targets`: the file as it is understood; all of it, unless some are selected.

use crate::cli::call::Call;
use crate::cli::options::Common;
use crate::fleet::select;
use crate::output::json::JsonObject;
use crate::records::results::RunRecord;
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;
use octo_core::targets::{Target, Targets};

pub(crate) fn run(call: &Call) -> Result<u8> {
    call.said.counted(0..=0)?;
    let common = &call.common;
    let all = Targets::load(&common.places, common.targets.as_ref())?;
    let narrowed = !common.take.is_empty() || !common.leave.is_empty() || common.shard.is_some();
    let shown = if narrowed {
        let whole = Common { all: common.take.is_empty(), ..common.clone() };
        select::select(&whole, &all, &RunRecord::default())?
    } else {
        all.all.clone()
    };
    if !common.quiet {
        all.said.iter().for_each(|said| call.said.tool().say(said));
    }
    let mut text = String::new();
    let mut file = None;
    for target in &shown {
        if common.json {
            text.push_str(&object(target));
            continue;
        }
        if common.verbose && file != Some(&target.file) {
            file = Some(&target.file);
            let shown = printable(target.file.as_os_str().as_encoded_bytes());
            text.push_str(&format!("# {shown}\n"));
        }
        text.push_str(&line(target));
    }
    print(&text)?;
    Ok(0)
}

fn object(target: &Target) -> String {
    JsonObject::of("target")
        .text("target", target.name.as_str())
        .text("address", &target.roads.to_string())
        .text("trust", &target.trust.to_string())
        .text_or_null("seal", target.sealed_by().as_deref().map(|word| &word["seal=".len()..]))
        .list("tags", target.tags.iter().map(|tag| tag.as_str()))
        .text("file", &printable(target.file.as_os_str().as_encoded_bytes()))
        .number("line", target.line as u64)
        .line()
}

fn line(target: &Target) -> String {
    let mut line = format!("{} {} {}", target.name, target.roads, target.trust);
    line.extend(target.sealed_by().map(|word| format!(" {word}")));
    for tag in &target.tags {
        line.push_str(&format!(" {tag}"));
    }
    line.push('\n');
    line
}
