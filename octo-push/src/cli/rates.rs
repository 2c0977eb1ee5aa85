//! `--bwlimit`: how many bytes a second are sent, to each target and to all of them.

use octo_core::base::error::{Error, Result};
use octo_core::base::units;

/// A target that is sent less would hang up: octo-listen takes 1 KiB a second for a drip that
/// only holds a thread. Sixteen times that brings the largest job over well within the hour that
/// its statement holds.
const LEAST: u64 = 16 << 10;

/// Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rates {
    /// To one target.
    pub(crate) each: u64,
    /// To all of them.
    pub(crate) all: u64,
}

impl Rates {
    /// How they are said.
    pub(crate) const FORM: &str =
        "a rate such as 10M, or two as EACH,ALL, EACH no more than ALL, of 16K a second at least";

    /// `ALL`, or `EACH,ALL`.
    pub(crate) fn parse(text: &str) -> Option<Rates> {
        let (each, all) = text.split_once(',').unwrap_or((text, text));
        let (each, all) = (units::size(each)?, units::size(all)?);
        (LEAST <= each && each <= all).then_some(Rates { each, all })
    }

    /// What one of so many gets that are sent to at once.
    pub(crate) fn share(self, senders: usize) -> u64 {
        self.each.min(self.all / senders.max(1) as u64)
    }

    /// Is it enough for so many at once?
    ///
    /// # Errors
    /// Exit 64, with the least that is.
    pub(crate) fn check(self, senders: usize) -> Result<()> {
        if self.share(senders) >= LEAST {
            return Ok(());
        }
        let least = LEAST / 1024 * senders as u64;
        let reason = format!("--bwlimit: {senders} targets at once need {least}K in all, 16K each");
        Err(Error::usage(reason).hint(format!("or fewer at once: -f {}", self.all / LEAST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rate_is_for_all_and_two_are_for_each_and_all() {
        let rates = |each, all| Some(Rates { each, all });
        assert_eq!(Rates::parse("1M"), rates(1 << 20, 1 << 20));
        assert_eq!(Rates::parse("16K,2G"), rates(16384, 2 << 30));
        for bad in ["", "0", "16383", "15K", "2M,1M", "1M,", ",1M", "1M,2M,3M", "1m", "1.5M", "-1"]
        {
            assert_eq!(Rates::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_starves_them_is_refused_with_what_does_not() {
        let rates = Rates::parse("100K").expect("a rate");
        rates.check(6).expect("enough");
        let error = rates.check(7).expect_err("too little");
        assert_eq!(error.message, "--bwlimit: 7 targets at once need 112K in all, 16K each");
        assert_eq!(error.hints, ["or fewer at once: -f 6"]);
        rates.check(6).expect("as the hint says");
        Rates::parse("112K").expect("a rate").check(7).expect("as the message says");
    }
}
