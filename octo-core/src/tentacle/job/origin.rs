//! Who asked for a job, as octo-exec found when it took it over.

use crate::base::names::PusherName;
use crate::base::record::Record;
use crate::base::thumbprint::Thumbprint;
use std::net::IpAddr;

/// Where a job comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who asked; absent for a job that was started on this machine by hand.
    pub pusher: Option<Pusher>,
    /// user@host as the asker claims: shown, never used to decide.
    pub by: String,
    /// When it was taken over, RFC 3339.
    pub received: String,
}

/// A pusher, whose statement was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pusher {
    /// Its thumbprint.
    pub thumbprint: Thumbprint,
    /// Its name in the trust file when the job was taken over.
    pub name: PusherName,
    /// Where it connected from, by the listener's word.
    pub address: Option<IpAddr>,
}

impl Origin {
    /// The record that is written down.
    pub fn record(&self) -> Record {
        let Some(pusher) = &self.pusher else {
            return Record::new().with("local", &self.by).with("received", &self.received);
        };
        Record::new()
            .with("thumbprint", pusher.thumbprint)
            .with("name", &pusher.name)
            .with_each("address", pusher.address)
            .with("by", &self.by)
            .with("received", &self.received)
    }

    /// The origin that a record says.
    pub fn of(record: &Record) -> Option<Origin> {
        let received = record.first("received")?.to_string();
        if let Some(by) = record.first("local") {
            return Some(Origin { pusher: None, by: by.to_string(), received });
        }
        let address = match record.first("address") {
            Some(address) => Some(address.parse().ok()?),
            None => None,
        };
        let pusher = Pusher {
            thumbprint: Thumbprint::parse(record.first("thumbprint")?).ok()?,
            name: PusherName::parse(record.first("name")?)?,
            address,
        };
        Some(Origin { pusher: Some(pusher), by: record.first("by")?.to_string(), received })
    }
}
