//! Where symbolic links lead, without a look at the disk: none out of the release, also not
//! by way of others, and none by more links than the kernel follows.

use super::tree::{Id, Node, TOP, Tree};
use std::collections::HashMap;

/// Linux follows no more on one way.
const MOST: u32 = 40;

const OUT: &str = "a link that leads out of the release";
const ON_AND_ON: &str = "a link that goes by more than 40 links";

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
    fn first_stray(entries: &[(&str, &str)]) -> Option<(String, &'static str)> {
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
