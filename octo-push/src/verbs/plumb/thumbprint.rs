//! Who answers at an address that no targets file has yet: octo-enroll asks, and a
//! person compares.

use crate::cli::argv;
use crate::cli::options::{IDENTITY, TRANSPORT, USUAL_WAIT, WAIT};
use crate::target::connection::client_config::ClientConfig;
use crate::target::connection::client_error::ClientError;
use crate::target::connection::opening::{Learned, Patience, open};
use crate::target::retry::{Bounds, Retry};
use octo_core::base::cli::options::{OptionGroup, Said};
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::PusherName;
use octo_core::base::paths::Places;
use octo_core::targets::{Roads, Target, TargetTrust};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The options of `thumbprint`.
pub(super) static OPTIONS: OptionGroup =
    OptionGroup { title: "thumbprint", rows: &[IDENTITY, WAIT, TRANSPORT] };

/// `thumbprint`: of what answers there, whoever it is. Nothing is asked of it.
pub(super) fn thumbprint(said: &Said, places: &Places) -> Result<u8> {
    let target = target(said)?;
    let identity = said.one("identity")?.map(PathBuf::from);
    let wait = said.time("wait")?.unwrap_or(USUAL_WAIT);
    let config = ClientConfig::load(places, identity, argv::said(said, "transport")?)?;
    let mut retry = Retry::new(Bounds { wait, outage: wait, retries: 0, limit: None });
    let mut learned = Learned::default();
    let seen = loop {
        let patience = Patience { wait: retry.begin(), until: retry.deadline() };
        match open(&config, &target, patience, &mut learned) {
            Ok(client) => break client.peer(),
            Err(ClientError::Untrusted(Some(seen), _)) => break Some(seen),
            Err(error) => {
                let again = retry.pause_after(error, Instant::now());
                std::thread::sleep(again.map_err(ClientError::into_error)?.0);
            }
        }
    };
    let seen = seen.ok_or_else(|| Error::new(Exit::Protocol, &target.roads, "no certificate"))?;
    print(&format!("{seen}\n"))?;
    Ok(0)
}

/// The target that the arguments name; nobody is expected there.
fn target(said: &Said) -> Result<Target> {
    let arguments = said.counted(2..=2)?;
    let (name, address) = (&arguments[0], &arguments[1]);
    let wrong = |text: &str, reason: String| said.misuse(format!("{text}: {reason}"));
    let form = || wrong(name, format!("not {}", PusherName::FORM));
    Ok(Target {
        name: PusherName::parse(name).ok_or_else(form)?,
        roads: Roads::parse(address).map_err(|reason| wrong(address, reason))?,
        trust: TargetTrust::Thumbprints(Vec::new()),
        seals: Vec::new(),
        tags: Vec::new(),
        file: Path::new("").into(),
        line: 0,
        known: None,
    })
}
