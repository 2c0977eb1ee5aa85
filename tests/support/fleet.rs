//! A running tentacle and two pushers, for tests of the verbs.

use crate::listener::{Pusher, Side, Tentacle, own_user};
use assert_cmd::cargo::cargo_bin;
use std::path::PathBuf;

/// A tentacle, and two whom it trusts.
pub(crate) struct Fleet {
    pub(crate) tentacle: Tentacle,
    pub(crate) here: Side,
    pub(crate) ci: Side,
    pub(crate) cron: Side,
}

/// A tentacle that trusts two pushers, `ci` and `cron`.
pub(crate) fn fleet() -> Fleet {
    fleet_with("", "")
}

pub(crate) fn fleet_with(ci: &str, cron: &str) -> Fleet {
    let side = || Side::new(cargo_bin!("octo-listen"));
    let fleet = (side(), side(), side());
    let user = own_user();
    let (one, other) = (format!("ci {user} {ci}"), format!("cron {user} {cron}"));
    fleet.0.trust(&[(&fleet.1, one.trim_end()), (&fleet.2, other.trim_end())]);
    let tentacle = Tentacle::start(&fleet.0);
    Fleet { tentacle, here: fleet.0, ci: fleet.1, cron: fleet.2 }
}

impl Fleet {
    pub(crate) fn ci(&self) -> Pusher {
        self.tentacle.connect(&self.ci).expect("ci is trusted")
    }

    pub(crate) fn cron(&self) -> Pusher {
        self.tentacle.connect(&self.cron).expect("cron is trusted")
    }

    pub(crate) fn packages(&self, name: &str) -> PathBuf {
        self.here.sandbox.state("packages").join(name)
    }

    pub(crate) fn job(&self, id: &str, name: &str) -> PathBuf {
        self.here.sandbox.state("jobs").join(id).join(name)
    }
}
