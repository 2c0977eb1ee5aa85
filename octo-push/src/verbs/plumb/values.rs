//! Values of command lines, checked by kind and said in their one form: what a
//! script's options share with ours is read by the same function.

use crate::cli::rates::Rates;
use crate::cli::rolling;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::{print, utc};
use octo_core::base::error::Result;
use octo_core::base::moment;
use octo_core::base::names::PusherName;
use octo_core::base::package_name::{PLAIN_NAME, is_plain_name};
use octo_core::base::paths::Places;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::base::units::{Share, duration, whole};
use octo_core::targets::{Roads, Shard};

/// A kind of value: its word, as `--help` of a script names a value, and what
/// makes one form of it or says why not.
struct Kind {
    word: &'static str,
    read: fn(&str) -> std::result::Result<String, String>,
}

const KINDS: &[Kind] = &[
    Kind { word: "TIME", read: seconds },
    Kind { word: "WHEN", read: when },
    Kind { word: "DAY", read: day },
    Kind { word: "N", read: number },
    Kind { word: "PORT", read: port },
    Kind { word: "N|P%", read: share },
    Kind { word: "LIST", read: batches },
    Kind { word: "K/N", read: shard },
    Kind { word: "RATE|EACH,ALL", read: rates },
    Kind { word: "TARGET", read: tag },
    Kind { word: "TAG", read: tag },
    Kind { word: "ENVIRONMENT", read: tag },
    Kind { word: "APP", read: plain_name },
    Kind { word: "VERSION", read: plain_name },
    Kind { word: "ADDRESS", read: address },
    Kind { word: "THUMBPRINT", read: thumbprint },
];

/// Bash counts in 64 bits, and so many of anything are none.
const LARGEST: u64 = 999_999_999;

/// `values`
pub(super) fn values(said: &Said, _: &Places) -> Result<u8> {
    let tool = said.tool();
    let mut text = String::new();
    for three in said.arguments().chunks(3) {
        let [label, word, value] = three else {
            return Err(tool.misuse("values takes LABEL KIND VALUE, and so on"));
        };
        let Some(kind) = KINDS.iter().find(|kind| kind.word == word) else {
            return Err(tool.misuse(format!("{word}: no such kind")));
        };
        let shown = if value.is_empty() { "''" } else { value };
        let read = (kind.read)(value);
        text += &read.map_err(|reason| tool.misuse(format!("{label} {shown}: {reason}")))?;
        text.push('\n');
    }
    print(&text)?;
    Ok(0)
}

/// `share`
pub(super) fn share_of(said: &Said, _: &Places) -> Result<u8> {
    said.counted(3..=3)?;
    let [of, side, text] = said.arguments() else { return Err(said.misuse("OF SIDE SHARE")) };
    let of = whole(of).ok_or_else(|| said.misuse(format!("{of}: not a number")))?;
    let share = Share::parse(text)
        .ok_or_else(|| said.misuse(format!("{text}: neither a number nor a percentage")))?;
    let many = match side.as_str() {
        "at-most" => share.at_most(of),
        "at-least" => share.at_least(of),
        _ => return Err(said.misuse(format!("{side}: at-most or at-least"))),
    };
    print(&format!("{many}\n"))?;
    Ok(0)
}

fn seconds(text: &str) -> std::result::Result<String, String> {
    let found = duration(text).ok_or("not a time such as 30s, 5m, 1h or 2d")?;
    Ok(found.as_secs().to_string())
}

fn when(text: &str) -> std::result::Result<String, String> {
    let now = jiff::Zoned::now();
    let found = moment::coming(text, &now).ok_or_else(|| format!("not {}", moment::FORM))?;
    if found > now.timestamp() { Ok(utc(found)) } else { Err(format!("{} is past", utc(found))) }
}

fn day(text: &str) -> std::result::Result<String, String> {
    let found = moment::gone(text, &jiff::Zoned::now());
    found.map(utc).ok_or_else(|| format!("not {}", moment::PAST_FORM))
}

fn number(text: &str) -> std::result::Result<String, String> {
    let found = whole(text).filter(|number| *number <= LARGEST);
    found.map(|number| number.to_string()).ok_or("not a number".into())
}

