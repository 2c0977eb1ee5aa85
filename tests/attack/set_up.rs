//! As the listener's user, behind every system call of `octo-exec setup --listener root`
//! that names a path: root walks through what is the listener's, to take it away from him.
//!
//! The short form takes some of the stops, OCTO_TEST_LONG=1 all, each with every swap.

use crate::every_call::Shell;
use crate::separated::{Separated, injectable};
use crate::stopped::{Stop, run_stopped, stops};
use crate::support::NOBODY;
use crate::victims::{SECRET, Victims, assert_hidden_from_the_listener};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

const BACK: [&str; 3] = ["setup", "--listener", "root"];
const APART: [&str; 3] = ["setup", "--listener", "nobody"];

/// The short form takes so many stops.
const SHORT: usize = 40;

/// Ways to swap `$X`; `$V` is a directory of root's, `$S` and `$R` files of it.
static SWAPS: &[&str] = &[
    "mv $X $X.old; ln -s $V $X",
    "mv $X $X.old; ln -s $S $X",
    "rm -rf $X; ln $R $X",
    "mv $X $X.old; mkfifo $X",
    "mv $X $X.old; mkdir -p $X/deep/deeper; ln -s $V $X/deep/deeper/link",
    "mv $X $X.old; echo another >$X",
];

/// What the listener has there.
static COMPONENTS: &[&str] =
    &["listen/packages", "listen/audit.log", "listen/odd", "listen/odd/below", "spool/entry"];

const MADE: &str = "rm -rf listen/* spool/*; mkdir -p listen/packages listen/odd/below
    echo of-the-listener >listen/audit.log; echo x >listen/packages/x; mkfifo listen/odd/fifo
    ln -s $V listen/odd/link; echo y >listen/odd/below/y; echo z >spool/entry";

#[test]
fn what_is_taken_from_a_listener_leads_root_nowhere() {
    let test = "what_is_taken_from_a_listener_leads_root_nowhere";
    let Some(here) = injectable(test) else { return };
    let victims = Victims::new(&here.sandbox);
    let names = [("V", victims.directory()), ("S", victims.secret()), ("R", victims.readable())];
    let names: String =
        names.iter().map(|(name, path)| format!("{name}={}; ", path.display())).collect();
    // Once here and back: what is made by that is there for all the others.
    prepare(&here, &names);
    assert!(setup(&here, &BACK));
    prepare(&here, &names);
    let all = stops(&here, &BACK, &["\"listen", "\"spool", "\"packages", "\"odd", "\"below"]);
    assert_all_is_roots(&here, "without an attack");
    assert!(all.len() > 50 && all.iter().any(|stop| stop.is_near), "{all:?}");
    let (mut tried, mut reached) = (0, 0);
    for (stop, component, swap) in attacks(&all) {
        prepare(&here, &names);
        let mut listener = Shell::new(&here);
        let was_stopped = run_stopped(&here, &BACK, stop, || {
            listener.does(&format!("{names} X={component}; {swap}"));
        });
        tried += 1;
        reached += usize::from(was_stopped);
        let what = format!("{component}: {swap}: {stop:?}");
        victims.assert_untouched();
        // Refused or done; called again, it is done.
        if !setup(&here, &BACK) {
            listener.does("rm -rf listen/* spool/*");
            assert!(setup(&here, &BACK), "{what}");
        }
        assert_all_is_roots(&here, &what);
        victims.assert_untouched();
        assert_hidden_from_the_listener(&here);
    }
    assert!(reached * 10 > tried * 8, "{reached} of {tried} at {} stops", all.len());
}

/// STATE is of two users, and these are the listener's, or of an accomplice.
fn prepare(here: &Separated, names: &str) {
    assert!(setup(here, &APART));
    Shell::new(here).does(&format!("{names} {MADE}"));
    chown(here.places.listen().join("odd/below"), Some(here.user.uid), None).expect("chown");
}

fn setup(here: &Separated, words: &[&str]) -> bool {
    here.sandbox.tool("octo-exec").args(words).output().expect("octo-exec").status.success()
}

fn assert_all_is_roots(here: &Separated, what: &str) {
    let mut left = vec![here.places.spool(), here.places.listen()];
    while let Some(path) = left.pop() {
        let found = path.symlink_metadata().expect("stat");
        assert_ne!(found.uid(), NOBODY, "{what}: {}", path.display());
        assert!(found.is_dir() || found.is_file(), "{what}: {}", path.display());
        let below = |path: &Path| std::fs::read_dir(path).expect("read").flatten();
        if found.is_dir() {
            left.extend(below(&path).map(|entry| entry.path()));
        } else {
            let bytes = std::fs::read(&path).expect("read");
            assert!(!String::from_utf8_lossy(&bytes).contains(SECRET), "{what}");
        }
    }
}

/// Each swap of each component behind each call, or a few, the near ones first.
fn attacks<'a>(all: &'a [Stop]) -> Vec<(&'a Stop, &'static str, &'static str)> {
    let pairs =
        COMPONENTS.iter().flat_map(|component| SWAPS.iter().map(move |swap| (component, swap)));
    if std::env::var_os("OCTO_TEST_LONG").is_some() {
        let pairs: Vec<_> = pairs.collect();
        let with_all =
            |stop| pairs.iter().map(move |(component, swap)| (stop, **component, **swap));
        return all.iter().flat_map(with_all).collect();
    }
    // All that are near, of the others each so manyth.
    let step = all.len().div_ceil(SHORT);
    let taken = |(index, stop): (usize, &'a Stop)| {
        (stop.is_near || index.is_multiple_of(step)).then_some(stop)
    };
    let some = all.iter().enumerate().filter_map(taken);
    some.zip(pairs.cycle()).map(|(stop, (component, swap))| (stop, *component, *swap)).collect()
}
