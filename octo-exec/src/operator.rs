//! Who acts on this machine: named for the record, not to decide.

use rustix::process::getuid;

/// The local user behind this process: the login's, which sudo and su keep, else
/// SUDO_USER, else the user itself.
pub(crate) fn name() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login =
        login.and_then(|text| text.trim().parse::<u32>().ok()).filter(|uid| *uid != u32::MAX);
    if let Some(name) = login.and_then(crate::user::name_of) {
        return name;
    }
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    sudo.or_else(|| crate::user::name_of(getuid().as_raw()))
        .unwrap_or_else(|| getuid().as_raw().to_string())
}

/// `user@host`, as a job's request has it.
pub(crate) fn at_host() -> String {
    format!("{}@{}", name(), rustix::system::uname().nodename().to_string_lossy())
}
