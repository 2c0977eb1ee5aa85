//! What a test asks of the machine, on std alone.

// A skipped test says so.
#![allow(clippy::print_stderr)]

use std::path::Path;

/// Where programs are looked for, whatever the caller's PATH is.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Is this program installed? Where it isn't, this says that the test, or a part of it, is
/// skipped, which `scripts/test --strict` doesn't take.
pub(crate) fn needs(test: &str, program: &str) -> bool {
    let found = SYSTEM_PATH.split(':').any(|directory| Path::new(directory).join(program).exists());
    if !found {
        eprintln!("skipped: {test}: needs {program}, not installed");
    }
    found
}
