//! Command lines whose options are no tables yet.

use super::options;
use super::tool::Tool;
use crate::base::error::Result;
use crate::base::paths::Places;
use getopts::Matches;

impl Tool {
    /// As [`Tool::said`], by options that are no tables yet.
    ///
    /// # Errors
    /// Exit 64 with a hint at `--help`.
    pub fn parse_untabled(
        &self,
        options: &getopts::Options,
        arguments: &[String],
    ) -> Result<Option<Matches>> {
        let matches =
            options.parse(arguments).map_err(|fail| self.misuse(options::complaint(&fail)))?;
        options::answered(self, matches)
    }

    /// Options that every tool has, for [`Tool::parse_untabled`].
    pub fn options(&self) -> getopts::Options {
        let mut options = getopts::Options::new();
        options.parsing_style(getopts::ParsingStyle::StopAtFirstFree);
        options.optflag("h", "help", "");
        options.optflag("", "version", "");
        options.optopt("", "config", "", "DIR");
        options.optopt("", "state", "", "DIR");
        options
    }
}

/// As [`super::places`], of options that are no tables yet.
///
/// # Errors
/// As [`Places::find`].
pub fn places_of(matches: &Matches) -> Result<Places> {
    Places::find(matches.opt_str("config"), matches.opt_str("state"))
}
