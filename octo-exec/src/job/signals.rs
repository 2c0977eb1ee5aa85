//! Signals, as scripts are to have them, whoever started octo-exec.

use octo_core::base::signals::Ignored;
use signal_hook::flag;
use std::sync::Arc;

/// What our starter ignores, our scripts do not inherit: one that a listener in the
/// background of a shell has started would else be deaf to INT and QUIT, and a shell
/// can't change that. A handler of ours ends with the script's exec(2), and is to us
/// as if it were ignored still.
pub(crate) fn heed_in_scripts() {
    for signal in Ignored::by_us().numbers() {
        if !signal_hook::consts::FORBIDDEN.contains(&signal) {
            // Those that the C library keeps for itself (32, 33) stay as they are.
            let _ = flag::register(signal, Arc::default());
        }
    }
}
