//! Who acts on this machine: named for records, never used to decide.

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

/// The name of a uid in /etc/passwd. A user of a directory service is shown by
/// its number: no record is worth a query over the network.
pub fn name_of(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&uid)).then(|| name.to_string())
    })
}
