//! What `run` and `follow` are told besides the common options.

use crate::cli::call::Call;
use crate::records::journal::labels::Labels;
use octo_core::base::cli::options::{OptionGroup, Said, flag, value, values};
use octo_core::base::error::Result;
use octo_core::tentacle::spec::options::JobOptions;

/// What `run` has besides a job's options.
pub(crate) static ASKED: OptionGroup = OptionGroup {
    title: "",
    rows: &[
        flag("", "ask", "ask whether it would be accepted, and run nothing"),
        flag("", "prepare", "the same, and put the package where it would be"),
        value("", "signature", "FILE", "that of the package, where it isn't beside it"),
        values("", "label", "NAME=VALUE", "the journal has it with all that is asked for"),
    ],
};

/// `run`
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// What the job is.
    pub(crate) options: JobOptions,
    /// Where its end is told.
    pub(crate) ends: Ends,
    /// `--ask`
    pub(crate) ask: bool,
    /// `--prepare`
    pub(crate) prepare: bool,
    /// `--signature`
    pub(crate) signature: Option<String>,
    /// `--label`
    pub(crate) labels: Labels,
}

impl Run {
    ///
    /// # Errors
    /// As [`JobOptions::read`]; exit 64 for a job that is left in batches, or only asked
    /// for and to be told of, or prepared without a package.
    pub(crate) fn read(call: &Call) -> Result<Run> {
        let options = JobOptions::read(&call.said)?;
        if options.detach && call.common.rolling.is_said() {
            return Err(call.said.misuse("-D leaves before the end: there are no batches"));
        }
        call.said.apart("ask", "prepare")?;
        for asking in ["ask", "prepare"] {
            for other in ["detach", "job", "end", "outputs", "output", "gather", "label"] {
                call.said.apart(asking, other)?;
            }
            if call.said.flag(asking) && call.common.rolling.is_said() {
                let reason = format!("--{asking} runs nothing: there are no batches");
                return Err(call.said.misuse(reason));
            }
        }
        let (ask, prepare) = (call.said.flag("ask"), call.said.flag("prepare"));
        if prepare && options.package.is_none() {
            return Err(call.said.misuse("--prepare puts a package: -p says which"));
        }
        let signature = call.said.one("signature")?;
        if signature.is_some() && options.package.is_none() {
            return Err(call.said.misuse("--signature is a package's: -p says which"));
        }
        let labels = Labels::read(&call.said.many("label"))
            .map_err(|reason| call.said.misuse(format!("--label {reason}")))?;
        Ok(Run { options, ends: Ends::read(&call.said)?, ask, prepare, signature, labels })
    }
}

impl Run {
    /// As [`JobOptions::inputs`], with what is octo-push's alone.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let signature = self.signature.iter().map(|file| ("--signature", file.as_str()));
        self.options.inputs().chain(signature)
    }
}

/// Files that get what came of a job; `%n` in them is the target's name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    /// `--end`: kind, code and origin.
    pub(crate) end: Option<String>,
    /// `--outputs`: the values that the script handed back.
    pub(crate) outputs: Option<String>,
    /// `-o`: its standard output.
    pub(crate) output: Option<String>,
}

impl Ends {
    ///
    /// # Errors
    /// Exit 64 for one that is given twice, or that another leaves nothing for.
    pub(crate) fn read(said: &Said) -> Result<Ends> {
        said.apart("json", "output")?;
        Ok(Ends {
            end: said.one("end")?,
            outputs: said.one("outputs")?,
            output: said.one("output")?,
        })
    }
}
