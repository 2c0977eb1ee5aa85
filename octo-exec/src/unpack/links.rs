//! Where symbolic links lead, without a look at the disk: none out of the release, also not
//! by way of others, and none by more links than the kernel follows. Nor out of what is shared,
//! which lies elsewhere once it is released.

use super::tree::{Id, Node, TOP, Tree};
use std::collections::HashMap;

/// Linux follows no more on one way.
const MOST: u32 = 40;

const OUT: &str = "a link that leads out of the release";
const OUT_OF_SHARED: &str = "a link that goes up behind a name, or from a path, that is shared=";
const ON_AND_ON: &str = "a link that goes by more than 40 links";

/// Of the file that says what is shared.
const LONGEST_FILE: usize = 1 << 20;

/// Where a link ends: so many names beyond a place that is there, and by how many links.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Id,
    beyond: u32,
    hops: u32,
}

/// The first link that is refused, and why. Each is followed once.
pub(super) fn stray(tree: &Tree) -> Option<(Id, &'static str)> {
    let mut ends = HashMap::new();
    let links = tree.all().filter(|id| matches!(tree.node(*id), Node::Link { .. }));
    links.into_iter().find_map(|link| Some((link, follow(tree, &mut ends, link, 1).err()?)))
}

/// A file of the archive that names by lines of `shared=` what outlives releases.
pub(super) struct Sharing {
    file: Vec<u8>,
    /// None until it is read.
    bytes: Option<Vec<u8>>,
}

impl Sharing {
    pub(super) fn by(file: Vec<u8>) -> Sharing {
        Sharing { file, bytes: None }
    }

    /// Keeps what is read of a file, if it is this one, up to a limit.
    pub(super) fn read(&mut self, path: &[u8], piece: &[u8]) {
        if path == self.file {
            let bytes = self.bytes.get_or_insert_default();
            let room = (LONGEST_FILE + 1 - bytes.len()).min(piece.len());
            bytes.extend_from_slice(&piece[..room]);
        }
    }

    /// The first link that is refused, and why; or the file itself, where others could read it
    /// in another way.
    pub(super) fn stray(&self, tree: &Tree) -> Option<(Id, &'static str)> {
        let id = tree.find(&self.file)?;
        match (&self.bytes, tree.node(id)) {
            (Some(bytes), _) if bytes.len() > LONGEST_FILE => Some((id, "is longer than 1 MiB")),
            (Some(bytes), Node::File(_)) => out_of_shared(tree, &shared(bytes)),
            (None, Node::File(written)) if written.size == 0 => None,
            _ => Some((id, "is no file, but a directory or a link to one")),
        }
    }
}

/// The paths, without the slash behind a directory.
fn shared(file: &[u8]) -> Vec<&[u8]> {
    let mut paths = Vec::new();
    for line in file.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(path) = line.strip_prefix(b"shared=") else { continue };
        paths.push(path.strip_suffix(b"/").unwrap_or(path));
    }
    paths.retain(|path| !path.is_empty());
    paths
}

/// The first link that leads out by what is shared at these paths: `uploads/..` is no more
/// where the archive has it, and the target may have linked its uploads anywhere.
fn out_of_shared(tree: &Tree, shared: &[&[u8]]) -> Option<(Id, &'static str)> {
    let leads_out = |id: &Id| {
        let Node::Link { target, .. } = tree.node(*id) else { return false };
        let steps = || target.split(|b| *b == b'/').filter(|s| !matches!(*s, b"" | b"."));
        let up = steps().take_while(|step| *step == b"..").count();
        let path = tree.path(*id);
        let is_out_of = |shared: &&[u8]| {
            let below = path.strip_prefix(*shared).and_then(|p| p.strip_prefix(b"/"));
            below.is_some_and(|below| up > below.iter().filter(|b| **b == b'/').count())
        };
        steps().skip(up).any(|step| step == b"..") || shared.iter().any(is_out_of)
    };
    let found = if shared.is_empty() { None } else { tree.all().find(leads_out) };
    found.map(|id| (id, OUT_OF_SHARED))
}

