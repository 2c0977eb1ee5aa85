//! Who acts on this machine: named for records, never used to decide.

use super::users::local_of_uid;
use rustix::process::getuid;

/// The local user behind this process: the login's, which sudo and su keep, else
/// SUDO_USER, else the user itself.
pub fn name() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login =
        login.and_then(|text| text.trim().parse::<u32>().ok()).filter(|uid| *uid != u32::MAX);
    if let Some(name) = login.and_then(name_of) {
        return name;
    }
    let own = getuid().as_raw();
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    sudo.or_else(|| name_of(own)).unwrap_or_else(|| format!("uid{own}"))
}

/// `user@host`, as requests and journals have it.
pub fn at_host() -> String {
    format!("{}@{}", name(), rustix::system::uname().nodename().to_string_lossy())
}

/// A user of a directory service is shown by its number.
fn name_of(uid: u32) -> Option<String> {
    local_of_uid(uid).map(|user| user.name)
}