fn port(text: &str) -> std::result::Result<String, String> {
    let found = whole(text).filter(|port| (1..=u64::from(u16::MAX)).contains(port));
    found.map(|port| port.to_string()).ok_or("not a port".into())
}

fn share(text: &str) -> std::result::Result<String, String> {
    match Share::parse(text) {
        Some(Share::Percent(_) | Share::Count(..=LARGEST)) => Ok(text.to_string()),
        _ => Err("neither a number nor a percentage such as 20%".into()),
    }
}

fn batches(text: &str) -> std::result::Result<String, String> {
    let found = rolling::sizes(text).map(|_| text.to_string());
    found.ok_or_else(|| format!("not {}", rolling::SIZES))
}

fn shard(text: &str) -> std::result::Result<String, String> {
    let found = Shard::parse(text).map(|_| text.to_string());
    found.ok_or_else(|| format!("not {}", Shard::FORM))
}

fn rates(text: &str) -> std::result::Result<String, String> {
    let found = Rates::parse(text).map(|_| text.to_string());
    found.ok_or_else(|| format!("not {}", Rates::FORM))
}

/// The name of a target or a tag; an environment is a tag.
pub(super) fn tag(text: &str) -> std::result::Result<String, String> {
    let found = PusherName::parse(text).map(|name| name.to_string());
    found.ok_or_else(|| format!("not a name ({})", PusherName::FORM))
}

/// The name of an application or a version.
pub(super) fn plain_name(text: &str) -> std::result::Result<String, String> {
    if is_plain_name(text) { Ok(text.to_string()) } else { Err(format!("not {PLAIN_NAME}")) }
}

/// As it was typed: what is written down has no port that nobody gave.
fn address(text: &str) -> std::result::Result<String, String> {
    Roads::parse(text).map(|_| text.to_string())
}

fn thumbprint(text: &str) -> std::result::Result<String, String> {
    Thumbprint::parse(text).map(|thumbprint| thumbprint.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_our_own_options() {
        let tag = tag("../x").expect_err("no name");
        assert_eq!(tag, "not a name ([A-Za-z0-9][A-Za-z0-9._@-]*, at most 64)");
        assert_eq!(batches("1,0").expect_err("0"), "not a list such as 1,5,20%");
        assert_eq!(shard("4/3").expect_err("4 of 3"), "not K/N, the Kth of N shares, from 1");
    }

    #[test]
    fn each_kind_has_one_form() {
        let hex = "0123456789abcdef".repeat(4);
        let spelt = format!("SHA256:{}", hex.to_uppercase());
        for (word, value, expected) in [
            ("TIME", "5m", Some("300")),
            ("TIME", "0", Some("0")),
            ("TIME", "soon", None),
            ("TIME", "08", None),
            ("WHEN", "2999-12-01T06:00:00+01:00", Some("2999-12-01T05:00:00Z")),
            ("WHEN", "2020-01-01", None),
            ("WHEN", "soon", None),
            ("N", "999999999", Some("999999999")),
            ("N", "1000000000", None),
            ("N", "-1", None),
            ("N", "", None),
            ("PORT", "65535", Some("65535")),
            ("PORT", "0", None),
            ("PORT", "65536", None),
            ("N|P%", "20%", Some("20%")),
            ("N|P%", "101%", None),
            ("N|P%", "many", None),
            ("LIST", "1,5,20%", Some("1,5,20%")),
            ("LIST", "1,0", None),
            ("LIST", "1,", None),
            ("K/N", "2/3", Some("2/3")),
            ("K/N", "4/3", None),
            ("TARGET", "db@eu", Some("db@eu")),
            ("TARGET", "../x", None),
            ("ENVIRONMENT", "a\nb", None),
            ("APP", "a+b", Some("a+b")),
            ("APP", "../shop", None),
            ("VERSION", "-1", None),
            ("ADDRESS", "10.0.0.1", Some("10.0.0.1")),
            ("ADDRESS", "a b", None),
            ("THUMBPRINT", spelt.as_str(), Some(hex.as_str())),
            ("THUMBPRINT", "abc", None),
        ] {
            let kind = KINDS.iter().find(|kind| kind.word == word).expect(word);
            assert_eq!((kind.read)(value).ok().as_deref(), expected, "{word} {value}");
        }
    }
}
