//! What octo.conf of a package or of a release says, as far as it decides what is compared.

use octo_core::base::encoding::printable;

/// The file.
pub(super) const OCTO_CONF: &[u8] = b"octo.conf";

/// The scripts of octo-package(5) that octo-release runs.
pub(super) const HOOKS: [&[u8]; 4] =
    [b"PreDeploy.sh", b"Deploy.sh", b"PostDeploy.sh", b"DeployFailed.sh"];

/// Paths that it names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conf {
    shared: Vec<Vec<u8>>,
    substitute: Vec<Vec<u8>>,
    pub(super) once: Option<Vec<u8>>,
}

impl Conf {
    /// Lines of another form are octo-release's to refuse.
    pub(super) fn parse(bytes: &[u8]) -> Conf {
        let mut conf = Conf::default();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")) {
            let Some(equals) = line.iter().position(|byte| *byte == b'=') else { continue };
            let (key, path) = (&line[..equals], &line[equals + 1..]);
            let path = path.strip_suffix(b"/").unwrap_or(path).to_vec();
            match key {
                _ if path.is_empty() => {}
                b"shared" => conf.shared.push(path),
                b"substitute" => conf.substitute.push(path),
                b"once" => conf.once = Some(path),
                _ => {}
            }
        }
        conf
    }

    /// Is it, or is it in, what outlives releases?
    pub(super) fn shares(&self, path: &[u8]) -> bool {
        self.shared.iter().any(|shared| {
            path.strip_prefix(shared.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        })
    }

    /// The directories that a shared path needs.
    pub(super) fn above_shared(&self) -> impl Iterator<Item = &[u8]> {
        self.shared.iter().flat_map(|path| above(path))
    }

    /// Are values filled into this file?
    pub(super) fn fills(&self, path: &[u8]) -> bool {
        self.substitute.iter().any(|filled| filled == path)
    }

    /// Is this run, or does it steer what is?
    pub(super) fn runs(&self, path: &[u8]) -> bool {
        HOOKS.contains(&path) || path == OCTO_CONF || self.once.as_deref() == Some(path)
    }
}

/// The directories above a path, the lowest first.
pub(super) fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = path;
    std::iter::from_fn(move || {
        let slash = at.iter().rposition(|byte| *byte == b'/').filter(|slash| *slash > 0)?;
        at = &at[..slash];
        Some(at)
    })
}

/// Names for a message, as many as fit.
pub(super) fn names(paths: &[Vec<u8>]) -> String {
    let shown: Vec<String> = paths.iter().take(8).map(|path| printable(path)).collect();
    let more =
        if paths.len() > 8 { format!(" and {} more", paths.len() - 8) } else { String::new() };
    shown.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_filled_in_or_run_is_known() {
        let text =
            b"# shared=no\nshared=var/log/\nshared=app.env\nsubstitute=a b\nonce=migrate\nodd\n";
        let conf = Conf::parse(text);
        assert!(conf.shares(b"var/log") && conf.shares(b"var/log/x") && conf.shares(b"app.env"));
        assert!(!conf.shares(b"var/logs") && !conf.shares(b"var") && !conf.shares(b"no"));
        assert_eq!(conf.above_shared().collect::<Vec<_>>(), [b"var"]);
        assert!(conf.fills(b"a b") && !conf.fills(b"a"));
        assert!(conf.runs(b"migrate") && conf.runs(b"Deploy.sh") && conf.runs(b"octo.conf"));
        assert!(!conf.runs(b"sub/Deploy.sh"));
    }
}
