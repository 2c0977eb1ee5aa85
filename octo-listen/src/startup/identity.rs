//! Where our identity comes from.

use super::systemd;
use octo_core::base::paths::Places;
use octo_core::tentacle::known::OwnThumbprints;
use octo_core::{Error, Exit, Result};
use octo_wire::Identity;
use octo_wire::identity::Keeper;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Who keeps it.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// CONFIG/identity.pem, our own or root's.
    File(PathBuf),
    /// systemd's LoadCredential=.
    Credential(PathBuf),
    /// Root handed it over when we were started, and no file of it is ours to read.
    Root,
}

impl Source {
    /// Where a process finds it that was handed none.
    pub(super) fn find(places: &Places) -> Source {
        systemd::credential().map_or_else(|| Source::File(places.identity()), Source::Credential)
    }

    /// Its bytes, as they are now.
    ///
    /// # Errors
    /// Exit 78 where it is not to be had.
    pub(super) fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        match self {
            Source::File(path) => Identity::read(path, Keeper::Owner),
            Source::Credential(path) => Identity::read(path, Keeper::Systemd),
            Source::Root => {
                let what = "the identity was handed over by root and can't be read again";
                Err(Error::new(Exit::Configuration, what, "restart octo-listen"))
            }
        }
    }

    /// Who we are by these bytes.
    ///
    /// # Errors
    /// Exit 78 where they are none.
    pub(super) fn understand(&self, bytes: &[u8]) -> Result<Identity> {
        let path = match self {
            Source::File(path) | Source::Credential(path) => path,
            Source::Root => Path::new("the identity that root handed over"),
        };
        Identity::from_pem(bytes)
            .map_err(|reason| Error::new(Exit::Configuration, path.display(), reason))
    }

    /// Who we are, as it is now.
    ///
    /// # Errors
    /// Exit 78 where it is missing, damaged or not to be had.
    pub(crate) fn load(&self) -> Result<Identity> {
        self.understand(&self.read()?)
    }
}

/// octo-exec takes no statement that names another certificate than its own: better said
/// now than to each pusher.
///
/// # Errors
/// Exit 78.
pub(crate) fn check_own(places: &Places, identity: &Identity) -> Result<()> {
    if OwnThumbprints::load(places)?.contains(identity.thumbprint()) {
        return Ok(());
    }
    let reason = format!("has another thumbprint than our identity, {}", identity.thumbprint());
    Err(Error::new(Exit::Configuration, places.tentacle().display(), reason)
        .hint("octo-keys tentacle"))
}
