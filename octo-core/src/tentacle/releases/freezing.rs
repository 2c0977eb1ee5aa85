//! STATE/freezes, for octo-exec, which alone writes there.

use super::freeze::{Freeze, freezes, read};
use super::is_name;
use crate::base::cli::utc;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{Places, if_there};
use crate::base::publish::{self, replace, sync_directory};
use crate::base::record::Record;
use crate::tentacle::layout;
use jiff::Timestamp;
use std::fs::File;

/// So many applications are frozen at once.
pub const MAXIMUM_FREEZES: usize = 1000;

/// The freezes; nobody else changes one while this lives.
#[derive(Debug)]
pub struct Freezes<'a> {
    places: &'a Places,
    _lock: File,
}

impl Freezes<'_> {
    /// Waits until nobody else changes any.
    ///
    /// # Errors
    /// Where STATE can't be what it has to be.
    pub fn hold(places: &Places) -> Result<Freezes<'_>> {
        layout::make(places)?;
        let lock = layout::lock(places, "freezes")?;
        publish::sweep(&places.freezes());
        Ok(Freezes { places, _lock: lock })
    }

    /// That of an application, if it holds at this time; one that is damaged does.
    pub fn of(&self, application: &str, now: Timestamp) -> Option<Freeze> {
        let path = self.places.freezes().join(application);
        let freeze = match read(&path, application.to_string()) {
            Ok(freeze) => freeze,
            Err(_) => Some(Freeze::damaged(application.to_string())),
        };
        freeze.filter(|freeze| freeze.until > utc(now))
    }

    /// Freezes an application, in place of an older freeze of it; durable.
    ///
    /// # Errors
    /// Where it can't be written, or [`MAXIMUM_FREEZES`] others hold; an older one then stays.
    pub fn freeze(&self, freeze: &Freeze, now: Timestamp) -> Result<()> {
        self.make_room(&freeze.application, now)?;
        let record = Record::new()
            .with("until", &freeze.until)
            .with("by", &freeze.by)
            .with("at", utc(now))
            .with("reason", &freeze.reason);
        let path = self.places.freezes().join(&freeze.application);
        // Every job may look: octo-release does, as the job's user.
        replace(&path, record.encode().as_bytes(), layout::readers(self.places, 0o644))
    }

    /// Thaws an application; durable.
    ///
    /// # Errors
    /// Where its file can't be removed.
    pub fn thaw(&self, application: &str) -> Result<()> {
        let directory = self.places.freezes();
        let path = directory.join(application);
        if_there(&path, std::fs::remove_file(&path))?;
        sync_directory(&directory)
    }

    /// Removes what is over.
    fn make_room(&self, application: &str, now: Timestamp) -> Result<()> {
        let directory = self.places.freezes();
        let (holding, _) = freezes(self.places, now)?;
        let others = holding.iter().filter(|freeze| freeze.application != application).count();
        if others >= MAXIMUM_FREEZES {
            let reason = format!("{others} applications are frozen already");
            return Err(Error::new(Exit::Refused, application, reason));
        }
        let entries = std::fs::read_dir(&directory).map_err(|e| Error::io(&directory, &e))?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        for name in names.filter(|name| is_name(name) && name != application) {
            // What can't be removed holds no longer all the same.
            if let Ok(Some(freeze)) = read(&directory.join(&name), name)
                && freeze.until <= utc(now)
            {
                let _ = std::fs::remove_file(directory.join(&freeze.application));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: &str = "2026-01-02T00:00:00Z";

    fn freeze(application: &str, until: &str, reason: &str) -> Freeze {
        let [application, until, by, reason] =
            [application, until, "ann", reason].map(str::to_string);
        Freeze { application, until, by, reason }
    }

    #[test]
    fn what_is_written_is_read_back_until_it_is_over_or_thawed() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().into(), state: top.path().join("s") };
        let now: Timestamp = NOW.parse().expect("a time");
        let held = Freezes::hold(&places).expect("held");
        std::fs::write(places.freezes().join(".octo-tmp-x"), "").expect("write");
        held.thaw("shop").expect("nothing to thaw");
        let past = freeze("past", NOW, "x");
        let shop = freeze("shop", "2026-02-01T00:00:00Z", "black friday é");
        for each in [&past, &freeze("shop", "2026-01-03T00:00:00Z", "older"), &shop] {
            held.freeze(each, now).expect("frozen");
        }
        assert_eq!(held.of("past", now), None);
        assert_eq!(held.of("shop", now), Some(shop.clone()));
        let path = places.freezes().join("shop");
        let mode = |path: &std::path::Path| path.metadata().expect("stat").permissions().mode();
        assert_eq!((mode(&path) & 0o7777, mode(&places.freezes()) & 0o7777), (0o644, 0o755));
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(
            text,
            "until 2026-02-01T00:00:00Z\nby ann\nat 2026-01-02T00:00:00Z\n\
             reason black%20friday%20%C3%A9\n"
        );
        assert!(!places.freezes().join("past").exists(), "what is over goes with the next one");
        drop(held);
        let held = Freezes::hold(&places).expect("held again");
        assert!(!places.freezes().join(".octo-tmp-x").exists(), "left by one that was killed");
        held.thaw("shop").expect("thawed");
        assert_eq!((held.of("shop", now), path.exists()), (None, false));
    }

    #[test]
    fn a_crowd_is_bounded_and_what_is_frozen_can_be_frozen_longer() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().into(), state: top.path().join("s") };
        let now: Timestamp = NOW.parse().expect("a time");
        let held = Freezes::hold(&places).expect("held");
        for number in 0..MAXIMUM_FREEZES {
            let path = places.freezes().join(format!("a{number}"));
            std::fs::write(path, "until 2026-02-01T00:00:00Z\n").expect("write");
        }
        let other = freeze("shop", "2026-02-01T00:00:00Z", "x");
        let error = held.freeze(&other, now).expect_err("one more");
        assert_eq!(error.message, "shop: 1000 applications are frozen already");
        held.freeze(&freeze("a7", "2026-03-01T00:00:00Z", "x"), now).expect("longer");
        held.thaw("a8").expect("thawed");
        held.freeze(&other, now).expect("in its place");
    }
}