fn follow(
    tree: &Tree,
    ends: &mut HashMap<Id, End>,
    link: Id,
    depth: u32,
) -> Result<End, &'static str> {
    if let Some(end) = ends.get(&link) {
        return Ok(*end);
    }
    let Node::Link { target, .. } = tree.node(link) else {
        return Ok(End { at: link, beyond: 0, hops: 0 });
    };
    if depth > MOST {
        return Err(ON_AND_ON);
    }
    if target.first() == Some(&b'/') {
        return Err(OUT);
    }
    let mut end = End { at: tree.above(link), beyond: 0, hops: 1 };
    let mut steps = target.split(|b| *b == b'/').filter(|s| !matches!(*s, b"" | b".")).peekable();
    while let Some(step) = steps.next() {
        if step == b".." {
            match end {
                End { beyond: 1.., .. } => end.beyond -= 1,
                End { at: TOP, .. } => return Err(OUT),
                _ => end.at = tree.above(end.at),
            }
            continue;
        }
        let found = if end.beyond > 0 { None } else { tree.child(end.at, step) };
        let Some(found) = found else {
            end.beyond += 1;
            continue;
        };
        // One that leads to itself leads nowhere, and harms nobody.
        if found == link && steps.peek().is_none() {
            end.at = found;
            break;
        }
        let next = follow(tree, ends, found, depth + 1)?;
        end = End { hops: end.hops + next.hops, ..next };
        if end.hops > MOST {
            return Err(ON_AND_ON);
        }
    }
    ends.insert(link, end);
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Bounds;

    /// The links that these are, and directories, without a target.
    fn tree_of(entries: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new(Bounds { bytes: 0, entries: 10_000 }, 0o755);
        for (path, target) in entries {
            let free = tree.free(path.as_bytes()).expect(path);
            let mut above = free.above;
            for step in free.missing {
                above = tree.add(above, step, Node::directory(0o755)).expect("room");
            }
            let node = match *target {
                "" => Node::directory(0o755),
                target => Node::Link { target: target.as_bytes().into(), time: (0, 0) },
            };
            tree.add(above, free.name, node).expect("room");
        }
        tree
    }

    fn first_stray(entries: &[(&str, &str)]) -> Option<(String, &'static str)> {
        let tree = tree_of(entries);
        stray(&tree).map(|(id, why)| (String::from_utf8(tree.path(id)).expect("UTF-8"), why))
    }

    #[test]
    fn a_way_out_is_found_however_it_is_written() {
        for entries in [
            &[("l", "/etc")][..],
            &[("l", "..")],
            &[("d/l", "../../x")],
            &[("l", "../1.0/version")],
            &[("d/l", "a/../../../x")],
            &[("l", "none/../..")],
            &[("a/b/c", ""), ("up", "a/b/c"), ("z", "up/../../../..")],
            &[("up", "d/here"), ("d/here", ".."), ("z", "up/..")],
            &[("d/e/l", "../../x/../../y")],
        ] {
            assert_eq!(first_stray(entries).map(|(_, why)| why), Some(OUT), "{entries:?}");
        }
    }

    #[test]
    fn what_stays_inside_is_let_be() {
        for entries in [
            &[("a", "version")][..],
            &[("d/e/up", "../../version")],
            &[("here", "."), ("d/here", ".."), ("loop", "loop")],
            &[("dangling", "not/there/../../and/..")],
            &[("a/b/c", ""), ("up", "a/b/c"), ("z", "up/../../..")],
        ] {
            assert_eq!(first_stray(entries), None, "{entries:?}");
        }
    }

    #[test]
    fn what_is_shared_is_left_by_no_link() {
        let led_out = |path: &str, target: &str, file: &str| {
            out_of_shared(&tree_of(&[(path, target)]), &shared(file.as_bytes())).is_some()
        };
        let up = "shared=up/\n#shared=other\r\nshared=my log\r\nonce=x";
        for (path, target) in [
            ("l", "up/../secret"),
            ("l", "./a//./../b"),
            ("l", "..../.."),
            ("d/l", "../a/../b"),
            ("up/l", ".."),
            ("up/l", "./../x"),
            ("up/d/l", "../../x"),
            ("my log/l", "../x"),
        ] {
            assert!(led_out(path, target, up), "{path} -> {target}");
            assert!(!led_out(path, target, "once=x") && !led_out(path, target, "shared="));
        }
        for (path, target) in [
            ("l", "up/x"),
            ("d/l", "../up"),
            ("up/d/l", "../x"),
            ("up.d/l", "../x"),
            ("other/l", ".."),
        ] {
            assert!(!led_out(path, target, up), "{path} -> {target}");
        }
    }

    #[test]
    fn a_file_that_says_what_is_shared_is_read_to_a_limit_and_is_no_link() {
        let mut sharing = Sharing::by(b"octo.conf".to_vec());
        sharing.read(b"other", b"shared=up/");
        let is_stray = |sharing: &Sharing, conf: &str| {
            let tree = tree_of(&[("octo.conf", conf), ("l", "up/../x")]);
            sharing.stray(&tree).map(|(id, why)| (tree.path(id), why))
        };
        let file = |why| Some((b"octo.conf".to_vec(), why));
        let is_link = file("is no file, but a directory or a link to one");
        assert_eq!((is_stray(&sharing, "x"), is_stray(&sharing, "")), (is_link.clone(), is_link));
        sharing.read(b"octo.conf", &vec![b'\n'; LONGEST_FILE]);
        sharing.read(b"octo.conf", b"shared=up/");
        assert_eq!(is_stray(&sharing, "x"), file("is longer than 1 MiB"));
        assert_eq!(sharing.bytes.map(|bytes| bytes.len()), Some(LONGEST_FILE + 1));
    }

    #[test]
    fn what_goes_on_and_on_ends_here() {
        let chain = |length: usize| -> Vec<(String, String)> {
            (0..length).map(|at| (format!("l{at}"), format!("l{}", at + 1))).collect()
        };
        let check = |links: &[(String, String)]| {
            let links: Vec<_> = links.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            first_stray(&links)
        };
        assert_eq!(check(&chain(40)), None);
        assert_eq!(check(&chain(41)), Some(("l0".into(), ON_AND_ON)));
        // Each is two of those before it.
        let doubled: Vec<_> =
            (1..=40).map(|at| (format!("l{at}"), format!("l{0}/../l{0}", at - 1))).collect();
        let doubled =
            [vec![("l0".to_string(), "d".to_string()), ("d".into(), "".into())], doubled].concat();
        assert_eq!(check(&doubled).map(|(_, why)| why), Some(ON_AND_ON));
        for entries in [
            &[("loop", "loop/..")][..],
            &[("loop", "loop/../loop")],
            &[("a", "b/../x"), ("b", "d/../a/x"), ("d", "")],
            &[("a", "b"), ("b", "a")],
        ] {
            assert_eq!(first_stray(entries).map(|(_, why)| why), Some(ON_AND_ON), "{entries:?}");
        }
    }
}
