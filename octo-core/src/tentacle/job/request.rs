//! Who asked for a job, as its publisher wrote it down.

use crate::base::names::PusherName;
use crate::base::record::Record;
use crate::base::thumbprint::Thumbprint;
use std::net::IpAddr;

/// What the publisher of a job wrote down about who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// Who asked; absent for a job that was started on this machine by hand.
    pub pusher: Option<Pusher>,
    /// user@host as the asker claims: shown, never used to decide.
    pub by: String,
    /// When it was received, RFC 3339.
    pub received: String,
}

/// An authenticated pusher, as the listener saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pusher {
    /// Its thumbprint.
    pub thumbprint: Thumbprint,
    /// Its name in the trust file when it asked.
    pub name: PusherName,
    /// Where it connected from, if that is known.
    pub address: Option<IpAddr>,
}

impl JobRequest {
    /// The record that is written down.
    pub fn record(&self) -> Record {
        let pusher = self.pusher.as_ref();
        Record::new()
            .with_each("thumbprint", pusher.map(|pusher| pusher.thumbprint))
            .with_each("name", pusher.map(|pusher| &pusher.name))
            .with_each("address", pusher.and_then(|pusher| pusher.address))
            .with("by", &self.by)
            .with("received", &self.received)
    }

    /// The request that a record says.
    pub fn of(record: &Record) -> Option<JobRequest> {
        let pusher = match record.first("thumbprint") {
            None => None,
            Some(thumbprint) => Some(Pusher {
                thumbprint: Thumbprint::parse(thumbprint).ok()?,
                name: PusherName::parse(record.first("name")?)?,
                address: match record.first("address") {
                    Some(address) => Some(address.parse().ok()?),
                    None => None,
                },
            }),
        };
        Some(JobRequest {
            pusher,
            by: record.first("by")?.to_string(),
            received: record.first("received")?.to_string(),
        })
    }
}
