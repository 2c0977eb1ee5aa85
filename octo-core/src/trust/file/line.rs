//! One line of the trust file: whose it is, when it holds, what it allows.

use crate::base::names::PusherName;
use crate::base::thumbprint::Thumbprint;
use crate::trust::Options;
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::net::IpAddr;

/// A line of the trust file: a pusher, and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: usize,
    /// As it stands in the file.
    pub text: String,
    /// By what the pusher is recognised.
    pub thumbprint: Thumbprint,
    /// What the pusher is called; its jobs and objects are kept under this name.
    pub name: PusherName,
    /// What it may do, and under which conditions.
    pub options: Options,
}

impl Line {
    /// Does the line hold for a pusher from this address at this time? If not:
    /// the option that doesn't, and why.
    ///
    /// # Errors
    /// The first condition that fails.
    pub fn holds(&self, address: Option<IpAddr>, at: &Zoned) -> Result<(), (&'static str, String)> {
        if let Some(networks) = &self.options.from {
            let Some(address) = address else {
                return Err(("from", "the pusher has no address".into()));
            };
            if !networks.iter().any(|network| network.contains(address)) {
                let address = address.to_canonical();
                return Err(("from", format!("{address} is in none of its networks")));
            }
        }
        match self.options.expires {
            Some(day) if at.with_time_zone(TimeZone::UTC).date() > day => {
                Err(("expires", format!("it expired at the end of {day} (UTC)")))
            }
            _ => Ok(()),
        }
    }
}
