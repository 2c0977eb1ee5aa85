//! octo-keys check: is STATE as its pages say?

use octo_core::base::cli::Tool;
use octo_core::base::paths::Places;
use octo_core::base::users;
use octo_core::tentacle::layout::check;
use octo_core::tentacle::layout::rights::Parties;

/// Says what is wrong, and what mends it, once; a summary where nothing is, and nothing
/// where there is no STATE.
///
/// # Errors
/// Nothing but that it is wrong, which has been said.
pub(crate) fn check(tool: &Tool, places: &Places) -> Result<Option<String>, ()> {
    let (mut is_sound, mut mends) = (true, false);
    let parties = check::check(places, &mut |error| {
        is_sound = false;
        // What can't be looked at has its own hint.
        mends |= error.hints.is_empty();
        tool.report(error);
    });
    let Some(parties) = parties else { return Ok(None) };
    if mends {
        tool.hint(&mending(&parties));
    }
    match (is_sound, parties.are_separated()) {
        (false, _) => Err(()),
        (true, false) => Ok(Some("one user".to_string())),
        (true, true) => Ok(Some(format!("listener {}", users::name_of(parties.listener.uid)))),
    }
}

fn mending(parties: &Parties) -> String {
    match parties.are_separated() {
        true => format!("octo-exec setup --listener {}", users::name_of(parties.listener.uid)),
        false => "octo-exec setup".to_string(),
    }
}
