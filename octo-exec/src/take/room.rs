//! Is there room for one more job of this pusher? Counted here, whatever a listener has
//! counted: by its line, and on the disk.

use octo_core::Refusal;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use octo_core::tentacle::account::of_new_job;
use octo_core::tentacle::spec::sent::SentParts;
use octo_core::tentacle::store::{Left, Store, StoreError, check_room};
use octo_core::trust::{Grant, Verb};

/// Takes room for a job of which this is sent; nobody else takes it while the
/// result lives.
///
/// # Errors
/// This machine's trouble; inside of it, why there is no room.
pub(super) fn room_for(
    places: &Places,
    grant: &Grant,
    sent: &SentParts<'_>,
) -> Result<std::result::Result<Left, StoreError>> {
    let left = Store::open(places)?.left(&grant.name, grant.limits())?;
    Ok(is_within(places, grant, sent, &left).map(|()| left))
}

fn is_within(
    places: &Places,
    grant: &Grant,
    sent: &SentParts<'_>,
    left: &Left,
) -> std::result::Result<(), StoreError> {
    let size = of_new_job(sent.lengths());
    // A freeze is no run, and is over at once.
    let counts = sent.spec.verb() == Verb::Run;
    if counts && left.under_way as u64 >= grant.max_jobs {
        let reason = format!("{} has {} jobs under way already", grant.name, left.under_way);
        return Err(StoreError { refusal: Refusal::Busy, reason });
    }
    left.check(size)?;
    check_room(&places.jobs(), size)
}
