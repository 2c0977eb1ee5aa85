//! A package that is here already, of which another is made.

use crate::host::Host;
use octo_core::Digest;
use octo_core::patch::{MOST_BASES, Range, read_ranges};
use octo_core::trust::Grant;
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// An open package: whoever prunes it meanwhile takes away its name, and not its bytes.
pub(super) struct Base {
    pub(super) digest: Digest,
    file: File,
    size: u64,
}

impl Base {
    /// The first of these that is here and that this pusher may use. What can't be opened is
    /// none: the package then comes whole.
    pub(super) fn find(host: &Host, grant: &Grant, offered: &[Digest]) -> Option<Base> {
        offered.iter().take(MOST_BASES).find_map(|digest| Base::open(host, grant, digest))
    }

    fn open(host: &Host, grant: &Grant, digest: &Digest) -> Option<Base> {
        let stores = [host.taken.as_ref(), Some(&host.store)];
        let store = stores
            .into_iter()
            .flatten()
            .find(|store| host.log.ok(store.holds(digest, grant.who())).flatten().is_some())?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(open(store.path(digest), flags, Mode::empty()).ok()?);
        let metadata = file.metadata().ok().filter(|metadata| metadata.is_file())?;
        Some(Base { digest: *digest, file, size: metadata.len() })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Fills a buffer, as long as all of them, with the bytes of these ranges.
    pub(super) fn read(&self, buffer: &mut [u8], ranges: &[Range]) -> io::Result<()> {
        read_ranges(buffer, ranges, |part, at| self.file.read_exact_at(part, at))
    }
}
